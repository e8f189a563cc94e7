// Loops over rows in whole vectors, and what of sizes and caches more than one algorithm needs.
#pragma once

#include "kernels/prologue-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

inline int64_t round_up(int64_t x, int64_t multiple) {
  return (x + multiple - 1) / multiple * multiple;
}
constexpr int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// Rows cut into strips for a register tile: as few as mr rows each allow, and of even height, the
// taller first. 8 rows of a tile of 6 are 4 and 4: of 6 and 2, the second would have too few chains
// of sums to keep the multipliers busy, and would read all of B for two rows.
class Strips {
 public:
  Strips(int64_t rows, int64_t mr)
      : count_((rows + mr - 1) / mr),
        height_(count_ > 0 ? rows / count_ : 0),
        n_taller_(rows - count_ * height_) {}
  int64_t count() const { return count_; }
  int64_t begin(int64_t i) const { return i * height_ + smaller(i, n_taller_); }
  int64_t rows(int64_t i) const { return height_ + (i < n_taller_ ? 1 : 0); }

 private:
  int64_t count_, height_, n_taller_;
};

// A register tile's sums begin here where they begin at nothing: it is as wide as any tile.
alignas(64) constexpr float kZeroRow[64] = {};

// Calls body(offset, n) over [0, d): whole vectors have n == kWidth, the last may have fewer.
template <typename Body>
inline void for_each_vector(int64_t d, Body body) {
  int64_t i = 0;
  for (; i + kWidth <= d; i += kWidth) body(i, int64_t{kWidth});
  if (i < d) body(i, d - i);
}

inline F32 load_up_to(const float* p, int64_t n) { return n == kWidth ? load(p) : load_n(p, n); }
inline void store_up_to(float* p, F32 x, int64_t n) {
  n == kWidth ? store(p, x) : store_n(p, x, n);
}

// The sum of term(offset, n) over the vectors of a row. Four partial sums, so that additions
// overlap; the order depends on d alone.
template <typename Term>
inline float sum_over_row(int64_t d, Term term) {
  F32 sums[4] = {broadcast(0), broadcast(0), broadcast(0), broadcast(0)};
  int64_t i = 0;
  for (; i + 4 * kWidth <= d; i += 4 * kWidth) {
    HEADLANE_UNROLL
    for (int u = 0; u < 4; ++u) sums[u] = sums[u] + term(i + u * kWidth, int64_t{kWidth});
  }
  for (; i < d; i += kWidth) sums[0] = sums[0] + term(i, smaller(kWidth, d - i));
  return reduce_add((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// Asks for a row to be brought near. Rows of one head in a tensor of many lie too far apart for the
// hardware to see them coming. Inlined by force: gcc takes a function of prefetches for one without
// effects, and drops calls of it.
template <typename T>
[[gnu::always_inline]] inline void fetch_row(const T* row, int64_t n) {
  constexpr int64_t kStep = 64 / sizeof(T);
  for (int64_t i = 0; i < n; i += kStep) __builtin_prefetch(row + i, 0, 2);
}

}  // namespace headlane::kernels::HEADLANE_ISA
