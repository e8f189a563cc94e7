#include "engine/import/families/phi3.h"

#include "engine/import/families/decoder.h"
#include "engine/import/families/llama.h"
#include "engine/import/families/rotary.h"
#include "engine/import/source/json_file.h"

namespace headlane {

Json phi3_defaults(const std::string&) {
  Json defaults = llama_defaults("llama");
  defaults.update({{"vocab_size", 32064},
                   {"hidden_size", 3072},
                   {"intermediate_size", 8192},
                   {"max_position_embeddings", 4096},
                   {"original_max_position_embeddings", 4096},
                   {"rms_norm_eps", 1e-5},
                   {"pad_token_id", 32000},
                   {"eos_token_id", 32000}});
  return defaults;
}

Json glm_defaults(const std::string&) {
  Json defaults = llama_defaults("llama");
  defaults.erase("bos_token_id");
  defaults.update({{"vocab_size", 151552},
                   {"intermediate_size", 13696},
                   {"num_hidden_layers", 40},
                   {"num_key_value_heads", 2},
                   {"head_dim", 128},
                   {"max_position_embeddings", 131072},
                   {"rms_norm_eps", 0.00000015625},
                   {"partial_rotary_factor", 0.5},
                   {"pad_token_id", 151329},
                   {"eos_token_id", Json::array()}});
  for (const int id : {151329, 151336, 151338}) defaults["eos_token_id"].push_back(id);
  return defaults;
}

ModelConfig phi3_config(const Json& config, const std::string& path) {
  ModelConfig result = gated_decoder_config(config, path);
  StackConfig& decoder = result.decoder;
  read_phi3_rotary(config, path, &decoder);
  if (json_has(config, "sliding_window", path)) decoder.windows = {window_of(config, path)};
  return result;
}

std::vector<TensorRecipe> phi3_tensors(const Checkpoint& checkpoint, const Json& config,
                                       const std::string& path, const ModelConfig& model) {
  GatedLayerNames names;
  names.qkv = {"self_attn.qkv_proj"};
  names.gate_up = {"mlp.gate_up_proj"};
  const bool tied = json_bool(config, "tie_word_embeddings", path, false);
  return gated_decoder_tensors(checkpoint, model, names, tied);
}

ModelConfig glm_config(const Json& config, const std::string& path) {
  ModelConfig result = gated_decoder_config(config, path);
  StackConfig& decoder = result.decoder;
  read_rotary(config, path, &decoder);
  decoder.attention.rotary.interleaved = true;
  if (result.architecture == "glm4") decoder.norm = NormPlacement::kBoth;
  return result;
}

std::vector<TensorRecipe> glm_tensors(const Checkpoint& checkpoint, const Json& config,
                                      const std::string& path, const ModelConfig& model) {
  GatedLayerNames names;
  names.gate_up = {"mlp.gate_up_proj"};
  // Files of GGUF may have one tensor of these.
  if (checkpoint.contains("model.layers.0.self_attn.qkv_proj.weight")) {
    names.qkv = {"self_attn.qkv_proj"};
  }
  names.qkv_bias = json_bool(config, "attention_bias", path, true);
  if (model.decoder.norm == NormPlacement::kBoth) {
    names.attention_norm_after = "post_self_attn_layernorm";
    names.ffn_norm_after = "post_mlp_layernorm";
  }
  const bool tied = json_bool(config, "tie_word_embeddings", path, false);
  return gated_decoder_tensors(checkpoint, model, names, tied);
}

}  // namespace headlane
