// sentences_bench MODEL SENTENCES [--threads N] [--rounds R] [--limit N] [--isa X]
//
// What sentences_torch.py measures of sentence-transformers, of Headlane: sentences a second, text
// in, vectors out, tokenizing included, and the time of one sentence alone. All sentences are
// tokenized, sorted by length and run in batches of 4096 tokens, through the C API on purpose.
// Prints one JSON object.
#include <headlane/headlane.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr int64_t kBatchTokens = 4096;
constexpr size_t kLatencySentences = 200;

using Model = std::unique_ptr<headlane_model, void (*)(headlane_model*)>;
using Session = std::unique_ptr<headlane_session, void (*)(headlane_session*)>;

struct Options {
  std::string model_path, sentences_path, isa;
  int32_t threads = 0;  // 0: all
  int rounds = 5;
  size_t limit = 0;  // 0: all
};

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void check(headlane_status status) {
  if (status != HEADLANE_OK) throw std::runtime_error(headlane_error());
}

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1))];
}

class Encoder {
 public:
  explicit Encoder(const Options& options)
      : model_(nullptr, headlane_model_close), session_(nullptr, headlane_session_destroy) {
    headlane_model_options model_options = HEADLANE_MODEL_OPTIONS_INIT;
    if (!options.isa.empty()) model_options.isa = options.isa.c_str();
    headlane_model* model;
    check(headlane_model_open(options.model_path.c_str(), &model_options, &model));
    model_.reset(model);
    headlane_model_facts facts = {};
    facts.struct_size = sizeof facts;
    check(headlane_model_get_facts(model, &facts));
    isa = facts.isa;
    max_len_ = facts.max_seq_len;
    d_model_ = static_cast<size_t>(facts.d_model);
    headlane_session_options session_options = HEADLANE_SESSION_OPTIONS_INIT;
    session_options.max_tokens = std::max(kBatchTokens, max_len_);
    session_options.max_len = max_len_;
    session_options.n_threads = options.threads;
    headlane_session* session;
    check(headlane_session_create(model, &session_options, &session));
    session_.reset(session);
  }

  // Seconds from texts to vectors.
  double time(const std::string* texts, size_t n) {
    const double start = now();
    tokenize(texts, n);
    std::vector<size_t> order(n);
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return length(a) > length(b); });
    vectors_.resize(n * d_model_);
    for (size_t first = 0; first < n;) first = run_batch(order, first);
    return now() - start;
  }

  int64_t n_tokens() const { return begin_.back(); }

  std::string isa;

 private:
  int64_t length(size_t i) const { return begin_[i + 1] - begin_[i]; }

  void tokenize(const std::string* texts, size_t n) {
    ids_.clear();
    begin_.assign(1, 0);
    for (size_t i = 0; i < n; ++i) {
      const size_t used = ids_.size();
      ids_.resize(used + static_cast<size_t>(max_len_));
      int64_t n_ids;
      check(headlane_tokenize(model_.get(), texts[i].data(), texts[i].size(), max_len_,
                              ids_.data() + used, max_len_, &n_ids));
      ids_.resize(used + static_cast<size_t>(n_ids));
      begin_.push_back(static_cast<int64_t>(ids_.size()));
    }
  }

  // The longest sequences first, in batches full of tokens; returns where the next batch begins.
  size_t run_batch(const std::vector<size_t>& order, size_t first) {
    batch_ids_.clear();
    offsets_.assign(1, 0);
    size_t last = first;
    for (; last < order.size(); ++last) {
      const size_t i = order[last];
      const int64_t tokens = offsets_.back() + length(i);
      if (last > first && tokens > kBatchTokens) break;
      batch_ids_.insert(batch_ids_.end(), ids_.begin() + begin_[i], ids_.begin() + begin_[i + 1]);
      offsets_.push_back(tokens);
    }
    const size_t n = last - first;
    batch_vectors_.resize(n * d_model_);
    const headlane_batch batch = {sizeof batch, static_cast<int64_t>(n), offsets_.data(),
                                  batch_ids_.data(), nullptr};
    const headlane_outputs outputs = {sizeof outputs, nullptr, batch_vectors_.data(), nullptr};
    check(headlane_encode(session_.get(), &batch, &outputs));
    for (size_t i = 0; i < n; ++i) {
      std::copy_n(batch_vectors_.data() + i * d_model_, d_model_,
                  vectors_.data() + order[first + i] * d_model_);
    }
    return last;
  }

  Model model_;
  Session session_;
  int64_t max_len_ = 0;
  size_t d_model_ = 0;
  std::vector<int32_t> ids_, batch_ids_;
  std::vector<int64_t> begin_, offsets_;
  std::vector<float> vectors_, batch_vectors_;
};

Options parse(int argc, char** argv) {
  Options options;
  std::vector<std::string> paths;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name.rfind("--", 0) != 0) {
      paths.push_back(name);
      continue;
    }
    if (i + 1 == argc) throw std::runtime_error(name + ": a value is missing");
    const char* value = argv[++i];
    const bool is_number =
        *value != '\0' && std::string(value).find_first_not_of("0123456789") == std::string::npos;
    if (name == "--isa") {
      options.isa = value;
    } else if (!is_number) {
      throw std::runtime_error(name + ": not a number: " + value);
    } else if (name == "--threads") {
      options.threads = std::atoi(value);
    } else if (name == "--rounds") {
      options.rounds = std::max(1, std::atoi(value));
    } else if (name == "--limit") {
      options.limit = static_cast<size_t>(std::atoll(value));
    } else {
      throw std::runtime_error(name + ": unknown");
    }
  }
  if (paths.size() != 2) throw std::runtime_error("two arguments are needed: MODEL SENTENCES");
  options.model_path = paths[0];
  options.sentences_path = paths[1];
  return options;
}

std::vector<std::string> read_lines(const std::string& path, size_t limit) {
  std::ifstream file(path, std::ios::binary);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line) && (limit == 0 || lines.size() < limit);) {
    if (!line.empty()) lines.push_back(line);
  }
  if (lines.empty()) throw std::runtime_error(path + ": no lines");
  return lines;
}

nlohmann::ordered_json run(const Options& options) {
  const std::vector<std::string> texts = read_lines(options.sentences_path, options.limit);
  const double start = now();
  Encoder encoder(options);
  const double open_ms = 1e3 * (now() - start);
  const double first_ms = 1e3 * encoder.time(texts.data(), 1);
  encoder.time(texts.data(), std::min<size_t>(texts.size(), 256));  // caches and clocks warm up
  std::vector<double> rates, alone;
  for (int i = 0; i < options.rounds; ++i) {
    rates.push_back(static_cast<double>(texts.size()) / encoder.time(texts.data(), texts.size()));
  }
  const int64_t n_tokens = encoder.n_tokens();
  for (size_t i = 0; i < std::min(texts.size(), kLatencySentences); ++i) {
    alone.push_back(1e3 * encoder.time(&texts[i], 1));
  }
  return {{"what", std::string("headlane ") + headlane_version() + ", float32"},
          {"isa", encoder.isa},
          {"threads", options.threads},
          {"rounds", options.rounds},
          {"n_sentences", texts.size()},
          {"n_tokens", n_tokens},
          {"sentences_per_s", quantile(rates, 0.5)},
          {"least", quantile(rates, 0)},
          {"most", quantile(rates, 1)},
          {"one_sentence_p50_ms", quantile(alone, 0.5)},
          {"one_sentence_p90_ms", quantile(alone, 0.9)},
          {"open_ms", open_ms},
          {"first_sentence_ms", first_ms}};
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::puts(run(parse(argc, argv)).dump(2).c_str());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sentences_bench: %s\n", error.what());
    return 1;
  }
}
