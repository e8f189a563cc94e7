// Phi-3 and Phi-4, GLM and GLM-4: a part of each head turns, and products are saved as one tensor.
// GLM turns pairs of columns that lie side by side; GLM-4 of 0414 has norms before and behind each
// part of a layer.
#pragma once

#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/config.h"

namespace headlane {

// Returns what a config.json need not say, as ClassDefaults has it (class_defaults.h).
Json phi3_defaults(const std::string&);
Json glm_defaults(const std::string&);

// As llama_config and llama_tensors.
ModelConfig phi3_config(const Json& config, const std::string& path);
std::vector<TensorRecipe> phi3_tensors(const Checkpoint& checkpoint, const Json& config,
                                       const std::string& path, const ModelConfig& model);
ModelConfig glm_config(const Json& config, const std::string& path);
std::vector<TensorRecipe> glm_tensors(const Checkpoint& checkpoint, const Json& config,
                                      const std::string& path, const ModelConfig& model);

}  // namespace headlane
