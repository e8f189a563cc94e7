// AVX2 with AVX-VNNI (Alder Lake and later): products of bytes, four to an instruction.
#define HEADLANE_ISA avx2_vnni
// clang-format off
#include "kernels/prologue-inl.h"
#include "kernels/simd/avx2-inl.h"

namespace headlane::kernels::avx2_vnni {
constexpr int kMR = 6, kNV = 2;  // 12 accumulators + 2 of B + 1 of A of 16 registers
constexpr int64_t kKC = 384;
}  // namespace headlane::kernels::avx2_vnni

#include "kernels/math-inl.h"
#include "kernels/gemm-inl.h"
#include "kernels/gemm_dots-inl.h"
#include "kernels/simd/avx2_vnni-inl.h"
#include "kernels/gemm_narrow-inl.h"
// clang-format on
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
