// AVX-512 F, CD, BW, DQ, VL: 32 registers of 16 floats.
#define HEADLANE_ISA avx512
#include "kernels/simd/avx512-inl.h"
// The algorithms, in any order.
#include "kernels/float_table-inl.h"
#include "kernels/gemm_widened_bytes-inl.h"
#include "kernels/isa/isas.h"

namespace headlane::kernels {

void avx512::fill(Table* table) {
  *table = avx512::make_float_table("avx512");
  table->product(Precision::kInt8) = avx512::make_widened_int8_product("avx512");
}

}  // namespace headlane::kernels
