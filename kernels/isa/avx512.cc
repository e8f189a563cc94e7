// AVX-512 F, CD, BW, DQ, VL: 32 registers of 16 floats.
#define HEADLANE_ISA avx512
#include "kernels/simd/avx512-inl.h"
// The algorithms, in any order.
#include "kernels/float_table-inl.h"
#include "kernels/isa/tables.h"

namespace headlane::kernels {

const Table& avx512_table() {
  static constexpr Table kTable = avx512::make_float_table("avx512");
  return kTable;
}

}  // namespace headlane::kernels
