// Models for sequence classification as Hugging Face keeps them: which label is which, what is made
// of the scores, and the tensors of the head.
#pragma once

#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/source/sentence_transformers.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/config.h"

namespace headlane {

// A family of models calls its head's products so in a checkpoint, "NAME.weight" and "NAME.bias".
struct ClassifierForm {
  const char* dense;  // the square one; null: there is none
  Activation activation;
  const char* out;
  Pooling pooling = Pooling::kCls;  // of which row they are
  bool has_bias = true;             // the products have biases, and
  bool dense_bias = true;           // the square one has
  const char* norm = nullptr;       // between both; null: there is none
  bool norm_bias = true;
  float norm_eps = 0;
};

// Of the layers of a language model, as most of its families have it in transformers.
constexpr ClassifierForm kLastTokenClassifier = {nullptr, Activation::kNone, "score",
                                                 Pooling::kLastToken, false};

// The last word of the class that the folder's model is of, "ForSequenceClassification" of
// "BertForSequenceClassification"; "" if config.json, at `path`, does not say it, or says a class
// without a head.
std::string head_of_class(const Json& config, const std::string& path);

constexpr const char* kSequenceClassification = "ForSequenceClassification";

// The head of such a model: labels and what is made of their scores, as sentence-transformers'
// CrossEncoder says in a file of its own (null: there is none) or in config.json, else as
// transformers' text-classification does. Throws Error naming the field of the file `path`.
HeadConfig read_classifier(const Json& config, const std::string& path, const ClassifierForm& form,
                           int64_t d_model, const CrossEncoderSettings* settings);

// The head of a language model whose score is made of logits.
HeadConfig read_logit_score(const Json& config, const std::string& path,
                            const CrossEncoderSettings& settings);

// The tensor of that head, of a model with so many tokens: the weights of one token's logit, less
// those of the other's. `recipes` are those of the language model as an encoder; the one of its
// logits is taken out. Throws Error where the model lacks the tokens.
TensorRecipe take_logit_score(const Checkpoint& checkpoint, const LogitScore& score,
                              int64_t vocab_size, std::vector<TensorRecipe>* recipes);

// The tensors of the head.
std::vector<TensorRecipe> classifier_tensors(const Checkpoint& checkpoint,
                                             const ClassifierForm& form, const ModelConfig& config);

}  // namespace headlane
