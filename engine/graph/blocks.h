// The blocks that architectures are made of. `name` is the prefix of the block's tensors in the
// file, such as "layers.0.attention". Each returns its output, [n_tokens, ...].
#pragma once

#include <map>
#include <string>
#include <utility>

#include "engine/graph/graph.h"

namespace headlane {

struct KeysValues {
  ValueId k = -1, v = -1;
};

class GraphBuilder {
 public:
  explicit GraphBuilder(const GraphSource& source)
      : config_(source.config),
        weights_(source.weights),
        kernels_(source.kernels),
        precision_(source.precision),
        packed_(*source.packed) {}

  // name.word, name.position, name.type -> [d_model]
  ValueId embed(const std::string& name);
  ValueId load(Input input, Rows rows, int64_t d);
  // x + the table of the config's kind of positions: name.weight [max_positions, d_model], or
  // sinusoids
  ValueId add_positions(const std::string& name, ValueId x);
  // name.weight [n, k]; name.bias [n] if there is one. In the model's precision, or a higher one
  // where the config says so; the output is `element`, which products in f32 make f32.
  ValueId linear(const std::string& name, ValueId x, int64_t n, kernels::Activation activation,
                 Element element = Element::kF32);
  // name.weight [d_model]; name.bias [d_model] if there is one; norm(x + residual)
  ValueId add_norm(const std::string& name, ValueId x, ValueId residual);
  ValueId norm(const std::string& name, ValueId x);
  // Projections name.qkv and name.out around multi-head self-attention.
  ValueId self_attention(const std::string& name, ValueId x, int64_t layer);
  // Projections name.k and name.v of the rows that x, projected by name.q, then attends to; and
  // name.out.
  KeysValues keys_values(const std::string& name, ValueId key, ValueId value);
  ValueId attention(const std::string& name, ValueId x, KeysValues memory, int64_t layer);
  // name.up, the activation, name.down
  ValueId feed_forward(const std::string& name, ValueId x);

  // f(x) with the residual and the norm `name` where the config places them.
  template <typename F>
  ValueId sublayer(const std::string& name, ValueId x, F f) {
    if (config_.norm == NormPlacement::kPre) return add_residual(f(norm(name, x)), x);
    const ValueId y = f(x);
    if (config_.norm == NormPlacement::kNone) return add_residual(y, x);
    return config_.residual ? add_norm(name, y, x) : norm(name, y);
  }

  // Declares the last hidden states, adds the config's pooling, and gives the graph away.
  Graph finish(ValueId hidden) &&;

 private:
  Precision precision_of(const std::string& name, int64_t k) const;
  // x as products of that precision take it.
  ValueId operand(ValueId x, Precision precision);
  // What attention takes and gives, where it is fed by products of that precision.
  Element attention_element(Precision precision) const;
  std::unique_ptr<LayerNorm> make_norm(const std::string& name) const;
  ValueId add_residual(ValueId y, ValueId x);
  // The tensor, or null if the file has none of that name.
  const float* optional_f32(const std::string& name, std::initializer_list<int64_t> shape) const;
  // The same for name.bias, which only layers may lack.
  const float* bias_of(const std::string& name, int64_t n) const;
  AttentionWeights attention_weights(const std::string& name) const;

  const ModelConfig& config_;
  const Container& weights_;
  const kernels::Table& kernels_;
  Precision precision_;
  PackedWeights& packed_;
  std::map<std::pair<ValueId, Element>, ValueId> converted_;
  Graph graph_;
};

}  // namespace headlane
