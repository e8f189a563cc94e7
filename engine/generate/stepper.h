// A decoder's steps: targets grow by some tokens each, and what comes after the last of them is
// ranked. Whether targets have sources is all the same to it. Which token comes next is not decided
// here (engine/generate/generator.h).
#pragma once

#include <cstdint>
#include <span>

#include "engine/generate/kv_cache.h"
#include "engine/generate/token_ranks.h"
#include "engine/run/plan_runner.h"

namespace headlane {

// A step runs this: its graph, and the sizes of what lives between steps.
struct StepModel {
  const Graph* graph = nullptr;
  const kernels::Table* kernels = nullptr;
  int64_t n_layers = 0;
  CacheRow cache_row;
  int64_t d_model = 0, vocab_size = 0;
  int64_t n_ranges = 0;  // of the vocabulary, as TopLogits cuts it
};

struct StepLimits {
  Limits run;           // max_seqs targets, and tokens of one run: a longer step is more than one
  int64_t max_len = 0;  // tokens of a target
  int64_t max_new = 0;  // tokens that one step adds, of all targets together
  int64_t max_candidates = 1;
  bool all_logits = false;
};

// Some more tokens of each of some targets.
struct StepBatch {
  int64_t n_rows = 0;                // targets
  const int64_t* offsets = nullptr;  // [n_rows + 1] of ids; null: one token each
  const int32_t* ids = nullptr;      // [offsets[n_rows]], the tokens
  const int32_t* sources = nullptr;  // [n_rows], of the batch that was encoded; null: there is none
  // [n_rows]: the row of the last step that this one goes on from; -1: it begins. Null: row by row;
  // all begin where there was no step.
  const int32_t* parents = nullptr;
  // [n_rows]: tokens that a target is to have at most, which rotary positions may be chosen by, and
  // which do not change as it grows. Null: the stepper's max_len of each.
  const int64_t* rooms = nullptr;
  int64_t k = 0;            // how many of the best next tokens to name, up to max_candidates
  bool all_logits = false;  // whether all logits are wanted
  const std::span<const int32_t>* masked = nullptr;  // [n_rows], as of LogitsTarget
  float* hidden = nullptr;  // last hidden states of all tokens, d_model each; null: not wanted
  // In the maps of row r, query i is its position and "sequence" is r. Null: not wanted.
  const LayerMaps *self_maps = nullptr, *cross_maps = nullptr;

  int32_t source(int64_t row) const { return sources ? sources[row] : 0; }
  int64_t begin(int64_t row) const { return offsets ? offsets[row] : row; }
  int64_t n_tokens() const { return begin(n_rows); }
};

// Targets attend to these beside themselves; they are empty where there is nothing.
struct StepSources {
  const KeyRows* cross = nullptr;    // [n_layers]
  const int64_t* offsets = nullptr;  // [n + 1] of rows of `cross`
  int64_t n = 0;
};

class Stepper {
 public:
  static size_t bytes(const StepModel& model, const StepLimits& limits);

  // `memory`: bytes() of it, 64-byte aligned; it, the graph and the team outlive the stepper.
  Stepper(const StepModel& model, const StepLimits& limits, void* memory, Team* team);

  Profile& profile() { return runner_.profile(); }
  // There are no targets any more; those of the next steps have these sources.
  void begin(const StepSources& sources);
  // Throws Error before anything changes, except Error(kCancelled): a step may be taken again.
  void step(const StepBatch& batch);
  // Returns the scores that the last step gave to a row, valid until the next step. Where logits
  // are no numbers, the last of the best have the id -1.
  RowScores next(int64_t row) const;
  // Tokens of a row of the last step, before its next one.
  int64_t length(int64_t row) const { return cache_.length(row); }

 private:
  void check(const StepBatch& batch) const;
  void check_row(const StepBatch& batch, int64_t row) const;
  void check_maps_of(const StepBatch& batch) const;
  int32_t parent_of(const StepBatch& batch, int64_t row) const;
  void run(const StepBatch& batch, int64_t first, int64_t n);
  void list_tokens(const StepBatch& batch, int64_t first, Run* run, DecodeStep* step);

  StepModel model_;
  StepLimits limits_;
  PlanRunner runner_;
  KvCache cache_;
  TokenRanks ranks_;
  StepSources sources_;
  bool has_all_ = false;  // of the last step
  // These belong to the run at hand.
  int64_t* offsets_ = nullptr;           // [max_seqs + 1]
  int64_t* ranked_ = nullptr;            // [max_seqs]
  int32_t* positions_ = nullptr;         // [max_tokens]
  int32_t* own_ = nullptr;               // [max_tokens]
  int32_t* rooms_ = nullptr;             // [max_tokens]
  const int32_t** histories_ = nullptr;  // [max_seqs]
  float** all_ = nullptr;                // [max_seqs], vocab_size logits each; or null
};

}  // namespace headlane
