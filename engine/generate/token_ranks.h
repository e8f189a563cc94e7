// Ranks of the logits of some rows of a decoder's step: TopLogits ranks each range of the
// vocabulary by itself, and here the results of the ranges become that of the row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/generate/row_scores.h"
#include "engine/ops/op.h"

namespace headlane {

struct RankLimits {
  int64_t max_rows = 0;
  int64_t n_ranges = 0;  // of the vocabulary, as TopLogits cuts it
  int64_t max_candidates = 1;
};

class TokenRanks {
 public:
  static size_t bytes(const RankLimits& limits);
  // `memory`: bytes() of it, 64-byte aligned, which outlives this.
  TokenRanks(const RankLimits& limits, void* memory);

  // The rows of the step that comes now are ranked so: their k best, or nothing if k is 0.
  void begin(int64_t k) { k_ = k; }
  // A run's rows are the rows first .. of the step.
  void aim(int64_t first, LogitsTarget* target) const;
  // After the run of a row: takes from its ranges the k best of all and what the softmax needs.
  void choose(int64_t row);
  // The row was chosen from before. Where logits are no numbers, the last of the best have the id
  // -1. RowScores::all is not set.
  RowScores scores(int64_t row) const;

 private:
  RankLimits limits_;
  int64_t k_ = 0;
  kernels::TopK* top_ = nullptr;            // [max_rows, n_ranges]
  kernels::Candidate* best_ = nullptr;      // [max_rows, n_ranges, max_candidates]
  kernels::TopK* row_top_ = nullptr;        // [max_rows]
  kernels::Candidate* row_best_ = nullptr;  // [max_rows, max_candidates]
};

}  // namespace headlane
