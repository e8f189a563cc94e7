// AVX2 with FMA and F16C: 16 registers of 8 floats.
#define HEADLANE_ISA avx2
#include "kernels/simd/avx2-inl.h"
// The algorithms, in any order.
#include "kernels/float_table-inl.h"
#include "kernels/gemm_pairs-inl.h"
#include "kernels/isa/isas.h"

namespace headlane::kernels {

void avx2::fill(Table* table) {
  *table = avx2::make_float_table("avx2");
  table->product(Precision::kInt8) = avx2::make_pairs_product("avx2");
}

}  // namespace headlane::kernels
