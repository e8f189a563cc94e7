// AMX beside the vectors of AVX-512: products of bf16 and of bytes in tiles.
#pragma once

#include "kernels/simd/avx512-inl.h"
// Products in tiles are made of this.
#include "kernels/gemm_tiles-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

using NativeBf16 = AmxTile<Bf16Tiles>;
using NativeU8 = AmxTile<U8Tiles>;
constexpr int64_t kBf16BC =
    192;  // of attention: scores and probabilities of a strip, 36 KB, stay in L1

}  // namespace headlane::kernels::HEADLANE_ISA
