// Language models whose layers have experts in place of one feed-forward: Mixtral, Qwen 2 and 3,
// OLMoE, gpt-oss and GLM-4.5.
#pragma once

#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/config.h"

namespace headlane {

Json mixture_defaults(const std::string& type);
ModelConfig mixtral_config(const Json& config, const std::string& path);
ModelConfig qwen2_moe_config(const Json& config, const std::string& path);
ModelConfig qwen3_moe_config(const Json& config, const std::string& path);
ModelConfig olmoe_config(const Json& config, const std::string& path);
ModelConfig gpt_oss_config(const Json& config, const std::string& path);
ModelConfig glm4_moe_config(const Json& config, const std::string& path);
std::vector<TensorRecipe> mixture_tensors(const Checkpoint& checkpoint, const Json& config,
                                          const std::string& path, const ModelConfig& model);

}  // namespace headlane
