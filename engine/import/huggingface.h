// Hugging Face model folders into .headlane files.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/convert.h"
#include "engine/import/families/class_defaults.h"
#include "engine/import/source/checkpoint.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/import/tokenizers/tokenizer.h"
#include "engine/spec/config.h"

namespace headlane {

struct ClassifierForm;

// A family of models, by what config.json calls it.
struct Family {
  const char* model_type;
  const char* class_name;  // what the names of its classes begin with
  ClassDefaults defaults;  // null where the fields are those of a part, which has its own
  ModelConfig (*config)(const Json& config, const std::string& path);
  // `source` is config.json, at `path`, from which `config` was made.
  std::vector<TensorRecipe> (*tensors)(const Checkpoint& checkpoint, const Json& source,
                                       const std::string& path, const ModelConfig& config);
  const ClassifierForm* classifier = nullptr;  // null: sequence classification is not supported
  const char* own_module = nullptr;            // as check_class takes it
  // Returns the name that `tensors` uses for a tensor of the folder, or "" for one of a part that
  // is left out. Where it is null, all have the names of the folder.
  std::string (*tensor_name)(const std::string& name) = nullptr;
  bool embeds = false;  // of language models: vectors of texts can be made of its hidden states
  // In place of `classifier` where config.json says more of the form.
  ClassifierForm (*classifier_of)(const Json& config, const std::string& path) = nullptr;
  bool interleaved_experts = false;  // InterleavedExperts has the tensors that `tensors` takes
};

// The family that "model_type" names. Throws Error(kUnsupported), which lists all.
const Family& find_family(const Json& config, const std::string& path);

// The layers of a language model, which whole texts go through: an encoder without a head.
ModelConfig as_encoder(const ModelConfig& language_model);

// Writes the file of a model of which all is known: the end of every conversion. Throws Error, also
// if the tokenizer has more tokens than the model, whose config is at `config_path`.
void write_converted(const std::string& out_path, ModelConfig config,
                     const std::string& config_path, const Checkpoint& checkpoint,
                     std::span<const TensorRecipe> recipes, const ImportedTokenizer& tokenizer,
                     const ConvertOptions& options);

// Reads config.json, model.safetensors (or its shards and their index), the tokenizer's files,
// modules.json, 1_Pooling/config.json, sentence_bert_config.json (or a brother of it),
// config_sentence_transformers.json and, of encoder-decoders, generation_config.json of `hf_dir`,
// and writes `out_path`.
void convert_huggingface(const std::string& hf_dir, const std::string& out_path,
                         const ConvertOptions& options);

}  // namespace headlane
