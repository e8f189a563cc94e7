// Falcon and BLOOM: layer norms, a feed-forward without a gate, and q, k and v of each group of
// heads beside each other in one tensor. Falcon has rotary positions or an ALiBi of its own, and
// mostly lets attention and feed-forward take the same input; BLOOM has ALiBi and a norm of the
// words.
#pragma once

#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/config.h"

namespace headlane {

// Returns what a config.json need not say, as ClassDefaults has it (class_defaults.h).
Json falcon_defaults(const std::string&);
Json bloom_defaults(const std::string&);

// As llama_config and llama_tensors.
ModelConfig falcon_config(const Json& config, const std::string& path);
std::vector<TensorRecipe> falcon_tensors(const Checkpoint& checkpoint, const Json& config,
                                         const std::string& path, const ModelConfig& model);
ModelConfig bloom_config(const Json& config, const std::string& path);
std::vector<TensorRecipe> bloom_tensors(const Checkpoint& checkpoint, const Json& config,
                                        const std::string& path, const ModelConfig& model);

}  // namespace headlane
