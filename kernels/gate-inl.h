// y = activation(x) * up for each row: the hidden row of a gated feed-forward
// (Shazeer 2020, "GLU Variants Improve Transformer"). Bound by the activation's arithmetic, or by
// L1 where there is little of it.
#pragma once

#include "kernels/loops-inl.h"
#include "kernels/math-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

inline void gate_f32(const GateF32Args& args) {
  assert(args.rows >= 0 && args.d >= 1);
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* x = args.x + r * args.ldx;
    const float* up = args.up != nullptr ? args.up + r * args.ldx : x + args.d;
    float* y = args.y + r * args.ldy;
    for_each_vector(args.d, [&](int64_t i, int64_t n) {
      const F32 gate = activate(args.activation, load_up_to(x + i, n));
      store_up_to(y + i, gate * load_up_to(up + i, n), n);
    });
  }
}

}  // namespace headlane::kernels::HEADLANE_ISA
