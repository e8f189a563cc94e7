// AVX2 with FMA: 16 registers of 8 floats.
#define HEADLANE_ISA avx2
// The order matters: the vector primitives, the register tile, then the algorithms, each building
// on those before it.
// clang-format off
#include "kernels/prologue-inl.h"
#include "kernels/simd/avx2-inl.h"

namespace headlane::kernels::avx2 {
constexpr int kMR = 6, kNV = 2;  // 12 accumulators + 2 of B + 1 of A of 16 registers
constexpr int64_t kKC = 256;     // KC x NR floats = 16 KB: half of L1
}  // namespace headlane::kernels::avx2

#include "kernels/math-inl.h"
#include "kernels/gemm-inl.h"
#include "kernels/layer_norm-inl.h"
#include "kernels/rms_norm-inl.h"
#include "kernels/gate-inl.h"
#include "kernels/gemm_dots-inl.h"
#include "kernels/gemm_narrow-inl.h"
#include "kernels/convert-inl.h"
#include "kernels/add-inl.h"
#include "kernels/embed-inl.h"
#include "kernels/pool-inl.h"
#include "kernels/rotary-inl.h"
#include "kernels/attention_scores-inl.h"
#include "kernels/attention-inl.h"
#include "kernels/attention_probabilities-inl.h"
#include "kernels/decode_rows-inl.h"
#include "kernels/decode_attention-inl.h"
#include "kernels/top_k-inl.h"
// clang-format on
#include "kernels/isa/tables.h"

namespace headlane::kernels {

constexpr Table kAvx2Table = {
    .isa = "avx2",
    .gemm_f32 = {.name = "avx2",
                 .mr = avx2::kMR,
                 .nr = avx2::kNR,
                 .packed_floats = avx2::gemm_packed_floats,
                 .pack = avx2::gemm_pack_f32,
                 .run = avx2::gemm_run_f32},
    .gemm_bf16 = avx2::make_gemm_bf16<avx2::WidenedBf16>("avx2", false),
    .gemm_u8 = avx2::make_gemm_u8<avx2::WidenedU8>("avx2", false),
    .convert = avx2::convert,
    .quantize_weights = avx2::quantize_weights,
    .layer_norm_f32 = avx2::layer_norm_f32,
    .rms_norm_f32 = avx2::rms_norm_f32,
    .gate_f32 = avx2::gate_f32,
    .add_f32 = avx2::add_f32,
    .embed_f32 = avx2::embed_f32,
    .attention_f32 = avx2::attention<float>,
    .attention_probabilities_f32 = avx2::attention_probabilities<float>,
    .attention_scratch_floats = avx2::attention_scratch_floats<float>,
    .attention_group_rows = avx2::AttentionTile<float>::kGroupRows,
    .decode_attention_f32 = avx2::decode_attention<float>,
    .decode_attention_bf16 = avx2::decode_attention<Bf16>,
    .decode_scratch_floats = avx2::decode_scratch_floats,
    .top_k_f32 = avx2::top_k_f32,
    .pool_f32 = avx2::pool_f32,
    .activate_f32 = avx2::activate_f32,
};

const Table& avx2_table() { return kAvx2Table; }

}  // namespace headlane::kernels
