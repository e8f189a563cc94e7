// AVX-512 F, CD, BW, DQ, VL: 32 registers of 16 floats.
#define HEADLANE_ISA avx512
// The order matters: the vector primitives, the register tile, then the algorithms, each building
// on those before it.
// clang-format off
#include "kernels/prologue-inl.h"
#include "kernels/simd/avx512-inl.h"

namespace headlane::kernels::avx512 {
constexpr int kMR = 8, kNV = 3;  // 24 accumulators + 3 of B + 1 of A of 32 registers
constexpr int64_t kKC = 384;     // chosen by bench gemm
}  // namespace headlane::kernels::avx512

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

constexpr Table kAvx512Table = {
    .isa = "avx512",
    .gemm_f32 = {.name = "avx512",
                 .mr = avx512::kMR,
                 .nr = avx512::kNR,
                 .packed_floats = avx512::gemm_packed_floats,
                 .pack = avx512::gemm_pack_f32,
                 .run = avx512::gemm_run_f32},
    .gemm_bf16 = avx512::make_gemm_bf16<avx512::WidenedBf16>("avx512", false),
    .gemm_u8 = avx512::make_gemm_u8<avx512::WidenedU8>("avx512", false),
    .convert = avx512::convert,
    .quantize_weights = avx512::quantize_weights,
    .layer_norm_f32 = avx512::layer_norm_f32,
    .rms_norm_f32 = avx512::rms_norm_f32,
    .gate_f32 = avx512::gate_f32,
    .add_f32 = avx512::add_f32,
    .embed_f32 = avx512::embed_f32,
    .attention_f32 = avx512::attention<float>,
    .attention_probabilities_f32 = avx512::attention_probabilities<float>,
    .attention_scratch_floats = avx512::attention_scratch_floats<float>,
    .attention_group_rows = avx512::AttentionTile<float>::kGroupRows,
    .decode_attention_f32 = avx512::decode_attention<float>,
    .decode_attention_bf16 = avx512::decode_attention<Bf16>,
    .decode_scratch_floats = avx512::decode_scratch_floats,
    .top_k_f32 = avx512::top_k_f32,
    .pool_f32 = avx512::pool_f32,
    .activate_f32 = avx512::activate_f32,
};

const Table& avx512_table() { return kAvx512Table; }

}  // namespace headlane::kernels
