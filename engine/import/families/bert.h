// BERT as Hugging Face keeps it (model_type "bert"): the fields of its config and the names of its
// tensors.
#pragma once

#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/families/classifier.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/config.h"

namespace headlane {

// Returns what a config.json need not say, as ClassDefaults has it (class_defaults.h).
Json bert_defaults(const std::string&);

// Everything of the config but pooling, normalize and max_seq_len, which other files say.
// Throws Error naming the field of the file `path`; kUnsupported if it asks for what Headlane
// lacks.
ModelConfig bert_config(const Json& config, const std::string& path);

// The weights under the names of engine/import/families/encoder.h. `source` is config.json, and
// `path` its path.
std::vector<TensorRecipe> bert_tensors(const Checkpoint& checkpoint, const Json& source,
                                       const std::string& path, const ModelConfig& config);

// Sequence classification: the pooler is the dense product.
constexpr ClassifierForm kBertClassifier = {"bert.pooler.dense", Activation::kTanh, "classifier"};

}  // namespace headlane
