// y = s / sqrt(mean(s^2) + eps) * gamma for each row, s = x + residual (Zhang and Sennrich 2019,
// "Root Mean Square Layer Normalization"). Bound by L1: two passes over a row that stays there.
#pragma once

#include "kernels/loops-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

inline void rms_norm_row(const LayerNormF32Args& args, const float* x, const float* residual,
                         float* y) {
  const int64_t d = args.d;
  const float squares = sum_over_row(d, [&](int64_t i, int64_t n) {
    F32 s = load_up_to(x + i, n);
    if (residual) {
      s = s + load_up_to(residual + i, n);
      store_up_to(y + i, s, n);
    }
    return s * s;
  });
  const float* s = residual ? y : x;
  const float mean = squares / static_cast<float>(d);
  const F32 inverse = broadcast(1.0f / __builtin_sqrtf(mean + args.eps));
  for_each_vector(d, [&](int64_t i, int64_t n) {
    store_up_to(y + i, load_up_to(s + i, n) * inverse * load_up_to(args.gamma + i, n), n);
  });
}

inline void rms_norm_f32(const LayerNormF32Args& args) {
  assert(args.rows >= 0 && args.d >= 1 && !args.beta);
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* residual = args.residual ? args.residual + r * args.ld_residual : nullptr;
    rms_norm_row(args, args.x + r * args.ldx, residual, args.y + r * args.ldy);
  }
}

}  // namespace headlane::kernels::HEADLANE_ISA
