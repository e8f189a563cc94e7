// A multi-head attention layer made from weights at hand, as a model of one layer on activations.
#pragma once

#include <memory>
#include <string>

#include "engine/model/model.h"

namespace headlane {

struct LinearWeights {
  const float* weight = nullptr;  // [n_out, n_in]
  const float* bias = nullptr;    // [n_out], or null
};

// All pointers are read by make_attention_layer and not kept.
struct AttentionLayerSource {
  ModelConfig config;  // of one layer
  AttentionWeights attention;
  LinearWeights q, k, v, out;
  const float* bilinear = nullptr;  // [n_heads, head_dim, head_dim], of score kBilinear
  const float* norm_weight = nullptr;
  const float* norm_bias = nullptr;
};

std::unique_ptr<Model> make_attention_layer(const AttentionLayerSource& source,
                                            const ModelOptions& options);

}  // namespace headlane
