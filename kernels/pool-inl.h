// One vector for a sequence: a mean, the first or the element-wise maximum of its rows, and its
// Euclidean normalisation. Rows are taken in order, so the sum has one order.
#pragma once

#include "kernels/loops-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// The sum of the rows is divided by this. Places add up to an integer, which is rounded once.
inline float pool_divisor(const PoolF32Args& args) {
  if (args.pooling == Pooling::kMean) return static_cast<float>(args.rows);
  if (args.pooling == Pooling::kMeanSqrtLen) {
    return __builtin_sqrtf(static_cast<float>(args.rows));
  }
  const int64_t ends = 2 * args.place + args.rows + 1;
  return static_cast<float>(static_cast<double>(args.rows) * static_cast<double>(ends) / 2);
}

// n columns, from column i on.
inline F32 pool_vector(const PoolF32Args& args, int64_t i, int64_t n, float divisor) {
  const float* x = args.x + i;
  const bool weighted = args.pooling == Pooling::kWeightedMean;
  F32 result = load_up_to(x, n);
  if (args.pooling == Pooling::kCls) return result;
  if (weighted) result = result * broadcast(static_cast<float>(args.place + 1));
  for (int64_t r = 1; r < args.rows; ++r) {
    const F32 row = load_up_to(x + r * args.ldx, n);
    // A NaN on either side must show; max returns its second operand then, so the first is asked
    // for.
    if (args.pooling == Pooling::kMax) {
      result = xsimd::select(row == row, max(row, result), row);
    } else if (weighted) {
      result = fma(row, broadcast(static_cast<float>(args.place + r + 1)), result);
    } else {
      result = result + row;
    }
  }
  return args.pooling == Pooling::kMax ? result : result / broadcast(divisor);
}

inline void pool_f32(const PoolF32Args& args) {
  assert(args.rows >= 1 && args.d >= 1);
  const float divisor = pool_divisor(args);
  for_each_vector(args.d, [&](int64_t i, int64_t n) {
    store_up_to(args.y + i, pool_vector(args, i, n, divisor), n);
  });
  if (!args.normalize) return;
  const float squares = sum_over_row(args.d, [&](int64_t i, int64_t n) {
    const F32 y = load_up_to(args.y + i, n);
    return y * y;
  });
  const float length = __builtin_sqrtf(squares);
  const F32 by = broadcast(length < 1e-12f ? 1e-12f : length);  // as PyTorch's normalize
  for_each_vector(args.d, [&](int64_t i, int64_t n) {
    store_up_to(args.y + i, load_up_to(args.y + i, n) / by, n);
  });
}

}  // namespace headlane::kernels::HEADLANE_ISA
