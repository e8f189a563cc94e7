// DeepSeek V2 and V3: layers with attention over latents, and experts of which some groups are
// chosen first.
#pragma once

#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/config.h"

namespace headlane {

Json deepseek_defaults(const std::string& type);
ModelConfig deepseek_v2_config(const Json& config, const std::string& path);
ModelConfig deepseek_v3_config(const Json& config, const std::string& path);
std::vector<TensorRecipe> deepseek_tensors(const Checkpoint& checkpoint, const Json& config,
                                           const std::string& path, const ModelConfig& model);

}  // namespace headlane
