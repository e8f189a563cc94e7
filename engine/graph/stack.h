// A stack of layers as its config describes it: the only loop over layers that there is. What
// attention a layer has is a function that the graph brings, since it depends on what the graph is
// for: a whole batch, or steps of a decoder.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/graph/graph_builder.h"

namespace headlane {

struct KeysValues {
  ValueId k = -1, v = -1;
};

class Stack {
 public:
  // Adds the attention of layer i on x, from its first projections to its last one.
  using Attend = std::function<ValueId(int64_t i, ValueId x)>;
  // Whether masks, biases and maps of a call are of this attention.
  enum class Calls { kSeen, kUnseen };

  // `name` is the prefix of the stack's tensors. The builder and the config must outlive it.
  Stack(GraphBuilder* graph, const StackConfig& config, std::string name)
      : graph_(*graph), config_(config), name_(std::move(name)) {}

  // The stack's input: token ids, or rows of the caller's; with positions, and with the norm of
  // embeddings.
  ValueId begin(Input input, Rows rows);
  // All layers and the final norm. `cross` is called where the config has such an attention.
  ValueId run(ValueId x, const Attend& self, const Attend& cross = nullptr);

  // Kinds of attention. Of x's rows to each other:
  Attend to_itself(Calls calls);
  // Whether the last layer can compute only the rows that are read. Its parts must come one after
  // the other, and its queries must have no norms of their own and be a product of their own.
  bool can_read_rows() const;
  Attend to_itself_for_read_rows(Calls calls);
  // To other rows; kv has the keys and values for each layer. `cross`: it is the config's cross.
  Attend to_kv(std::vector<KeysValues> kv, Calls calls, bool cross);
  // The attentions of one step: to the keys and values of the steps before it, and to those that
  // were kept.
  Attend step();
  Attend step_cross();

  // Projections name.k and name.v of layer i.
  KeysValues keys_values(int64_t i, ValueId key, ValueId value, bool cross);
  // Projection name.kv of x for the steps' cross-attention of layer i: K and V side by side.
  void keep_keys_values(int64_t i, ValueId x);
  // The table of words, [vocab_size, d_model]: the stack's own or, if it has none, the encoder's.
  std::string words() const;

 private:
  std::string layer(int64_t i) const { return name_ + ".layers." + std::to_string(i); }
  std::string attention_name(int64_t i, bool cross) const {
    return layer(i) + (cross ? ".cross" : ".attention");
  }
  AttentionSpec spec_of(int64_t i, bool cross) const {
    return cross ? config_.cross : config_.attention_of(i);
  }
  ValueId embed();
  PositionTable positions() const;
  ValueId linear(const std::string& name, ValueId x, int64_t n, Element element = Element::kF32,
                 kernels::Activation activation = kernels::Activation::kNone);
  // Projection name.qkv of x: Q, K and V side by side, Q and K normed where the config says so. The
  // output is `element`, except that it is f32 with norms.
  ValueId project_qkv(const AttentionSpec& spec, const std::string& name, ValueId x,
                      Element element);
  // name.out of what the attention `op`, whose first input has its queries, makes of `inputs`.
  ValueId attend(std::unique_ptr<Op> op, std::vector<ValueId> inputs, const AttentionSpec& spec,
                 const std::string& name, Element element);
  // Attention of layer i of the rows of x that are read to all of x.
  ValueId attend_for_read_rows(int64_t i, ValueId x, int64_t op_layer);
  // The attention of a step to the latents of layer i.
  ValueId attend_to_latents(int64_t i, ValueId x);
  // name.weight of the latents' norms.
  ValueId latent_norm(const std::string& name, ValueId x);
  // A product of each head's columns behind the first n_kept, with n rows of name.weight.
  ValueId head_products(const std::string& name, ValueId x, int64_t n_kept, int64_t n,
                        Element element);
  // Projection name.q of x; attention to kv.
  ValueId attend_to(int64_t i, ValueId x, KeysValues kv, int64_t op_layer, bool cross);
  AttentionWeights attention_weights(const AttentionSpec& spec, const std::string& name) const;
  // The table that all layers with that spec share; null where it turns nothing.
  std::shared_ptr<const Buffer> rotary_table(const RotarySpec& spec);
  // The value of TurnTokens for it: one value for all layers that turn alike.
  ValueId turns(const RotarySpec& spec);
  // The feed-forward of layer i, or the experts that stand for it.
  ValueId feed_forward(int64_t i, ValueId x);
  // name.up, the activation, name.down; with a gate, name.up has its rows first.
  ValueId dense(const std::string& name, ValueId x, int64_t d_ff);
  // norm(x [+ residual]) by name.weight [d_model] and name.bias.
  ValueId norm(const std::string& name, std::vector<ValueId> inputs);
  ValueId add_residual(ValueId y, ValueId x);
  ValueId sum(ValueId y, ValueId x);
  // x, or those of its rows that are read where y has no others.
  ValueId of_same_rows(ValueId x, ValueId y) {
    return graph_.rows_of(x) == graph_.rows_of(y) ? x : graph_.take(x);
  }
  // Both parts of layer i take x, each through a norm of its own.
  ValueId parallel_layer(int64_t i, ValueId x, const Attend& self);
  // f(x) with the residual and the norm `name` where the config places them.
  template <typename F>
  ValueId sublayer(const std::string& name, ValueId x, F f) {
    if (config_.norm == NormPlacement::kPre) return add_residual(f(norm(name, {x})), x);
    if (config_.norm == NormPlacement::kBoth) {
      return add_residual(norm(name + "_after", {f(norm(name, {x}))}), x);
    }
    if (config_.norm == NormPlacement::kAfter) return add_residual(norm(name, {f(x)}), x);
    const ValueId y = f(x);
    x = of_same_rows(x, y);
    if (config_.norm == NormPlacement::kNone) return add_residual(y, x);
    return config_.residual ? norm(name, {y, x}) : norm(name, {y});
  }

  GraphBuilder& graph_;
  const StackConfig& config_;
  std::string name_;
  std::vector<std::pair<RotarySpec, std::shared_ptr<const Buffer>>> rotary_tables_;
  std::vector<std::pair<RotarySpec, ValueId>> turns_;
};

}  // namespace headlane
