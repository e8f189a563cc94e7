// RoBERTa as Hugging Face keeps it: model_type "roberta", "xlm-roberta" and "camembert", which are
// a BERT whose positions are counted from the row after that of the padding.
#pragma once

#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/families/classifier.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/config.h"

namespace headlane {

// Returns what a config.json need not say, as ClassDefaults has it (class_defaults.h).
Json roberta_defaults(const std::string&);

// As bert_config.
ModelConfig roberta_config(const Json& config, const std::string& path);

// As bert_tensors.
std::vector<TensorRecipe> roberta_tensors(const Checkpoint& checkpoint, const Json& source,
                                          const std::string& path, const ModelConfig& config);

// Sequence classification.
constexpr ClassifierForm kRobertaClassifier = {"classifier.dense", Activation::kTanh,
                                               "classifier.out_proj"};

}  // namespace headlane
