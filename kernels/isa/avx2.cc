// AVX2 with FMA: 16 registers of 8 floats.
#define HEADLANE_ISA avx2
#include "kernels/simd/avx2-inl.h"
// The algorithms, in any order.
#include "kernels/float_table-inl.h"
#include "kernels/isa/tables.h"

namespace headlane::kernels {

const Table& avx2_table() {
  static constexpr Table kTable = avx2::make_float_table("avx2");
  return kTable;
}

}  // namespace headlane::kernels
