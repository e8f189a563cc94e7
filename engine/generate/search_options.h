// The options of a search say what it is asked for, and check whether that can be done.
#pragma once

#include <cstdint>
#include <span>

#include "engine/spec/config.h"

namespace headlane {

struct SearchOptions {
  // 1 and no `sample`: greedy. More: beam search. With `sample` it is 1, and the n_best answers of
  // a source are drawn independently of each other.
  int64_t n_beams = 1;
  int64_t n_best = 1;         // answers of a source; without `sample` no more than n_beams
  double length_penalty = 1;  // a score is the sum of log-probabilities / length^length_penalty
  EarlyStopping early_stopping = EarlyStopping::kHeuristic;

  // Sampling: logits are divided by `temperature`; of them the top_k largest are kept, and of those
  // the fewest that have a probability of top_p or more together; of those the ones that have min_p
  // times the probability of the likeliest, or more.
  bool sample = false;
  float temperature = 1;
  int64_t top_k = 0;  // 0, or the vocabulary's size or more: all
  float top_p = 1;
  float min_p = 0;
  uint64_t seed = 0;

  // Scores of tokens that a row has already, its start and prefix among them, are divided by it
  // where they are positive, and multiplied where negative (Keskar et al. 2019, "CTRL").
  double repetition_penalty = 1;
  // Beam search makes the probabilities of a row's tokens sum to 1 again after some were suppressed
  // or penalized.
  bool renormalize = false;
  int64_t min_new_tokens = 0;  // no end before that many
  int64_t max_new_tokens = 0;  // after the prefix, the end included; >= 1

  // Roles of tokens. The spans need not outlive the call that they are given to.
  // The decoder is given this token first; -1: it is given each source's prefix alone, which has a
  // token or more.
  int32_t start_id = 0;
  std::span<const int32_t> end_ids = {};  // may be none: then every answer is max_new_tokens long
  int32_t forced_first_id = -1;           // the first token of sources without a prefix; -1: none
  int32_t forced_last_id = -1;            // the token at max_new_tokens; -1: none
  std::span<const int32_t> suppressed_ids = {};  // never generated unless forced
};

// Throws Error(kInvalidArgument), which names the field, unless a search can be made by `options`
// over a vocabulary of that size. That tokens enough remain for the beams, TokenRules checks.
void check_search_options(const SearchOptions& options, int64_t vocab_size);

}  // namespace headlane
