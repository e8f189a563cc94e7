// ModernBERT as Hugging Face keeps it (model_type "modernbert"): layers with a norm before each
// part except for the first attention, a gated feed-forward, and rotary positions; in most layers a
// token sees its neighbours alone.
#pragma once

#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/families/classifier.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/config.h"

namespace headlane {

// As of bert.h.
Json modernbert_defaults(const std::string&);
ModelConfig modernbert_config(const Json& config, const std::string& path);
std::vector<TensorRecipe> modernbert_tensors(const Checkpoint& checkpoint, const Json& source,
                                             const std::string& path, const ModelConfig& config);

// Sequence classification; the config says the pooling, the activation and which biases there are.
ClassifierForm modernbert_classifier(const Json& config, const std::string& path);

}  // namespace headlane
