// AMX (Sapphire Rapids and later): tiles of 16 rows of 64 bytes. Products in bf16 and in bytes, and
// attention, are its own; all else is as for AVX-512 with BF16, which such machines have.
#define HEADLANE_ISA amx
#include "kernels/simd/amx-inl.h"
// The algorithms, in any order.
#include "kernels/attention-inl.h"
#include "kernels/attention_bf16-inl.h"
#include "kernels/attention_probabilities-inl.h"
#include "kernels/gemm_narrow-inl.h"
#include "kernels/isa/tables.h"

namespace headlane::kernels {

const Table& amx_table() {
  static const Table kTable = [] {
    Table table = avx512_bf16_table();
    table.isa = "amx";
    table.gemm_bf16 = amx::make_gemm_bf16<amx::NativeBf16>("amx", true);
    table.gemm_u8 = amx::make_gemm_u8<amx::NativeU8>("amx", true);
    table.attention_bf16 = amx::attention<Bf16>;
    table.attention_probabilities_bf16 = amx::attention_probabilities<Bf16>;
    table.attention_bf16_scratch_floats = amx::attention_scratch_floats<Bf16>;
    table.attention_bf16_group_rows = amx::AttentionTile<Bf16>::kGroupRows;
    return table;
  }();
  return kTable;
}

}  // namespace headlane::kernels
