// AMX (Sapphire Rapids and later): tiles of 16 rows of 64 bytes. Products in bf16 and in bytes, and
// attention, are its own; all else is as for AVX-512 with BF16, which such machines have.
#define HEADLANE_ISA amx
#include "kernels/simd/amx-inl.h"
// The algorithms, in any order.
#include "kernels/attention-inl.h"
#include "kernels/attention_bf16-inl.h"
#include "kernels/attention_probabilities-inl.h"
#include "kernels/decode_tiled-inl.h"
#include "kernels/gemm_grouped_tiles-inl.h"
#include "kernels/gemm_tile_products-inl.h"
#include "kernels/isa/isas.h"

namespace headlane::kernels {

void amx::fill(Table* table) {
  amx::fill_tile_products(table, "amx");
  amx::fill_tiled_groups(table, "amx");
  table->attention_bf16 = attention<Bf16>;
  table->attention_probabilities_bf16 = attention_probabilities<Bf16>;
  table->attention_bf16_scratch_floats = attention_scratch_floats<Bf16>;
  table->attention_bf16_group_rows = AttentionTile<Bf16>::kGroupRows;
  table->decode_attention_bf16 = tiled_decode_attention;
  table->decode_scratch_floats = tiled_decode_scratch_floats;
}

}  // namespace headlane::kernels
