// The attention of kernels/isa/ref.cc.
#pragma once

#include "kernels/kernels.h"

namespace headlane::kernels::ref {

void attention(const AttentionF32Args& args);
void attention_probabilities(const AttentionF32Args& args, float* p, int64_t ldp);
int64_t attention_scratch_floats(int64_t head_dim, int64_t v_dim);

}  // namespace headlane::kernels::ref
