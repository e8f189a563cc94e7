// AVX-512 with BF16 and VNNI (Cooper Lake, Zen 4 and later): products of pairs of bf16.
#define HEADLANE_ISA avx512_bf16
#include "kernels/simd/avx512_bf16-inl.h"
// The algorithms, in any order.
#include "kernels/attention-inl.h"
#include "kernels/attention_bf16-inl.h"
#include "kernels/attention_probabilities-inl.h"
#include "kernels/gemm_narrow-inl.h"
#include "kernels/isa/isas.h"

namespace headlane::kernels {

void avx512_bf16::fill(Table* table) {
  // Not convert: VCVTNEPS2BF16 takes denormals for zeros, and files must not depend on the
  // machine.
  table->product(Precision::kBf16) = make_bf16_product<NativeBf16>("avx512_bf16", true);
  table->attention_bf16 = attention<Bf16>;
  table->attention_probabilities_bf16 = attention_probabilities<Bf16>;
  table->attention_bf16_scratch_floats = attention_scratch_floats<Bf16>;
  table->attention_bf16_group_rows = AttentionTile<Bf16>::kGroupRows;
}

}  // namespace headlane::kernels
