// The blocks that architectures are made of. `name` is the prefix of the block's tensors in the
// file, such as "layers.0.attention". Each returns its output, a row for each of its input.
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
  // The table of words `name` [vocab_size, d_model], times the config's scale.
  ValueId embed_words(const std::string& name, int64_t vocab_size);
  ValueId load(Input input, Rows rows, int64_t d);
  // x + the table of the config's kind of positions: name.weight [max_positions, d_model], or
  // sinusoids; x itself where there are none
  ValueId add_positions(const std::string& name, ValueId x, int64_t max_positions);
  // name.weight [n, k]; name.bias [n] if there is one. In the model's precision, or a higher one
  // where the config says so; the output is `element`, which products in f32 make f32.
  ValueId linear(const std::string& name, ValueId x, int64_t n, kernels::Activation activation,
                 Element element = Element::kF32);
  // name.weight [d_model]; name.bias [d_model] if there is one; norm(x + residual)
  ValueId add_norm(const std::string& name, ValueId x, ValueId residual);
  ValueId norm(const std::string& name, ValueId x);
  // Projections name.qkv and name.out around multi-head self-attention of the config's kind.
  // `relative_bias`: the tensor of that name, where the spec has one.
  ValueId self_attention(const std::string& name, ValueId x, int64_t layer,
                         const std::string& relative_bias = "");
  // The same for one step of a decoder, after the keys and values of those before.
  ValueId step_attention(const std::string& name, ValueId x, int64_t layer,
                         const std::string& relative_bias);
  // Projection name.kv of x, K and V side by side, which stays for the steps; and attention of
  // those, between name.q and name.out.
  void keep_keys_values(const std::string& name, ValueId x);
  ValueId step_cross_attention(const std::string& name, ValueId x, int64_t layer);
  // Ranks the next token by the table `words` or, if there is one, lm_head.weight.
  void rank(ValueId x, const std::string& words);
  // Projections name.k and name.v of the rows that x, projected by name.q, then attends to; and
  // name.out. `layer`: as the op has it.
  KeysValues keys_values(const AttentionSpec& spec, const std::string& name, ValueId key,
                         ValueId value);
  ValueId attention(const AttentionSpec& spec, const std::string& name, ValueId x,
                    KeysValues memory, int64_t layer);
  // name.up, the activation, name.down; with a gate, name.up has its rows first.
  ValueId feed_forward(const std::string& name, ValueId x, int64_t d_ff);

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
  // x as products of that precision take it.
  ValueId operand(ValueId x, Precision precision);
  // What attention takes and gives.
  Element attention_element(const AttentionSpec& spec) const;
  // Packed under that name: rows [n, k]; bias [n], or null.
  const PackedWeight* weight(const std::string& name, WeightRows rows, const float* bias, int64_t n,
                             int64_t k, kernels::Activation activation);
  // name.qkv of x: Q, K and V side by side.
  ValueId project_qkv(const AttentionSpec& spec, const std::string& name, ValueId x,
                      Element element);
  // name.out of what the attention `op`, whose first input has its queries, makes of `inputs`.
  ValueId attend(std::unique_ptr<Op> op, std::vector<ValueId> inputs, const AttentionSpec& spec,
                 const std::string& name, Element element);
  std::unique_ptr<Norm> make_norm(const std::string& name) const;
  // Elements of keys and values that are kept.
  Element kept_element() const;
  ValueId add_residual(ValueId y, ValueId x);
  Rows rows_of(ValueId x) const { return graph_.values[x].rows; }
  // The tensor, or null if the file has none of that name.
  const float* optional_f32(const std::string& name, std::initializer_list<int64_t> shape) const;
  // The same for name.bias, which BERT may not lack.
  const float* bias_of(const std::string& name, int64_t n) const;
  AttentionWeights attention_weights(const AttentionSpec& spec, const std::string& name) const;
  AttentionWeights relative_weights(const AttentionSpec& spec, const std::string& name) const;

  const ModelConfig& config_;
  const Container& weights_;
  const kernels::Table& kernels_;
  Precision precision_;
  PackedWeights& packed_;
  std::map<std::pair<ValueId, Element>, ValueId> converted_;
  Graph graph_;
};

}  // namespace headlane
