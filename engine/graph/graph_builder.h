// Makes a graph from a model's weights: values, products in the model's precision, and the heads.
// This file makes whole graphs; stack.h makes the layers inside them.
#pragma once

#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/graph/graph.h"
#include "engine/ops/experts.h"

namespace headlane {

kernels::Activation kernel_of(Activation activation);
PoolPart pool_part(Pooling pooling);  // any but kNone

class GraphBuilder {
 public:
  explicit GraphBuilder(const GraphSource& source)
      : config_(source.config),
        weights_(source.weights),
        kernels_(source.kernels),
        precision_(source.precision),
        packed_(*source.packed) {}

  const ModelConfig& config() const { return config_; }
  const Container& weights() const { return weights_; }
  bool has(const std::string& tensor) const { return weights_.find(tensor) != nullptr; }
  // The tensor, or null if the file has none of that name.
  const float* optional_f32(const std::string& name, std::initializer_list<int64_t> shape) const;
  // name.bias [n]; null if the file has none, unless it `must` be there.
  const float* bias(const std::string& name, int64_t n, bool must) const;

  Rows rows_of(ValueId x) const { return graph_.values[x].rows; }
  int64_t cols_of(ValueId x) const { return graph_.values[x].cols; }
  Element element_of(ValueId x) const { return graph_.values[x].element; }
  // As Graph::add.
  ValueId add(std::unique_ptr<Op> op, std::vector<ValueId> inputs, Rows rows, int64_t cols,
              Element element = Element::kF32) {
    return graph_.add(std::move(op), std::move(inputs), rows, cols, element);
  }
  // The caller's rows of d columns.
  ValueId load(Input input, Rows rows, int64_t d);
  // x * weight^T + bias, of name.weight [n, k] and name.bias [n], which `must` be there or may, and
  // the activation: in the model's precision, or a higher one where the config says so. The output
  // is `element`, which products in f32 make f32.
  ValueId linear(const std::string& name, ValueId x, int64_t n, bool must,
                 kernels::Activation activation, Element element);
  // Whether the columns of such a product from `first` on can be computed alone: where it comes in
  // parts, the columns of each but the last are a multiple of kPartColumns, and so they must be in
  // what is computed.
  bool can_begin_at(const std::string& name, int64_t n_all, int64_t first) const;
  // The columns first .. first + n of such a product, which has n_all of them, and which must be
  // able to begin at `first`.
  ValueId some_of_linear(const std::string& name, ValueId x, int64_t n_all, int64_t first,
                         int64_t n, bool must, Element element);
  // The products of all experts, or of all heads, rows first .. first + n of each one's own:
  // name.weight has n_experts times `rows` rows of k columns, and name.bias, if there is one, so
  // many numbers.
  struct ExpertRange {
    int64_t n_experts = 0, rows = 0;
    int64_t first = 0, n = 0;
  };
  ExpertWeights experts(const std::string& name, ExpertRange range, int64_t k);
  // x as products of that precision take it.
  ValueId operand(ValueId x, Precision precision);
  // The rows of x, one for each token, whose last hidden states are read.
  ValueId take(ValueId x);
  // Likewise in f32, whatever the model's precision, for products of a head: they have one row for
  // each sequence, not one for each token, so that a narrower one saves next to nothing, and what
  // it loses nothing averages out behind them.
  ValueId dense(const std::string& name, ValueId x, int64_t n, Activation activation);
  // Attention takes and gives elements of this kind.
  Element attention_element(const AttentionSpec& spec) const;
  // Elements of keys and values that are kept for steps.
  Element kept_element() const;
  // x stays until the next run.
  void keep(ValueId x) { graph_.kept.push_back(x); }

  // Whether the head reads one row of each sequence, so that the last layer has no need of others.
  bool reads_one_row() const;
  // Adds the config's head on the last hidden states. `words`: the table that logits take
  // unless there is a tensor lm_head.weight.
  void add_head(ValueId hidden, const std::string& words);
  // Declares the last hidden states, and gives the graph away.
  Graph finish(ValueId hidden) &&;

 private:
  // A product as its layer wants it: n columns, and whether a bias `must` be there.
  struct LinearSpec {
    const std::string& name;
    int64_t n;
    bool must;
    kernels::Activation activation;
    Element element;
  };
  // Columns of a product whose weight is a tensor by itself.
  struct StoredPart {
    std::string name;
    int64_t first, n;
  };
  // The product's own name, where that has a weight, or those of its parts.
  std::vector<StoredPart> stored_parts(const std::string& name, int64_t n) const;
  // The columns first .. first + n of it.
  ValueId product(const LinearSpec& spec, std::span<const StoredPart> stored, ValueId x,
                  int64_t first, int64_t n);
  // Packed under that name: rows [n, k]; bias [n], or null.
  const PackedWeight* weight(const std::string& name, WeightRows rows, const float* bias, int64_t n,
                             int64_t k, kernels::Activation activation, Precision precision);
  void pool(ValueId hidden);
  // One more step of the head on the vectors x.
  ValueId step(const HeadStep& step, const std::string& name, ValueId x);
  void rank(ValueId hidden, const std::string& words);

  const ModelConfig& config_;
  const Container& weights_;
  const kernels::Table& kernels_;
  Precision precision_;
  PackedWeights& packed_;
  std::map<std::pair<ValueId, Element>, ValueId> converted_;
  std::map<ValueId, ValueId> taken_;
  Graph graph_;
};

}  // namespace headlane
