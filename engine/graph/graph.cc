#include "engine/graph/graph.h"

#include "engine/error.h"

namespace headlane {

ValueId Graph::add(std::unique_ptr<Op> op, std::vector<ValueId> inputs, Rows rows, int64_t cols) {
  const ValueId output = static_cast<ValueId>(values.size());
  values.push_back({rows, cols});
  op->inputs = std::move(inputs);
  op->output = output;
  ops.push_back(std::move(op));
  return output;
}

Graph build_graph(const ModelConfig& config, const Container& weights) {
  switch (config.architecture) {
    case Architecture::kBert:
      return build_bert(config, weights);
  }
  fail(Status::kInternal, "no graph for architecture \"%s\"", name_of(config.architecture));
}

}  // namespace headlane
