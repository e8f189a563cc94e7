// Language models of Llama's build: RMS norms before attention and feed-forward, rotary positions,
// grouped heads, a gated feed-forward. Llama, Mistral, Qwen 2 and Qwen 3 are such. SmolLM 3 has
// layers without rotary positions, and OLMo 2 has its norms behind attention and feed-forward.
// EuroBERT is an encoder of that build.
#pragma once

#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/config.h"

namespace headlane {

// Returns what a config.json need not say, as ClassDefaults has it (class_defaults.h).
Json llama_defaults(const std::string&);

// `config` is config.json, at `path`, with its class's defaults filled in. Throws Error that names
// the field that is wrong, or that asks for something Headlane does not compute.
ModelConfig llama_config(const Json& config, const std::string& path);
ModelConfig smollm3_config(const Json& config, const std::string& path);
ModelConfig olmo2_config(const Json& config, const std::string& path);
ModelConfig eurobert_config(const Json& config, const std::string& path);
std::vector<TensorRecipe> llama_tensors(const Checkpoint& checkpoint, const Json& config,
                                        const std::string& path, const ModelConfig& model);
std::vector<TensorRecipe> eurobert_tensors(const Checkpoint& checkpoint, const Json& config,
                                           const std::string& path, const ModelConfig& model);

}  // namespace headlane
