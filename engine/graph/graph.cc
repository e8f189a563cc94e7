#include "engine/graph/graph.h"

namespace headlane {

ValueId Graph::add(std::unique_ptr<Op> op, std::vector<ValueId> inputs, Rows rows, int64_t cols,
                   Element element) {
  const ValueId output = static_cast<ValueId>(values.size());
  values.push_back({rows, cols, element});
  op->inputs = std::move(inputs);
  op->output = output;
  ops.push_back(std::move(op));
  return output;
}

void Graph::add_last(std::unique_ptr<Op> op, std::vector<ValueId> inputs) {
  op->inputs = std::move(inputs);
  ops.push_back(std::move(op));
}

Precision product_precision(const ModelConfig& config, Precision precision, const std::string& name,
                            int64_t k) {
  const kernels::ProductKind& kind = kind_of(config.precision_of(name, precision));
  return k > kind.most_k ? kind.higher : kind.precision;
}

}  // namespace headlane
