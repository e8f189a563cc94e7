// AVX-512 with VNNI (Cascade Lake and later): products of bytes, four to an instruction.
#define HEADLANE_ISA avx512_vnni
// clang-format off
#include "kernels/prologue-inl.h"
#include "kernels/simd/avx512-inl.h"

namespace headlane::kernels::avx512_vnni {
constexpr int kMR = 8, kNV = 3;  // 24 accumulators + 3 of B + 1 of A of 32 registers
constexpr int64_t kKC = 384;
}  // namespace headlane::kernels::avx512_vnni

#include "kernels/math-inl.h"
#include "kernels/gemm-inl.h"
#include "kernels/gemm_dots-inl.h"
#include "kernels/simd/avx512_vnni-inl.h"
#include "kernels/gemm_narrow-inl.h"
// clang-format on
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
