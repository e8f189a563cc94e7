// Any number of sources to answers, in bounded memory: a window of sources is sorted by length, cut
// into batches, translated, and given back in the order in which it came.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tools/headlane/options/run_options.h"

namespace tool {

// The user's choices of a search; 0, "", none: the model's own.
struct SearchChoice {
  int64_t beams = 0, n_best = 0;
  std::optional<double> length_penalty;
  std::string early_stopping;  // "heuristic", "first", "never"
  bool sample = false;
  float temperature = 0;
  int64_t top_k = 0;
  float top_p = 0;
  uint64_t seed = 0;
  double repetition_penalty = 0;
  int64_t min_length = 0, max_length = 0;  // of new tokens
  std::optional<int32_t> first_id;
};

struct Source {
  std::string text;
  std::vector<int32_t> ids;  // none: there is nothing to translate, and there are no answers
};

struct Answer {
  std::vector<int32_t> ids;
  float score = 0;
};

class Translator {
 public:
  // Receives sources in the order in which they were added, each with its answers.
  using Emit = std::function<void(const Source& source, const std::vector<Answer>& answers)>;
  // Is told of each token as it is chosen; with it, sources are answered one by one.
  using OnToken = std::function<void(int32_t id)>;

  // `model` must live as long. `max_len`: no source has more tokens. `batch`: sources of a batch;
  // 1: each is answered as soon as it is added.
  Translator(const Model& model, const RunOptions& run, const SearchChoice& search, int64_t max_len,
             int64_t batch, OnToken on_token, Emit emit);

  void add(Source source);
  void flush();  // translates what is left; call once at the end

 private:
  void create_generator(int64_t n_sources, int64_t n_tokens);
  void run_window();
  void run_batch(const size_t* order, size_t n);

  const Model& model_;
  RunOptions run_;
  SearchChoice search_;
  int64_t max_len_, batch_, batch_tokens_;
  OnToken on_token_;
  Emit emit_;
  std::optional<Generator> generator_;
  uint64_t n_done_ = 0;  // sources of earlier windows
  std::vector<Source> window_;
  std::vector<std::vector<Answer>> answers_;  // of the window, in input order
  Batch sources_;                             // of one batch
  std::vector<uint64_t> keys_;                // likewise
};

}  // namespace tool
