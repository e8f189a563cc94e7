// AVX-512 with VNNI (Cascade Lake and later): products of bytes, four to an instruction.
#define HEADLANE_ISA avx512_vnni
#include "kernels/simd/avx512_vnni-inl.h"
// The algorithms, in any order.
#include "kernels/gemm_grouped_dots-inl.h"
#include "kernels/gemm_narrow-inl.h"
#include "kernels/isa/isas.h"

namespace headlane::kernels {

void avx512_vnni::fill(Table* table) {
  table->product(Precision::kInt8) = make_int8_product<NativeU8>("avx512_vnni", true);
  avx512_vnni::fill_dot_products(table, "avx512_vnni");
}

}  // namespace headlane::kernels
