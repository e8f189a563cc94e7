// headlane perplexity: how likely a language model finds a text, counted as llama.cpp's tool does.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>
#include <span>

#include "tools/headlane/commands.h"
#include "tools/headlane/options/common_options.h"
#include "tools/headlane/output/json.h"
#include "tools/headlane/output/standard_streams.h"
#include "tools/headlane/text/lines.h"
#include "tools/headlane/text/texts.h"

namespace tool {
namespace {

struct PerplexityOptions {
  RunOptions run;
  std::string file;
  int64_t context = 512;
  int64_t stride = 0;  // 0: windows follow each other, and their second halves count
  bool as_json = false;
};

// A part of the text that goes through the model by itself, and the places in it that count.
struct Window {
  int64_t begin, first, end;  // of all tokens; from `first` on they count
};

std::vector<Window> windows_of(int64_t n_tokens, const PerplexityOptions& options) {
  std::vector<Window> windows;
  const int64_t context = options.context, stride = options.stride;
  if (stride == 0) {
    for (int64_t begin = 0; begin + context <= n_tokens; begin += context) {
      windows.push_back({begin, begin + context / 2 + 1, begin + context});
    }
    return windows;
  }
  const int64_t length = context + stride / 2;
  for (int64_t begin = 0; begin + length < n_tokens; begin += stride) {
    windows.push_back({begin, begin + length - stride, begin + length});
  }
  return windows;
}

// Sums over the tokens that count.
class Perplexity {
 public:
  void add(double logprob) {
    ++n_;
    sum_ -= logprob;
    squares_ += logprob * logprob;
  }
  int64_t n() const { return n_; }
  double value() const { return std::exp(mean()); }
  // The standard error of the mean, carried over to its exponential.
  double error() const {
    const double count = static_cast<double>(n_);
    const double variance = squares_ / count - mean() * mean();
    return variance > 0 && n_ > 1 ? std::sqrt(variance / (count - 1)) * value() : 0;
  }

 private:
  double mean() const { return sum_ / static_cast<double>(n_); }
  int64_t n_ = 0;
  double sum_ = 0, squares_ = 0;
};

class Measurement {
 public:
  Measurement(const Model& model, const PerplexityOptions& options, std::vector<int32_t> tokens)
      : options_(options), tokens_(std::move(tokens)) {
    const std::vector<int32_t> around = tokenize_behind("", model, "", kAll);
    const bool begins = !around.empty() && !tokens_.empty() && tokens_[0] == around[0];
    if (begins) begin_ = around[0];
    windows_ = windows_of(std::ssize(tokens_), options);
    check_size(model);
  }

  static constexpr int64_t kAll = std::numeric_limits<int32_t>::max();

  void run(const Model& model) {
    const int64_t length = windows_[0].end - windows_[0].begin;
    headlane::SequencesOptions limits;
    limits.max_sequences = std::max<int64_t>(kStepTokens / length, 1);
    limits.max_len = length;
    limits.max_tokens = limits.max_sequences * length;
    limits.max_step_tokens = kStepTokens;
    limits.n_threads = options_.run.n_threads;
    limits.cache = options_.run.cache_or_null();
    headlane::Sequences sequences(model, limits);
    const std::span<const Window> all(windows_);
    for (size_t i = 0; i < all.size();) {
      const size_t n = std::min(all.size() - i, static_cast<size_t>(limits.max_sequences));
      measure(all.subspan(i, n), &sequences);
      i += n;
    }
  }

  void print_result() const {
    if (options_.as_json) {
      print(Json::object("perplexity", result_.value(), "error", result_.error(), "tokens",
                         result_.n(), "windows", std::ssize(windows_), "context", options_.context,
                         "stride", options_.stride)
                .dump() +
            "\n");
      return;
    }
    char line[128];
    std::snprintf(line, sizeof line, "perplexity %.4f +/- %.5f (%lld tokens of %lld windows)\n",
                  result_.value(), result_.error(), static_cast<long long>(result_.n()),
                  static_cast<long long>(std::ssize(windows_)));
    print(line);
  }

 private:
  static constexpr int64_t kStepTokens = 2048;  // as batches of other commands

  void check_size(const Model& model) const {
    const int64_t length = options_.context + options_.stride / 2;
    const int64_t most = model.facts().max_positions;
    if (length > most) {
      throw std::runtime_error("--context is too long: a window has " + std::to_string(length) +
                               " tokens, and the model has room for " + std::to_string(most));
    }
    if (options_.stride > options_.context) {
      throw std::runtime_error("--stride is " + std::to_string(options_.stride) +
                               ", which is more than the context of " +
                               std::to_string(options_.context));
    }
    if (!windows_.empty()) return;
    throw std::runtime_error(shown_name(options_.file) + ": has " + std::to_string(tokens_.size()) +
                             " tokens, fewer than a window of " + std::to_string(length) +
                             (options_.stride > 0 ? " and one more" : "") +
                             "; take a longer text or a smaller --context");
  }

  void measure(std::span<const Window> windows, headlane::Sequences* sequences) {
    std::vector<int64_t> numbers;
    headlane::SequenceOptions options;
    options.max_new_tokens = HEADLANE_NO_NEW_TOKENS;
    options.prompt_logprobs = 1;
    for (const Window& window : windows) {
      std::vector<int32_t> ids(tokens_.begin() + window.begin, tokens_.begin() + window.end);
      // As llama.cpp does without a stride, and with one not.
      if (begin_ >= 0 && options_.stride == 0) ids[0] = begin_;
      numbers.push_back(sequences->add(ids, options));
    }
    while (sequences->step() > 0) {
    }
    for (size_t i = 0; i < windows.size(); ++i) {
      const headlane::SequenceFacts facts = sequences->facts(numbers[i]);
      if (facts.status != HEADLANE_OK) throw std::runtime_error(facts.message);
      count(windows[i], sequences->logprobs(numbers[i]));
      sequences->remove(numbers[i]);
    }
  }

  void count(const Window& window, const std::vector<float>& logprobs) {
    Json of_tokens = Json::array();
    for (int64_t place = window.first; place < window.end; ++place) {
      const double logprob = double{logprobs.at(static_cast<size_t>(place - window.begin))};
      result_.add(logprob);
      if (options_.as_json) {
        of_tokens.add(Json::object("id", tokens_[static_cast<size_t>(place)], "logprob", logprob));
      }
    }
    if (!options_.as_json) return;
    Json line = Json::object("window", n_printed_++, "place", window.first);
    line.set("tokens", std::move(of_tokens));
    print(line.dump() + "\n");
  }

  const PerplexityOptions& options_;
  std::vector<int32_t> tokens_;
  int32_t begin_ = -1;  // the token that texts begin with; -1: none
  std::vector<Window> windows_;
  Perplexity result_;
  int64_t n_printed_ = 0;
};

void perplexity(const PerplexityOptions& options) {
  const Model model = open_model(options.run);
  check_language_model(model.facts(), options.run.model_path);
  if (model.facts().has_tokenizer == 0) {
    throw std::runtime_error(options.run.model_path + ": has no tokenizer");
  }
  const std::string text = read_all(options.file);
  Measurement measurement(model, options, tokenize_behind("", model, text, Measurement::kAll));
  measurement.run(model);
  measurement.print_result();
}

}  // namespace

void declare_perplexity(Command* command) {
  const auto options = std::make_shared<PerplexityOptions>();
  add_model_and_machine(command, &options->run);
  add_cache(command, &options->run);
  command->file("-i,--input", &options->file,
                "A text as a whole; -, or without it: standard input");
  command
      ->integer("--context", &options->context, 4, kMostCount,
                "How many tokens a window of the text has")
      ->default_is(std::to_string(options->context));
  command->integer("--stride", &options->stride, 1, kMostCount,
                   "How far a window is behind the one before; its last tokens, as many, count");
  command->flag("--json", &options->as_json,
                "Print JSON lines: one for each window, with its tokens, then the result");
  command->run = [options] { perplexity(*options); };
}

}  // namespace tool
