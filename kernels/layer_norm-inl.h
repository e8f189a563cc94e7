// y = (s - mean(s)) / sqrt(variance(s) + eps) * gamma + beta for each row, s = x + residual.
// Bound by L1: three passes over a row that stays there.
#pragma once

#include "kernels/loops-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

inline void layer_norm_row(const LayerNormF32Args& args, const float* x, const float* residual,
                           float* y) {
  const int64_t d = args.d;
  const float sum = sum_over_row(d, [&](int64_t i, int64_t n) {
    F32 s = load_up_to(x + i, n);
    if (residual) s = s + load_up_to(residual + i, n);
    store_up_to(y + i, s, n);
    return s;
  });
  const float mean = sum / static_cast<float>(d);
  const float squares = sum_over_row(d, [&](int64_t i, int64_t n) {
    const F32 centred = keep_n(load_up_to(y + i, n) - broadcast(mean), n, 0.0f);
    return centred * centred;
  });
  const float variance = squares / static_cast<float>(d);
  const F32 inverse = broadcast(1.0f / __builtin_sqrtf(variance + args.eps));
  for_each_vector(d, [&](int64_t i, int64_t n) {
    const F32 normal = (load_up_to(y + i, n) - broadcast(mean)) * inverse;
    const F32 beta = args.beta ? load_up_to(args.beta + i, n) : broadcast(0.0f);
    store_up_to(y + i, fma(normal, load_up_to(args.gamma + i, n), beta), n);
  });
}

inline void layer_norm_f32(const LayerNormF32Args& args) {
  assert(args.rows >= 0 && args.d >= 1);
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* residual = args.residual ? args.residual + r * args.ld_residual : nullptr;
    layer_norm_row(args, args.x + r * args.ldx, residual, args.y + r * args.ldy);
  }
}

}  // namespace headlane::kernels::HEADLANE_ISA
