// AVX-512 with VNNI (Cascade Lake and later): products of bytes, four to an instruction.
#define HEADLANE_ISA avx512_vnni
#include "kernels/simd/avx512_vnni-inl.h"
// The algorithms, in any order.
#include "kernels/gemm_narrow-inl.h"
#include "kernels/isa/tables.h"

namespace headlane::kernels {

const Table& avx512_vnni_table() {
  static const Table kTable = [] {
    Table table = avx512_table();
    table.isa = "avx512_vnni";
    table.gemm_u8 = avx512_vnni::make_gemm_u8<avx512_vnni::NativeU8>("avx512_vnni", true);
    return table;
  }();
  return kTable;
}

}  // namespace headlane::kernels
