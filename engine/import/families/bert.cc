#include "engine/import/families/bert.h"

#include "engine/file/json.h"
#include "engine/import/families/encoder.h"
#include "engine/import/source/json_file.h"

namespace headlane {

using json = Json;

json bert_defaults(const std::string&) {
  return {{"vocab_size", 30522},
          {"hidden_size", 768},
          {"num_hidden_layers", 12},
          {"num_attention_heads", 12},
          {"intermediate_size", 3072},
          {"hidden_act", "gelu"},
          {"max_position_embeddings", 512},
          {"type_vocab_size", 2},
          {"layer_norm_eps", 1e-12}};
}

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
