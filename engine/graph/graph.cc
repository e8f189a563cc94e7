#include "engine/graph/graph.h"

#include "engine/error.h"

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

Graph build_graph(const GraphSource& source, bool over_memory) {
  switch (source.config.architecture) {
    case Architecture::kBert:
      return build_bert(source);
    case Architecture::kLayers:
      return build_layers(source, over_memory);
  }
  fail(Status::kInternal, "no graph for architecture \"%s\"", name_of(source.config.architecture));
}

}  // namespace headlane
