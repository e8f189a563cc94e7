// ELECTRA as Hugging Face keeps it (model_type "electra"): a BERT whose tables may be narrower than
// its layers.
#pragma once

#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/families/classifier.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/config.h"

namespace headlane {

// Returns what a config.json need not say, as ClassDefaults has it (class_defaults.h).
Json electra_defaults(const std::string&);

// As bert_config.
ModelConfig electra_config(const Json& config, const std::string& path);

// As bert_tensors.
std::vector<TensorRecipe> electra_tensors(const Checkpoint& checkpoint, const Json& source,
                                          const std::string& path, const ModelConfig& config);

// Sequence classification.
constexpr ClassifierForm kElectraClassifier = {"classifier.dense", Activation::kGelu,
                                               "classifier.out_proj"};

}  // namespace headlane
