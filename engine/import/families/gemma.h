// Gemma 1, 2 and 3 (text): words are multiplied by the root of d_model, and the files have the
// norms' weights less 1. Gemma 2 and 3 have norms before and behind each part of a layer, and
// windows on some layers; Gemma 3 has norms of queries and keys, and rotary positions of their own
// for the layers with windows.
#pragma once

#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/config.h"

namespace headlane {

// Returns what a config.json need not say, as ClassDefaults has it (class_defaults.h).
Json gemma_defaults(const std::string&);
Json gemma2_defaults(const std::string&);
Json gemma3_defaults(const std::string&);

// As llama_config and llama_tensors.
ModelConfig gemma_config(const Json& config, const std::string& path);
ModelConfig gemma2_config(const Json& config, const std::string& path);
ModelConfig gemma3_config(const Json& config, const std::string& path);
std::vector<TensorRecipe> gemma_tensors(const Checkpoint& checkpoint, const Json& config,
                                        const std::string& path, const ModelConfig& model);

// Gemma 3 with a part that sees images: its text part alone, which "text_config" describes.
ModelConfig gemma3_text_part_config(const Json& config, const std::string& path);
std::vector<TensorRecipe> gemma3_text_part_tensors(const Checkpoint& checkpoint, const Json& config,
                                                   const std::string& path,
                                                   const ModelConfig& model);
// Returns the name that gemma_tensors uses for a tensor of such a model (Family::tensor_name).
std::string gemma3_text_part_name(const std::string& name);

}  // namespace headlane
