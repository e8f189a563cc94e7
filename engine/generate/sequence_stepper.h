// A step of many sequences: some more tokens of each go through the layers together, and what comes
// after some of them is ranked. Which tokens, and where their keys and values are kept, is decided
// elsewhere (engine/generate/sequences.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/generate/stepper.h"
#include "engine/generate/token_ranks.h"
#include "engine/run/plan_runner.h"

namespace headlane {

struct SequenceStepLimits {
  Limits run;                 // max_tokens of a step; max_seqs: tokens of a step that are ranked
  int64_t max_sequences = 0;  // of a step
  int64_t max_candidates = 1;
  bool all_logits = false;  // of each sequence's last token
  bool hidden = false;
};

// New tokens of a sequence.
struct SequenceTokens {
  const int32_t* rows = nullptr;         // of the cache, the new tokens' own included
  const int32_t* window_rows = nullptr;  // likewise, of layers with a window; null: there are none
  int64_t position = 0;                  // of the first one
  int64_t room = 0;                      // the tokens that the sequence is to have at most
  std::span<const int32_t> ids;
  int64_t n_ranked = 0;  // of the last ones, it is ranked what comes after them
  // [n_ranked]: whose logit is wanted, -1 for none. Null: of none.
  const int32_t* named = nullptr;
  bool all_logits = false;  // after the last token
};

class SequenceStepper {
 public:
  static size_t bytes(const StepModel& model, const SequenceStepLimits& limits);
  // `memory`: bytes() of it, 64-byte aligned; it, the graph and the team outlive the stepper.
  SequenceStepper(const StepModel& model, const SequenceStepLimits& limits, void* memory,
                  Team* team);

  Profile& profile() { return runner_.profile(); }

  // Begins to list the tokens of a step, of which the k best that may follow are wanted.
  void begin(int64_t k);
  // Returns the number of its first ranked token.
  int64_t add(const SequenceTokens& tokens);
  // Throws Error(kCancelled), after which the step may be listed and run again, and what a runner
  // throws. `layers` is the cache. `hidden`: whether the last hidden states are wanted.
  void run(const KeyRows* layers, bool hidden);

  // The scores of a token that the last run ranked, by its number among them. `all` may be written
  // to.
  RowScores scores(int64_t ranked) const;
  float* all_logits(int64_t ranked) const { return all_ ? all_[ranked] : nullptr; }
  float named_logit(int64_t ranked) const { return named_logits_[ranked]; }
  // By the place of a token among those of the step.
  const float* hidden(int64_t token) const { return hidden_ + token * model_.d_model; }
  int64_t n_tokens() const { return n_tokens_; }  // that are listed

 private:
  StepModel model_;
  SequenceStepLimits limits_;
  PlanRunner runner_;
  TokenRanks ranks_;
  int64_t n_tokens_ = 0, n_sequences_ = 0, n_ranked_ = 0, n_pairs_ = 0, longest_ = 0;
  int64_t n_all_ = 0;                           // sequences that want all logits
  int64_t* offsets_ = nullptr;                  // [max_sequences + 1]
  const int32_t** histories_ = nullptr;         // [max_sequences]
  int32_t* ids_ = nullptr;                      // [max_tokens]
  int32_t* positions_ = nullptr;                // [max_tokens]
  int32_t* own_ = nullptr;                      // [max_tokens]
  int32_t* rooms_ = nullptr;                    // [max_tokens]
  const int32_t** window_histories_ = nullptr;  // [max_sequences]
  int32_t* window_own_ = nullptr;               // [max_tokens]
  int64_t* ranked_ = nullptr;                   // [max_ranked]
  int32_t* named_ = nullptr;                    // [max_ranked]
  float* named_logits_ = nullptr;               // [max_ranked]
  float** all_ = nullptr;    // [max_ranked], into logits_; null without all_logits
  float* logits_ = nullptr;  // [max_sequences, vocab_size], where all_logits
  float* hidden_ = nullptr;  // [max_tokens, d_model], where hidden
};

}  // namespace headlane
