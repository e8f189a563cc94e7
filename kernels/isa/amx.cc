// AMX (Sapphire Rapids and later): tiles of 16 rows of 64 bytes. Products in bf16 and in bytes, and
// attention, are its own; all else is as for AVX-512 with BF16, which such machines have.
#define HEADLANE_ISA amx
// clang-format off
#include "kernels/prologue-inl.h"
#include "kernels/simd/avx512-inl.h"

namespace headlane::kernels::amx {
constexpr int kMR = 8, kNV = 3;  // of float tiles, which this row has no use for
constexpr int64_t kKC = 384;
// Of attention: scores and probabilities of a strip, 36 KB, stay in L1.
constexpr int64_t kDotBC = 192, kDotGroupRows = 512;
}  // namespace headlane::kernels::amx

#include "kernels/math-inl.h"
#include "kernels/gemm-inl.h"
#include "kernels/layer_norm-inl.h"
#include "kernels/gemm_tiles-inl.h"
#include "kernels/gemm_narrow-inl.h"
#include "kernels/rotary-inl.h"
#include "kernels/attention_scores-inl.h"
namespace headlane::kernels::amx { using NativeBf16 = TileBf16; }
#include "kernels/attention_bf16-inl.h"
#include "kernels/attention-inl.h"
#include "kernels/attention_probabilities-inl.h"
// clang-format on
#include "kernels/isa/tables.h"

namespace headlane::kernels {

const Table& amx_table() {
  static const Table kTable = [] {
    Table table = avx512_bf16_table();
    table.isa = "amx";
    table.gemm_bf16 = amx::make_gemm_bf16<amx::TileBf16>("amx", true);
    table.gemm_u8 = amx::make_gemm_u8<amx::TileU8>("amx", true);
    table.attention_bf16 = amx::attention<Bf16>;
    table.attention_probabilities_bf16 = amx::attention_probabilities<Bf16>;
    table.attention_bf16_scratch_floats = amx::attention_scratch_floats<Bf16>;
    table.attention_bf16_group_rows = amx::AttentionTile<Bf16>::kGroupRows;
    return table;
  }();
  return kTable;
}

}  // namespace headlane::kernels
