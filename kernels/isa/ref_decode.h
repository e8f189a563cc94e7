// A step of decoding needs these of kernels/isa/ref.cc beside the ops of encoders.
#pragma once

#include "kernels/kernels.h"

namespace headlane::kernels::ref {

void decode_attention_f32(const DecodeAttentionArgs<float>& args);
void decode_attention_bf16(const DecodeAttentionArgs<Bf16>& args);
void decode_attention_s8(const DecodeAttentionArgs<int8_t>& args);
int64_t decode_scratch_floats(int64_t head_dim, int64_t v_dim);
void rotate(const RotateArgs& args);
void top_k(const TopKF32Args& args);

}  // namespace headlane::kernels::ref
