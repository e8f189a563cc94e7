// AVX2 with AVX-VNNI (Alder Lake and later): products of bytes, four to an instruction.
#define HEADLANE_ISA avx2_vnni
#include "kernels/simd/avx2_vnni-inl.h"
// The algorithms, in any order.
#include "kernels/gemm_grouped_dots-inl.h"
#include "kernels/gemm_narrow-inl.h"
#include "kernels/isa/isas.h"

namespace headlane::kernels {

void avx2_vnni::fill(Table* table) {
  table->product(Precision::kInt8) = make_int8_product<NativeU8>("avx2_vnni", true);
  avx2_vnni::fill_dot_products(table, "avx2_vnni");
}

}  // namespace headlane::kernels
