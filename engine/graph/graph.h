// A model as values and ops, shapes only: no memory, no threads, no sizes of a batch.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/file/container.h"
#include "engine/ops/ops.h"
#include "engine/spec/config.h"

namespace headlane {

struct Value {
  Rows rows = Rows::kTokens;
  int64_t cols = 0;
  Element element = Element::kF32;
};

struct Graph {
  std::vector<Value> values;
  std::vector<std::unique_ptr<Op>> ops;  // in an order in which each op's inputs come before it
  ValueId hidden = -1;                   // last hidden states, [n_tokens or n read, d_model]
  // The head makes this of each sequence: [n_seqs, columns of a vector or labels]; -1: nothing can
  // be made.
  ValueId pooled = -1;
  // The row of each sequence that the head reads, where it reads one: its last hidden states stand
  // for Rows::kRead. None: they stand for all tokens.
  std::optional<PoolPart> read;
  // These values stay where they are until the next run: keys and values of a decoder's layers.
  std::vector<ValueId> kept;
  // The model's file where weights lie in its map: each run asks first whether it was changed,
  // since reading what was cut off ends the process. Null: no weight does.
  const InputFile* mapped = nullptr;

  // Appends an op and returns its output, a new value of `rows` x `cols`.
  ValueId add(std::unique_ptr<Op> op, std::vector<ValueId> inputs, Rows rows, int64_t cols,
              Element element = Element::kF32);
  // Appends an op that has no output of the graph's.
  void add_last(std::unique_ptr<Op> op, std::vector<ValueId> inputs);
};

// The graphs that a model may have.
enum class Part {
  kMain,     // a batch of tokens or rows through the encoder
  kSources,  // the same, and what the decoder's layers keep of it for their steps
  kOverKv,   // keys and values come from rows of their own, which the config must allow
  kStep,     // one more token of each target through the decoder
};
constexpr int kParts = 4;
constexpr Part kAllParts[kParts] = {Part::kMain, Part::kSources, Part::kOverKv, Part::kStep};
bool has_part(const ModelConfig& config, Part part);

// The parts that a model's graphs are made of: its config, validated, and its weights, which must
// outlive them; those of products are packed once for all graphs. The kernels say which elements
// attention takes, the precision what products are computed in.
struct GraphSource {
  const ModelConfig& config;
  const Container& weights;
  const kernels::Table& kernels;
  Precision precision;
  PackedWeights* packed;
};

// Returns the precision of the product `name` of k columns, where the model is run in `precision`:
// that one, or a higher one where the config says so or sums would not fit.
Precision product_precision(const ModelConfig& config, Precision precision, const std::string& name,
                            int64_t k);
constexpr const char* kLogits = "lm_head";  // the product that ranks next tokens

// Throws Error(kBadFile) that names a tensor missing or of the wrong shape.
Graph build_graph(const GraphSource& source, Part part);

}  // namespace headlane
