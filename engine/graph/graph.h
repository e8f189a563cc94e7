// A model as values and ops, shapes only: no memory, no threads, no sizes of a batch.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/model/config.h"
#include "engine/model/container.h"
#include "engine/ops/ops.h"

namespace headlane {

enum class Rows { kTokens, kSeqs };  // what the rows of a value stand for

struct Value {
  Rows rows = Rows::kTokens;
  int64_t cols = 0;
};

struct Graph {
  std::vector<Value> values;
  std::vector<std::unique_ptr<Op>> ops;  // in an order in which each op's inputs come before it
  ValueId hidden = -1;                   // last hidden states, [n_tokens, d_model]
  ValueId pooled = -1;                   // [n_seqs, d_model]; -1: the model does not pool

  // Appends an op and returns its output, a new value of `rows` x `cols`.
  ValueId add(std::unique_ptr<Op> op, std::vector<ValueId> inputs, Rows rows, int64_t cols);
};

// The graph of a model whose config has been validated; its weights are taken from the container,
// which must outlive the graph. Throws Error(kBadFile) that names a tensor missing or of the wrong
// shape.
Graph build_graph(const ModelConfig& config, const Container& weights);

// One file per architecture.
Graph build_bert(const ModelConfig& config, const Container& weights);

}  // namespace headlane
