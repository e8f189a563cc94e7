// GPT-2: layer norms before attention and feed-forward, learned positions, and products that are
// stored as their transposes.
#pragma once

#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/config.h"

namespace headlane {

// Returns what a config.json need not say, as ClassDefaults has it (class_defaults.h).
Json gpt2_defaults(const std::string&);

// As llama_config and llama_tensors (engine/import/families/llama.h).
ModelConfig gpt2_config(const Json& config, const std::string& path);
std::vector<TensorRecipe> gpt2_tensors(const Checkpoint& checkpoint, const Json& config,
                                       const std::string& path, const ModelConfig& model);

}  // namespace headlane
