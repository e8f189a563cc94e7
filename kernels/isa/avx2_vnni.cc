// AVX2 with AVX-VNNI (Alder Lake and later): products of bytes, four to an instruction.
#define HEADLANE_ISA avx2_vnni
#include "kernels/simd/avx2_vnni-inl.h"
// The algorithms, in any order.
#include "kernels/gemm_narrow-inl.h"
#include "kernels/isa/tables.h"

namespace headlane::kernels {

const Table& avx2_vnni_table() {
  static const Table kTable = [] {
    Table table = avx2_table();
    table.isa = "avx2_vnni";
    table.gemm_u8 = avx2_vnni::make_gemm_u8<avx2_vnni::NativeU8>("avx2_vnni", true);
    return table;
  }();
  return kTable;
}

}  // namespace headlane::kernels
