#include "engine/import/families/roberta.h"

#include "engine/file/json.h"
#include "engine/import/families/bert.h"
#include "engine/import/families/encoder.h"
#include "engine/import/source/json_file.h"

namespace headlane {

using json = Json;

json roberta_defaults(const std::string& type) {
  json defaults = bert_defaults(type);
  defaults["pad_token_id"] = 1;
  if (type == "roberta") defaults["vocab_size"] = 50265;
  return defaults;
}

ModelConfig roberta_config(const json& config, const std::string& path) {
  ModelConfig result = read_bert_body(config, path);
  result.encoder.n_types = json_int(config, "type_vocab_size", path);
  count_from_padding(json_int(config, "pad_token_id", path), path, &result.encoder);
  return result;
}

std::vector<TensorRecipe> roberta_tensors(const Checkpoint& checkpoint, const json&,
                                          const std::string&, const ModelConfig& config) {
  return encoder_tensors(checkpoint, config,
                         {.head_prefix = "roberta.", .first_position = config.encoder.padding_id});
}

}  // namespace headlane
