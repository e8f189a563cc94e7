#include "engine/import/families/phi3.h"

#include "engine/import/families/decoder.h"
#include "engine/import/families/rotary.h"
#include "engine/import/source/json_file.h"

namespace headlane {

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
  names.qkv_bias = json_bool(config, "attention_bias", path, true);
  if (model.decoder.norm == NormPlacement::kBoth) {
    names.attention_norm_after = "post_self_attn_layernorm";
    names.ffn_norm_after = "post_mlp_layernorm";
  }
  const bool tied = json_bool(config, "tie_word_embeddings", path, false);
  return gated_decoder_tensors(checkpoint, model, names, tied);
}

}  // namespace headlane
