// The part of a layer that stands for its feed-forward where the layer has experts.
#pragma once

#include <string>

#include "engine/graph/graph_builder.h"
#include "engine/spec/stack_config.h"

namespace headlane {

// Adds the experts of the layer whose feed-forward is called `name`: the router on x, in f32, and
// the weighted sum of the experts that it chooses. `shared`: what the shared expert makes of x, -1
// where there is none.
ValueId add_experts(GraphBuilder* graph, const StackConfig& config, const std::string& name,
                    ValueId x, ValueId shared);

}  // namespace headlane
