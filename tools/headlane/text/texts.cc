#include "tools/headlane/text/texts.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "tools/headlane/output/progress.h"
#include "tools/headlane/text/lines.h"

namespace tool {

bool from_standard_input(const Texts& texts) {
  return texts.of_command_line.empty() && (texts.file.empty() || texts.file == "-");
}

int64_t input_bytes(const Texts& texts) {
  std::error_code ignored;
  if (!texts.of_command_line.empty() || texts.file == "-") return 0;
  if (!std::filesystem::is_regular_file(texts.file, ignored)) return 0;
  return static_cast<int64_t>(std::filesystem::file_size(texts.file, ignored));
}

int64_t length_limit(const headlane_model_facts& facts, const RunOptions& options) {
  const int64_t max_len = options.max_length ? options.max_length : facts.max_seq_len;
  if (max_len > facts.max_positions) {
    throw std::runtime_error("--max-length is " + std::to_string(max_len) +
                             ", but the model takes at most " +
                             std::to_string(facts.max_positions) + " tokens");
  }
  return max_len;
}

std::string prompt_of(const Model& model, const RunOptions& options) {
  if (options.prompt) return *options.prompt;
  if (options.as_query || options.as_document) {
    return model.find_prompt(options.as_query ? "query" : "document");
  }
  return options.prompt_name.empty() ? model.facts().default_prompt
                                     : model.find_prompt(options.prompt_name);
}

int64_t columns_of(const Model& model, const RunOptions& options) {
  const headlane_model_facts facts = model.facts();
  const int64_t all =
      options.pooling.empty() || facts.d_vector > 0 ? facts.d_vector : facts.d_model;
  if (options.truncate_dim > 0) return std::min(options.truncate_dim, all);
  return facts.d_embedding > 0 ? facts.d_embedding : all;
}

std::vector<int32_t> tokenize_behind(const std::string& prompt, const Model& model,
                                     const std::string& text, int64_t max_len) {
  headlane::TokenizeOptions options;
  options.max_len = max_len;
  options.prompt = prompt.c_str();
  return model.tokenize(text, options);
}

void for_each_text(const Texts& texts,
                   const std::function<void(const std::string&, int64_t)>& body) {
  int64_t bytes = 0;
  for (const std::string& text : texts.of_command_line) {
    bytes += static_cast<int64_t>(text.size());
    body(text, bytes);
  }
  if (!texts.of_command_line.empty()) return;
  for_each_line(texts.file, body);
}

namespace {

constexpr size_t kMostTexts = 16384;  // of a window: it bounds the results where texts are short

// The bytes of a window's texts, so many that batches are full: a token is some four of them.
size_t window_bytes(const RunOptions& options, int64_t max_len) {
  constexpr int64_t kBatches = 16, kBytesPerToken = 4;
  return static_cast<size_t>(kBatches * kBytesPerToken * std::max(options.batch_tokens, max_len));
}

// Whoever types texts wants to see each answer before the next text.
bool are_typed(const Texts& texts) {
  return from_standard_input(texts) && isatty(STDIN_FILENO) != 0;
}

}  // namespace

void for_each_window(const Texts& texts, const RunOptions& options, int64_t max_len,
                     const std::function<void(const std::vector<std::string>&)>& body) {
  const size_t most_bytes = window_bytes(options, max_len);
  const bool typed = are_typed(texts);
  std::vector<std::string> window;
  size_t n_bytes = 0;
  const auto flush = [&] {
    if (!window.empty()) body(window);
    window.clear();
    n_bytes = 0;
  };
  for_each_text(texts, [&](const std::string& text, int64_t) {
    if (n_bytes >= most_bytes || window.size() >= kMostTexts) flush();
    window.push_back(text);
    n_bytes += text.size();
    if (typed) flush();
  });
  flush();
}

namespace {

// The texts that are embedded in one call, which sorts them by length.
class Window {
 public:
  Window(const Model& model, const RunOptions& options, bool shows_progress, int64_t all_bytes)
      : max_len_(length_limit(model.facts(), options)),
        columns_(columns_of(model, options)),
        pooling_(options.pooling),
        truncate_dim_(options.truncate_dim),
        session_(create_session(model, options, max_len_)),
        prompt_(prompt_of(model, options)),
        most_bytes_(window_bytes(options, max_len_)),
        progress_(shows_progress, all_bytes) {}

  bool is_full() const { return data_.size() >= most_bytes_ || offsets_.size() > kMostTexts; }

  // `bytes_read`: of the input, up to the text's end.
  void add(const std::string& text, int64_t bytes_read) {
    data_ += text;
    offsets_.push_back(static_cast<int64_t>(data_.size()));
    bytes_read_ = bytes_read;
  }

  void embed(const Emit& emit) {
    const int64_t n_texts = std::ssize(offsets_) - 1;
    if (n_texts == 0) return;
    headlane::TextArray texts;
    texts.n_texts = n_texts;
    texts.data = data_.data();
    texts.data_bytes = std::ssize(data_);
    texts.offsets_64 = offsets_.data();
    headlane::TokenizeOptions tokenize;
    tokenize.max_len = max_len_;
    tokenize.prompt = prompt_.c_str();
    headlane::EmbedOptions options;
    options.tokenize = &tokenize;
    if (!pooling_.empty()) options.pooling = pooling_.c_str();
    options.truncate_dim = truncate_dim_;
    options.on_progress = [](void* user, const headlane_embed_progress* told) {
      static_cast<Window*>(user)->show(*told);
      return int32_t{0};
    };
    options.user = this;
    vectors_.resize(static_cast<size_t>(n_texts * columns_));
    session_.embed(texts, vectors_, 0, options);
    done_.n_texts += n_texts;
    done_.n_tokens += n_tokens_;
    bytes_done_ = bytes_read_;
    emit(vectors_.data(), n_texts);
    data_.clear();
    offsets_.assign(1, 0);
  }

  const Statistics& done() const { return done_; }

 private:
  void show(const headlane_embed_progress& told) {
    n_tokens_ = told.n_tokens;
    const int64_t bytes = bytes_read_ - bytes_done_;
    const double share = static_cast<double>(told.n_texts) /
                         static_cast<double>(std::max<int64_t>(1, std::ssize(offsets_) - 1));
    progress_.update(done_.n_texts + told.n_texts,
                     bytes_done_ + static_cast<int64_t>(share * static_cast<double>(bytes)));
  }

  int64_t max_len_, columns_;  // of a vector
  std::string pooling_;
  int64_t truncate_dim_;
  Session session_;
  std::string prompt_;
  size_t most_bytes_;
  Progress progress_;
  std::string data_;                 // texts end to end
  std::vector<int64_t> offsets_{0};  // [texts + 1]
  std::vector<float> vectors_;
  int64_t bytes_read_ = 0, bytes_done_ = 0, n_tokens_ = 0;
  Statistics done_;
};

}  // namespace

Statistics embed_texts(const Model& model, const RunOptions& options, const Texts& texts,
                       bool prints, const Emit& emit) {
  const bool shown = isatty(STDERR_FILENO) != 0 && !(prints && isatty(STDOUT_FILENO) != 0);
  const bool typed = are_typed(texts);
  Window window(model, options, shown, input_bytes(texts));
  const auto start = std::chrono::steady_clock::now();
  for_each_text(texts, [&](const std::string& text, int64_t bytes) {
    if (window.is_full()) window.embed(emit);
    window.add(text, bytes);
    if (typed) window.embed(emit);
  });
  window.embed(emit);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  Statistics statistics = window.done();
  statistics.seconds = taken.count();
  return statistics;
}

}  // namespace tool
