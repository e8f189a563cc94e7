#include "engine/import/families/electra.h"

#include "engine/file/json.h"
#include "engine/import/families/bert.h"
#include "engine/import/families/encoder.h"
#include "engine/import/source/json_file.h"

namespace headlane {

using json = Json;

json electra_defaults(const std::string& type) {
  json defaults = bert_defaults(type);
  defaults.update({{"embedding_size", 128},
                   {"hidden_size", 256},
                   {"num_attention_heads", 4},
                   {"intermediate_size", 1024}});
  return defaults;
}

ModelConfig electra_config(const json& config, const std::string& path) {
  ModelConfig result = read_bert_body(config, path);
  result.encoder.n_types = json_int(config, "type_vocab_size", path);
  const int64_t width = json_int(config, "embedding_size", path);
  if (width != result.d_model) result.encoder.projection.width = width;
  return result;
}

std::vector<TensorRecipe> electra_tensors(const Checkpoint& checkpoint, const json&,
                                          const std::string&, const ModelConfig& config) {
  return encoder_tensors(checkpoint, config,
                         {.head_prefix = "electra.", .projection = "embeddings_project"});
}

}  // namespace headlane
