// Encoders as Hugging Face keeps them that are BERT's layers with rotary positions: NomicBERT
// (model_type "nomic_bert"), GTE ("gte") and Jina embeddings 3 ("jina_embeddings_v3"), the latter
// without its adapters.
#pragma once

#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/families/classifier.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/config.h"

namespace headlane {

// Returns what a config.json need not say, as ClassDefaults has it (class_defaults.h). Those of
// NomicBERT lack what its makers' own config.json says by other names.
Json nomic_bert_defaults(const std::string&);
Json gte_defaults(const std::string&);
Json jina3_defaults(const std::string&);

// As bert_config. A field of NomicBERT may have its maker's name, or the one of transformers.
ModelConfig nomic_bert_config(const Json& config, const std::string& path);
ModelConfig gte_config(const Json& config, const std::string& path);
ModelConfig jina3_config(const Json& config, const std::string& path);

// As bert_tensors, by the names that the makers gave them and transformers saves, or by those that
// transformers computes with.
std::vector<TensorRecipe> rotary_encoder_tensors(const Checkpoint& checkpoint, const Json& source,
                                                 const std::string& path,
                                                 const ModelConfig& config);

// Sequence classification.
constexpr ClassifierForm kNomicBertClassifier = {"nomic_bert.pooler.dense", Activation::kTanh,
                                                 "classifier"};
constexpr ClassifierForm kGteClassifier = {"gte.pooler.dense", Activation::kTanh, "classifier"};
constexpr ClassifierForm kJina3Classifier = {"classifier.dense", Activation::kTanh,
                                             "classifier.out_proj"};

}  // namespace headlane
