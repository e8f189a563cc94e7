// One vector for a sequence: the mean, the first or the element-wise maximum of its rows, and its
// Euclidean normalisation. Rows are taken in order, so the sum has one order.
#pragma once

#include "kernels/loops-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

inline F32 pool_vector(Pooling pooling, int64_t rows, const float* x, int64_t ldx, int64_t n) {
  F32 result = load_up_to(x, n);
  if (pooling == Pooling::kCls) return result;
  for (int64_t r = 1; r < rows; ++r) {
    const F32 row = load_up_to(x + r * ldx, n);
    // A NaN on either side must show; max returns its second operand then, so the first is asked
    // for.
    if (pooling == Pooling::kMax) result = xsimd::select(row == row, max(row, result), row);
    if (pooling == Pooling::kMean) result = result + row;
  }
  return pooling == Pooling::kMean ? result / broadcast(static_cast<float>(rows)) : result;
}

inline void pool_f32(const PoolF32Args& args) {
  assert(args.rows >= 1 && args.d >= 1);
  for_each_vector(args.d, [&](int64_t i, int64_t n) {
    store_up_to(args.y + i, pool_vector(args.pooling, args.rows, args.x + i, args.ldx, n), n);
  });
  if (!args.normalize) return;
  const float squares = sum_over_row(args.d, [&](int64_t i, int64_t n) {
    const F32 y = load_up_to(args.y + i, n);
    return y * y;
  });
  const float length = __builtin_sqrtf(squares);
  const F32 divisor = broadcast(length < 1e-12f ? 1e-12f : length);  // as PyTorch's normalize
  for_each_vector(args.d, [&](int64_t i, int64_t n) {
    store_up_to(args.y + i, load_up_to(args.y + i, n) / divisor, n);
  });
}

}  // namespace headlane::kernels::HEADLANE_ISA
