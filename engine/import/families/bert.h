// BERT (model_type "bert") as Hugging Face keeps it: the fields of its config and the names of its
// tensors.
#pragma once

#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/config.h"

namespace headlane {

// Everything of the config but pooling, normalize and max_seq_len, which other files say.
// Throws Error naming the field of the file `path`; kUnsupported if it asks for what Headlane
// lacks.
ModelConfig bert_config(const Json& config, const std::string& path);

// The weights, matrices as [out_features, in_features]. Query, key and value become one matrix, the
// rows of q, then k, then v; the rest are views of the model's files where these hold f32.
std::vector<TensorRecipe> bert_tensors(const Checkpoint& checkpoint, const ModelConfig& config);

}  // namespace headlane
