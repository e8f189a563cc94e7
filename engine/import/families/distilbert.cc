#include "engine/import/families/distilbert.h"

#include "engine/base/error.h"
#include "engine/file/json.h"
#include "engine/import/families/encoder.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

using json = Json;

// transformers takes a size under BERT's name too, and before DistilBERT's own.
const char* key_of(const json& config, const char* of_bert, const char* own,
                   const std::string& path) {
  return json_has(config, of_bert, path) ? of_bert : own;
}

LayerNames distilbert_layer(const std::string& at) {
  LayerNames names;
  const std::string self = at + "attention.";
  names.self = {self + "q_lin", self + "k_lin", self + "v_lin", self + "out_lin",
                at + "sa_layer_norm"};
  names.up = {at + "ffn.lin1"};
  names.down = at + "ffn.lin2";
  names.norm = at + "output_layer_norm";
  return names;
}

}  // namespace

json distilbert_defaults(const std::string&) {
  return {{"vocab_size", 30522},
          {"dim", 768},
          {"n_layers", 6},
          {"n_heads", 12},
          {"hidden_dim", 3072},
          {"activation", "gelu"},
          {"max_position_embeddings", 512}};
}

// "sinusoidal_pos_embds" says how the table of positions was first filled. The file has it.
ModelConfig distilbert_config(const json& config, const std::string& path) {
  refuse_other_than_encoder(config, path);
  ModelConfig result;
  result.architecture = json_string(config, "model_type", path);
  const char* const d_model = key_of(config, "hidden_size", "dim", path);
  result.d_model = json_int(config, d_model, path);
  StackConfig& encoder = result.encoder;
  encoder.n_layers = json_int(config, key_of(config, "num_hidden_layers", "n_layers", path), path);
  encoder.vocab_size = json_int(config, "vocab_size", path);
  encoder.embedding_norm = true;
  encoder.max_positions = json_int(config, "max_position_embeddings", path);
  encoder.positions = Positions::kLearned;
  encoder.attention =
      read_encoder_heads(config, key_of(config, "num_attention_heads", "n_heads", path), d_model,
                         result.d_model, path);
  encoder.d_ff = json_int(config, "hidden_dim", path);
  encoder.activation = activation_of(json_string(config, "activation", path), "activation", path);
  encoder.norm_eps = 1e-12f;  // transformers'; no field says it
  encoder.biases = true;
  return result;
}

std::vector<TensorRecipe> distilbert_tensors(const Checkpoint& checkpoint, const json&,
                                             const std::string&, const ModelConfig& config) {
  return encoder_tensors(
      checkpoint, config,
      {.head_prefix = "distilbert.", .layers = "transformer.layer.", .layer = distilbert_layer});
}

}  // namespace headlane
