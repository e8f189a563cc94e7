// The k best of a row of logits, some columns at a time, and the sum that their softmax divides by.
//
// A pass looks for columns that beat the k-th best so far, which but few do: one maximum a vector,
// one comparison for kScanVectors of them. The best is then the largest of the row, and a second
// pass, over columns that lie in L1 now, sums the exponentials, each computed once. That pass is
// most of the work: 14 operations a vector.
#pragma once

#include "kernels/loops-inl.h"
#include "kernels/math-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

constexpr int kScanVectors = 8;

// x is better than the last of best [k], which it drives out. Of equals, the first stays before.
inline void insert_candidate(float x, int64_t id, Candidate* best, int64_t k) {
  int64_t at = k - 1;
  for (; at > 0 && best[at - 1].logit < x; --at) best[at] = best[at - 1];
  best[at] = {x, static_cast<int32_t>(id)};
}

// Takes columns x [n], n <= kWidth, of which the first has that id; some may be better than the
// last.
inline void take_candidates(F32 x, int64_t id, Candidate* best, int64_t k) {
  uint32_t above = lanes_above(x, broadcast(best[k - 1].logit));
  if (above == 0) return;
  alignas(64) float lanes[kWidth];
  store(lanes, x);
  for (; above != 0; above &= above - 1) {
    const int lane = __builtin_ctz(above);
    if (lanes[lane] > best[k - 1].logit) insert_candidate(lanes[lane], id + lane, best, k);
  }
}

inline void scan_row(const float* x, int64_t n, int64_t first_id, Candidate* best, int64_t k) {
  constexpr int64_t kStep = kScanVectors * kWidth;
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) {
    // Begins with what is to be beaten. NaN leaves max its second operand.
    const F32 least = broadcast(best[k - 1].logit);
    F32 largest[2] = {least, least};
    HEADLANE_UNROLL
    for (int u = 0; u < kScanVectors; ++u) {
      largest[u % 2] = max(load(x + i + u * kWidth), largest[u % 2]);
    }
    if (lanes_above(max(largest[0], largest[1]), least) == 0) continue;
    for (int64_t u = i; u < i + kStep; u += kWidth) {
      take_candidates(load(x + u), first_id + u, best, k);
    }
  }
  for (; i < n; i += kWidth) {
    const int64_t width = smaller(kWidth, n - i);
    const F32 lanes = keep_n(load_up_to(x + i, width), width, -kInfinity);
    take_candidates(lanes, first_id + i, best, k);
  }
}

// The sum of exp(x - largest) so far becomes that of these columns too, relative to a largest that
// may have grown.
inline void add_exponentials(const float* x, int64_t n, float largest, TopK* top) {
  // Nothing but -inf so far: every exponential is to be 0, and -inf - -inf would be NaN.
  const float offset = largest == -kInfinity ? 0.0f : largest;
  const auto power = [&](F32 logit) {
    return exp2((logit - broadcast(offset)) * broadcast(kLog2E));
  };
  const float sum = sum_over_row(n, [&](int64_t i, int64_t width) {
    return keep_n(power(load_up_to(x + i, width)), width, 0.0f);
  });
  const float rescale = top->largest == largest ? 1.0f : power(broadcast(top->largest)).get(0);
  top->sum = top->sum * rescale + sum;
  top->largest = largest;
}

inline void top_k_f32(const TopKF32Args& args) {
  assert(args.rows >= 0 && args.n >= 0 && args.k >= 1);
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* x = args.x + r * args.ldx;
    Candidate* best = args.best + r * args.ld_best;
    TopK* top = args.top + r * args.ld_top;
    if (args.begin) {
      for (int64_t i = 0; i < args.k; ++i) best[i] = {-kInfinity, -1};
      *top = {-kInfinity, 0.0f};
    }
    scan_row(x, args.n, args.first_id, best, args.k);
    add_exponentials(x, args.n, best[0].logit, top);
  }
}

}  // namespace headlane::kernels::HEADLANE_ISA
