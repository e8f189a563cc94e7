// Products of pairs of bf16 by VDPBF16PS: what WidenedBf16 does, in one instruction, which takes
// denormals for zeros.
#pragma once

#include "kernels/simd/avx512-inl.h"
// Dots are made of this.
#include "kernels/gemm_dots-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

struct Bf16Dot : F32Sums {
  using Group = uint32_t;
  static Groups a(const uint32_t* p) { return broadcast_group(p); }
  static Groups b(const uint32_t* p) { return load_groups(p); }
  static Acc step(Acc sum, Groups a, Groups b) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
};
using NativeBf16 = DotTile<Bf16Dot>;
constexpr int64_t kBf16BC = 240;  // keys of a block of attention, as of floats

}  // namespace headlane::kernels::HEADLANE_ISA
