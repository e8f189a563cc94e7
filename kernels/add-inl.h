// y = a + b. Bound by L1.
#pragma once

#include "kernels/loops-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

inline void add_f32(const AddF32Args& args) {
  assert(args.rows >= 0 && args.d >= 1);
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* a = args.a + r * args.lda;
    const float* b = args.b + r * args.ldb;
    float* y = args.y + r * args.ldy;
    for_each_vector(args.d, [&](int64_t i, int64_t n) {
      store_up_to(y + i, load_up_to(a + i, n) + load_up_to(b + i, n), n);
    });
  }
}

}  // namespace headlane::kernels::HEADLANE_ISA
