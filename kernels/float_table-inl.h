// The table of an instruction set with vectors of its own: all slots but those of attention in
// bf16. Products in bf16 and in bytes with one scale a row are widened.
#pragma once

#include "kernels/add-inl.h"
#include "kernels/attention-inl.h"
#include "kernels/attention_f32-inl.h"
#include "kernels/attention_probabilities-inl.h"
#include "kernels/convert-inl.h"
#include "kernels/decode_attention-inl.h"
#include "kernels/embed-inl.h"
#include "kernels/gate-inl.h"
#include "kernels/gemm-inl.h"
#include "kernels/gemm_grouped_many-inl.h"
#include "kernels/gemm_widened-inl.h"
#include "kernels/layer_norm-inl.h"
#include "kernels/pool-inl.h"
#include "kernels/rms_norm-inl.h"
#include "kernels/rotary-inl.h"
#include "kernels/top_k-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

constexpr Table make_float_table(const char* isa) {
  Table table = {
      .products = {},
      .convert = convert,
      .quantize_weights = quantize_weights,
      .layer_norm_f32 = layer_norm_f32,
      .rms_norm_f32 = rms_norm_f32,
      .gate_f32 = gate_f32,
      .add_f32 = add_f32,
      .embed_f32 = embed_f32,
      .attention_f32 = attention<float>,
      .attention_probabilities_f32 = attention_probabilities<float>,
      .attention_scratch_floats = attention_scratch_floats<float>,
      .attention_group_rows = AttentionTile<float>::kGroupRows,
      .decode_attention_f32 = decode_attention<float>,
      .decode_attention_bf16 = decode_attention<Bf16>,
      .decode_attention_s8 = decode_attention<int8_t>,
      .decode_scratch_floats = decode_scratch_floats,
      .rotate = rotate,
      .top_k_f32 = top_k_f32,
      .pool_f32 = pool_f32,
      .activate_f32 = activate_f32,
  };
  table.product(Precision::kF32) = make_f32_product(isa);
  table.product(Precision::kBf16) = make_widened_bf16_product(isa);
  fill_grouped_products(&table, isa);
  return table;
}

}  // namespace headlane::kernels::HEADLANE_ISA
