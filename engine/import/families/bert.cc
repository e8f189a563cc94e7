#include "engine/import/families/bert.h"

#include "engine/file/json.h"
#include "engine/import/families/encoder.h"
#include "engine/import/source/json_file.h"

namespace headlane {

using json = Json;

ModelConfig bert_config(const json& config, const std::string& path) {
  ModelConfig result = read_bert_body(config, path);
  result.encoder.n_types = json_int(config, "type_vocab_size", path);
  return result;
}

std::vector<TensorRecipe> bert_tensors(const Checkpoint& checkpoint, const json&,
                                       const std::string&, const ModelConfig& config) {
  return encoder_tensors(checkpoint, config, {.head_prefix = "bert."});
}

}  // namespace headlane
