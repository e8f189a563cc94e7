// MPNet as Hugging Face keeps it (model_type "mpnet"): a BERT without types of segments, with
// RoBERTa's positions and with one table of T5's biases for all layers.
#pragma once

#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/families/classifier.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/config.h"

namespace headlane {

// Returns what a config.json need not say, as ClassDefaults has it (class_defaults.h).
Json mpnet_defaults(const std::string&);

// As bert_config.
ModelConfig mpnet_config(const Json& config, const std::string& path);

// As bert_tensors.
std::vector<TensorRecipe> mpnet_tensors(const Checkpoint& checkpoint, const Json& source,
                                        const std::string& path, const ModelConfig& config);

// Sequence classification.
constexpr ClassifierForm kMpnetClassifier = {"classifier.dense", Activation::kTanh,
                                             "classifier.out_proj"};

}  // namespace headlane
