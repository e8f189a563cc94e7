#include "engine/import/families/deepseek.h"

#include "engine/base/error.h"
#include "engine/import/families/decoder.h"
#include "engine/import/families/experts.h"
#include "engine/import/families/language_model.h"
#include "engine/import/families/latents.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

// Fields that the makers' own Python code obeys, and transformers does not read.
void refuse_other_value(const Json& config, const char* key, const std::string& only,
                        const std::string& path) {
  const std::string value = json_string(config, key, path, only);
  if (value == only) return;
  fail(Status::kUnsupported, "%s field \"%s\" is \"%s\"; only \"%s\" is supported", path.c_str(),
       key, printable(value).c_str(), only.c_str());
}

ModelConfig read_deepseek(const Json& config, const std::string& path, bool interleaved) {
  ModelConfig result = gated_decoder_config(config, path);
  StackConfig& decoder = result.decoder;
  read_latents(config, path, interleaved, &decoder);
  constexpr const char* kEach = "moe_layer_freq";
  if (json_has(config, kEach, path) && json_int(config, kEach, path) != 1) {
    fail(Status::kUnsupported, "%s field \"%s\" is not 1; only 1 is supported", path.c_str(),
         kEach);
  }
  ExpertsConfig& experts = decoder.experts;
  experts.n = read_expert_count(config, path,
                                {"n_routed_experts", "num_local_experts", "num_experts"}, 256);
  experts.chosen = json_positive(config, "num_experts_per_tok", path);
  experts.d_ff = json_positive(config, "moe_intermediate_size", path);
  experts.scale = static_cast<float>(json_number(config, "routed_scaling_factor", path));
  experts.shared.d_ff = json_positive(config, "n_shared_experts", path) * experts.d_ff;
  experts.layers = read_later_layers(config, path, decoder.n_layers);
  return result;
}

}  // namespace

Json deepseek_defaults(const std::string& type) {
  Json defaults = {{"vocab_size", 129280},
                   {"hidden_size", 7168},
                   {"intermediate_size", 18432},
                   {"moe_intermediate_size", 2048},
                   {"num_hidden_layers", 61},
                   {"num_attention_heads", 128},
                   {"num_key_value_heads", 128},
                   {"n_shared_experts", 1},
                   {"n_routed_experts", 256},
                   {"routed_scaling_factor", 2.5},
                   {"kv_lora_rank", 512},
                   {"q_lora_rank", 1536},
                   {"qk_rope_head_dim", 64},
                   {"v_head_dim", 128},
                   {"qk_nope_head_dim", 128},
                   {"n_group", 8},
                   {"topk_group", 4},
                   {"num_experts_per_tok", 8},
                   {"first_k_dense_replace", 3},
                   {"norm_topk_prob", true},
                   {"hidden_act", "silu"},
                   {"max_position_embeddings", 4096},
                   {"rms_norm_eps", 1e-6},
                   {"bos_token_id", 0},
                   {"eos_token_id", 1},
                   {"rope_interleave", true}};
  if (type == "deepseek_v3") return defaults;
  for (const char* key :
       {"num_key_value_heads", "n_group", "topk_group", "num_experts_per_tok", "rope_interleave"}) {
    defaults.erase(key);
  }
  defaults.update({{"vocab_size", 102400},
                   {"hidden_size", 4096},
                   {"intermediate_size", 11008},
                   {"moe_intermediate_size", 1407},
                   {"num_hidden_layers", 32},
                   {"num_attention_heads", 32},
                   {"n_shared_experts", 2},
                   {"n_routed_experts", 64},
                   {"routed_scaling_factor", 1.0},
                   {"first_k_dense_replace", 0},
                   {"norm_topk_prob", false},
                   {"max_position_embeddings", 2048},
                   {"bos_token_id", 1},
                   {"eos_token_id", 2},
                   {"topk_method", "greedy"}});
  return defaults;
}

ModelConfig deepseek_v2_config(const Json& config, const std::string& path) {
  // transformers reads neither of the first two; the makers' code obeys both.
  refuse_flag(config, "norm_topk_prob", path);
  refuse_other_value(config, "scoring_func", "softmax", path);
  refuse_flag(config, "mlp_bias", path);
  ModelConfig result = read_deepseek(config, path, true);
  constexpr const char* kMethod = "topk_method";
  const std::string method = json_string(config, kMethod, path);
  if (method == "group_limited_greedy") {
    result.decoder.experts.groups = {json_positive(config, "n_group", path),
                                     json_positive(config, "topk_group", path), GroupScore::kBest};
  } else if (method != "greedy") {
    fail(Status::kUnsupported,
         "%s field \"%s\" is \"%s\", not one of: greedy, group_limited_greedy", path.c_str(),
         kMethod, printable(method).c_str());
  }
  return result;
}

ModelConfig deepseek_v3_config(const Json& config, const std::string& path) {
  refuse_other_value(config, "scoring_func", "sigmoid", path);
  refuse_other_value(config, "topk_method", "noaux_tc", path);
  ModelConfig result = read_deepseek(config, path, json_bool(config, "rope_interleave", path));
  ExpertsConfig& experts = result.decoder.experts;
  experts.score = ExpertScore::kSigmoid;
  experts.choice_bias = true;
  experts.groups = {json_positive(config, "n_group", path),
                    json_positive(config, "topk_group", path), GroupScore::kBestTwo};
  experts.normalized = json_bool(config, "norm_topk_prob", path);
  return result;
}

std::vector<TensorRecipe> deepseek_tensors(const Checkpoint& checkpoint, const Json& config,
                                           const std::string& path, const ModelConfig& model) {
  GatedLayerNames names;
  names.qkv_bias = names.out_bias = json_bool(config, "attention_bias", path, false);
  names.experts.shared = "mlp.shared_experts";
  // V3's last layer predicts tokens further ahead, which transformers leaves out too.
  names.left_out_layer = model.decoder.n_layers;
  const bool tied = json_bool(config, "tie_word_embeddings", path, false);
  return gated_decoder_tensors(checkpoint, model, names, tied);
}

}  // namespace headlane
