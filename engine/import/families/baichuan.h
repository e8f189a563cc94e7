// Baichuan 1 and 2: Llama's build with q, k and v in one tensor. 7B has rotary positions, 13B has
// ALiBi; Baichuan 2 has a head whose rows have length 1.
#pragma once

#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/config.h"

namespace headlane {

// Returns what a config.json need not say, as ClassDefaults has it (class_defaults.h).
Json baichuan_defaults(const std::string&);

// As llama_config and llama_tensors.
ModelConfig baichuan_config(const Json& config, const std::string& path);
std::vector<TensorRecipe> baichuan_tensors(const Checkpoint& checkpoint, const Json& config,
                                           const std::string& path, const ModelConfig& model);

}  // namespace headlane
