#include "engine/generate/token_ranks.h"

#include <algorithm>
#include <cmath>

#include "engine/base/block_layout.h"

namespace headlane {
namespace {

struct TokenRankParts {
  size_t top, best, row_top, row_best, total;
};

TokenRankParts divide(const RankLimits& limits) {
  const int64_t rows = limits.max_rows, k = limits.max_candidates;
  BlockLayout block;
  TokenRankParts parts;
  parts.top = block.take(rows * limits.n_ranges, sizeof(kernels::TopK));
  parts.best = block.take(rows * limits.n_ranges * k, sizeof(kernels::Candidate));
  parts.row_top = block.take(rows, sizeof(kernels::TopK));
  parts.row_best = block.take(rows * k, sizeof(kernels::Candidate));
  parts.total = block.bytes();
  return parts;
}

}  // namespace

size_t TokenRanks::bytes(const RankLimits& limits) { return divide(limits).total; }

TokenRanks::TokenRanks(const RankLimits& limits, void* memory) : limits_(limits) {
  const TokenRankParts parts = divide(limits);
  char* base = static_cast<char*>(memory);
  top_ = reinterpret_cast<kernels::TopK*>(base + parts.top);
  best_ = reinterpret_cast<kernels::Candidate*>(base + parts.best);
  row_top_ = reinterpret_cast<kernels::TopK*>(base + parts.row_top);
  row_best_ = reinterpret_cast<kernels::Candidate*>(base + parts.row_best);
}

void TokenRanks::aim(int64_t first, LogitsTarget* target) const {
  target->k = k_;
  target->top = top_ + first * limits_.n_ranges;
  target->best = best_ + first * limits_.n_ranges * k_;
}

void TokenRanks::choose(int64_t row) {
  const int64_t n_ranges = limits_.n_ranges;
  const kernels::TopK* top = top_ + row * n_ranges;
  const kernels::Candidate* best = best_ + row * n_ranges * k_;
  kernels::Candidate* chosen = row_best_ + row * k_;
  int64_t n = 0;
  for (int64_t i = 0; i < n_ranges * k_; ++i) {
    // Ranges come in order of ids, and each has its best first: of equals the earlier one stays,
    // and behind one that is not good enough there is none.
    if (best[i].id < 0 || (n == k_ && !(best[i].logit > chosen[k_ - 1].logit))) {
      i += k_ - 1 - i % k_;
      continue;
    }
    int64_t at = n < k_ ? n++ : k_ - 1;
    for (; at > 0 && best[i].logit > chosen[at - 1].logit; --at) chosen[at] = chosen[at - 1];
    chosen[at] = best[i];
  }
  std::fill(chosen + n, chosen + k_, kernels::Candidate{-HUGE_VALF, -1});
  float largest = top[0].largest;
  for (int64_t i = 1; i < n_ranges; ++i) largest = std::max(largest, top[i].largest);
  float sum = 0;
  for (int64_t i = 0; i < n_ranges; ++i) {
    const bool empty = top[i].largest == -HUGE_VALF;  // the sum is 0 or NaN
    sum += top[i].sum * (empty ? 1.0f : std::exp(top[i].largest - largest));
  }
  row_top_[row] = {largest, sum};
}

RowScores TokenRanks::scores(int64_t row) const {
  RowScores scores;
  if (k_ == 0) return scores;
  scores.best = {row_best_ + row * k_, static_cast<size_t>(k_)};
  scores.top = row_top_[row];
  return scores;
}

}  // namespace headlane
