// The blocks that architectures are made of. `name` is the prefix of the block's tensors in the
// file, such as "layers.0.attention". Each returns its output, [n_tokens, ...].
#pragma once

#include <string>

#include "engine/graph/graph.h"

namespace headlane {

class GraphBuilder {
 public:
  GraphBuilder(const ModelConfig& config, const Container& weights)
      : config_(config), weights_(weights) {}

  // name.word, name.position, name.type -> [d_model]
  ValueId embed(const std::string& name);
  // name.weight [n, k], name.bias [n]
  ValueId linear(const std::string& name, ValueId x, int64_t n, kernels::Activation activation);
  // name.weight [d_model], name.bias [d_model]; norm(x + residual)
  ValueId add_norm(const std::string& name, ValueId x, ValueId residual);
  ValueId norm(const std::string& name, ValueId x);
  // Projections name.qkv and name.out around multi-head self-attention.
  ValueId self_attention(const std::string& name, ValueId x);
  // name.up, the activation, name.down
  ValueId feed_forward(const std::string& name, ValueId x);

  // Declares the last hidden states, adds the config's pooling, and gives the graph away.
  Graph finish(ValueId hidden) &&;

 private:
  std::unique_ptr<LayerNorm> make_norm(const std::string& name) const;

  const ModelConfig& config_;
  const Container& weights_;
  Graph graph_;
};

}  // namespace headlane
