// Products of bytes by VPDPBUSD: what WidenedU8 does, in one instruction.
#pragma once

#include "kernels/simd/avx512-inl.h"
// Dots are made of this.
#include "kernels/gemm_dots-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

struct U8Dot : S32Sums {
  using Group = uint32_t;
  static Groups a(const uint32_t* p) { return broadcast_group(p); }
  static Groups b(const uint32_t* p) { return load_groups(p); }
  static Acc step(Acc sum, Groups a, Groups b) { return add_dots_8(sum, a, b); }
};
using NativeU8 = DotTile<U8Dot>;

}  // namespace headlane::kernels::HEADLANE_ISA
