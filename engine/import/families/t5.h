// T5 as Hugging Face keeps it: model_type "t5" (T5, T5 v1.1, Flan-T5) and "mt5".
#pragma once

#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/config.h"

namespace headlane {

// Returns what a config.json need not say, as ClassDefaults has it (class_defaults.h).
Json t5_defaults(const std::string&);

// Everything of the config but max_seq_len and the generation's defaults, which other files say.
// Throws Error naming the field of the file `path`; kUnsupported if it asks for what Headlane
// lacks.
ModelConfig t5_config(const Json& config, const std::string& path);

// `source` is config.json, and `path` its path. The weights under the names of
// engine/import/families/encoder_decoder.h, without biases, and {encoder,decoder}.relative_bias
// [n_buckets, n_heads], the first layer's, which serves all.
std::vector<TensorRecipe> t5_tensors(const Checkpoint& checkpoint, const Json& source,
                                     const std::string& path, const ModelConfig& config);

}  // namespace headlane
