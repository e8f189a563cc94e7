// A model as values and ops, shapes only: no memory, no threads, no sizes of a batch.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/model/config.h"
#include "engine/model/container.h"
#include "engine/ops/ops.h"

namespace headlane {

struct Value {
  Rows rows = Rows::kTokens;
  int64_t cols = 0;
  Element element = Element::kF32;
};

struct Graph {
  std::vector<Value> values;
  std::vector<std::unique_ptr<Op>> ops;  // in an order in which each op's inputs come before it
  ValueId hidden = -1;                   // last hidden states, [n_tokens, d_model]
  ValueId pooled = -1;                   // [n_seqs, d_model]; -1: the model does not pool

  // Appends an op and returns its output, a new value of `rows` x `cols`.
  ValueId add(std::unique_ptr<Op> op, std::vector<ValueId> inputs, Rows rows, int64_t cols,
              Element element = Element::kF32);
};

// What a model's graphs are made of: its config, validated, and its weights, which must outlive
// them; those of products are packed once for all graphs. The kernels say which elements attention
// takes, the precision what products are computed in.
struct GraphSource {
  const ModelConfig& config;
  const Container& weights;
  const kernels::Table& kernels;
  Precision precision;
  PackedWeights* packed;
};

// Throws Error(kBadFile) that names a tensor missing or of the wrong shape. `over_memory`: keys and
// values come from rows of their own, which the config must allow.
Graph build_graph(const GraphSource& source, bool over_memory);

// One file per architecture.
Graph build_bert(const GraphSource& source);
Graph build_layers(const GraphSource& source, bool over_memory);

}  // namespace headlane
