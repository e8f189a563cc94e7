#include "engine/import/families/mixture.h"

#include <optional>

#include "engine/base/error.h"
#include "engine/import/families/decoder.h"
#include "engine/import/families/experts.h"
#include "engine/import/families/language_model.h"
#include "engine/import/families/rotary.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

constexpr const char *kWindow = "sliding_window", *kUsesWindow = "use_sliding_window";

// Sizes, heads and rotary positions, and what all these routers have in common.
ModelConfig read_mixture(const Json& config, const std::string& path, const char* d_ff) {
  ModelConfig result = gated_decoder_config(config, path);
  if (result.architecture != "glm4_moe") refuse_partial_rotary(config, path);
  StackConfig& decoder = result.decoder;
  read_rotary(config, path, &decoder);
  decoder.experts.chosen = json_positive(config, "num_experts_per_tok", path);
  decoder.experts.d_ff = json_positive(config, d_ff, path);
  return result;
}

std::vector<LayerWindow> windows_of_all(const Json& config, const std::string& path) {
  if (!json_has(config, kWindow, path)) return {};
  return {window_of(config, path)};
}

// Windows are in the layers that are named or, where none are, in every second one from the first
// on, up to a layer.
std::vector<LayerWindow> read_qwen2_windows(const Json& config, const std::string& path,
                                            int64_t n_layers) {
  const std::optional<std::vector<bool>> types = read_layer_types(config, path, n_layers);
  const bool used = json_bool(config, kUsesWindow, path, false) && json_has(config, kWindow, path);
  if (!used) {
    if (types) refuse_unused_windows(*types, path);
    return {};
  }
  if (types) return windows_of(*types, window_of(config, path));
  const int64_t end = json_int(config, "max_window_layers", path);
  std::vector<bool> windowed(static_cast<size_t>(n_layers));
  for (int64_t i = 0; i < n_layers; i += 2) windowed[static_cast<size_t>(i)] = i < end;
  return windows_of(windowed, window_of(config, path));
}

Json qwen_moe_defaults(const std::string& type) {
  Json defaults = {{"vocab_size", 151936},          {"hidden_size", 2048},
                   {"intermediate_size", 5632},     {"num_hidden_layers", 24},
                   {"num_attention_heads", 16},     {"num_key_value_heads", 16},
                   {"hidden_act", "silu"},          {"max_position_embeddings", 32768},
                   {"rms_norm_eps", 1e-6},          {"sliding_window", 4096},
                   {"max_window_layers", 28},       {"decoder_sparse_step", 1},
                   {"moe_intermediate_size", 1408}, {"shared_expert_intermediate_size", 5632},
                   {"num_experts_per_tok", 4}};
  if (type != "qwen3_moe") return defaults;
  for (const char* key : {"max_window_layers", "shared_expert_intermediate_size"}) {
    defaults.erase(key);
  }
  defaults.update({{"intermediate_size", 6144},
                   {"num_attention_heads", 32},
                   {"num_key_value_heads", 4},
                   {"moe_intermediate_size", 768},
                   {"num_experts_per_tok", 8}});
  return defaults;
}

float read_positive(const Json& config, const char* key, const std::string& path) {
  const double number = json_number(config, key, path);
  if (number > 0) return static_cast<float>(number);
  fail(Status::kBadFile, "%s field \"%s\" is %g, not a positive number", path.c_str(), key, number);
}

}  // namespace

Json mixture_defaults(const std::string& type) {
  if (type.starts_with("qwen")) return qwen_moe_defaults(type);
  if (type == "mixtral") {
    return {{"vocab_size", 32000},        {"hidden_size", 4096},
            {"intermediate_size", 14336}, {"num_hidden_layers", 32},
            {"num_attention_heads", 32},  {"num_key_value_heads", 8},
            {"hidden_act", "silu"},       {"max_position_embeddings", 131072},
            {"rms_norm_eps", 1e-5},       {"rope_theta", 1e6},
            {"bos_token_id", 1},          {"eos_token_id", 2},
            {"num_experts_per_tok", 2}};
  }
  if (type == "gpt_oss") {
    return {
        {"vocab_size", 201088},     {"hidden_size", 2880},    {"intermediate_size", 2880},
        {"num_hidden_layers", 36},  {"head_dim", 64},         {"num_attention_heads", 64},
        {"num_key_value_heads", 8}, {"hidden_act", "silu"},   {"max_position_embeddings", 131072},
        {"rms_norm_eps", 1e-5},     {"rope_theta", 150000.0}, {"sliding_window", 128},
        {"num_experts_per_tok", 4}, {"swiglu_limit", 7.0},    {"swiglu_alpha", 1.702},
        {"attention_bias", true}};
  }
  if (type == "glm4_moe") {
    return {{"vocab_size", 151552},
            {"hidden_size", 4096},
            {"intermediate_size", 10944},
            {"num_hidden_layers", 46},
            {"num_attention_heads", 96},
            {"num_key_value_heads", 8},
            {"hidden_act", "silu"},
            {"max_position_embeddings", 131072},
            {"rms_norm_eps", 1e-5},
            {"partial_rotary_factor", 0.5},
            {"moe_intermediate_size", 1408},
            {"num_experts_per_tok", 8},
            {"n_shared_experts", 1},
            {"routed_scaling_factor", 1.0},
            {"n_group", 1},
            {"topk_group", 1},
            {"first_k_dense_replace", 1},
            {"norm_topk_prob", true}};
  }
  return {{"vocab_size", 50304},
          {"hidden_size", 2048},
          {"intermediate_size", 2048},
          {"num_hidden_layers", 16},
          {"num_attention_heads", 16},
          {"hidden_act", "silu"},
          {"max_position_embeddings", 4096},
          {"rms_norm_eps", 1e-5},
          {"pad_token_id", 1},
          {"eos_token_id", 50279},
          {"num_experts_per_tok", 8}};
}

ModelConfig mixtral_config(const Json& config, const std::string& path) {
  ModelConfig result = read_mixture(config, path, "intermediate_size");
  StackConfig& decoder = result.decoder;
  decoder.windows = windows_of_all(config, path);
  decoder.experts.n = read_expert_count(config, path, {"num_local_experts", "num_experts"}, 8);
  decoder.experts.normalized = true;
  return result;
}

ModelConfig qwen2_moe_config(const Json& config, const std::string& path) {
  ModelConfig result = read_mixture(config, path, "moe_intermediate_size");
  StackConfig& decoder = result.decoder;
  decoder.windows = read_qwen2_windows(config, path, decoder.n_layers);
  ExpertsConfig& experts = decoder.experts;
  experts.n = read_expert_count(config, path, {"num_experts"}, 60);
  experts.normalized = json_bool(config, "norm_topk_prob", path, false);
  experts.shared = {json_positive(config, "shared_expert_intermediate_size", path), true};
  experts.layers = read_sparse_layers(config, path, decoder.n_layers);
  return result;
}

ModelConfig qwen3_moe_config(const Json& config, const std::string& path) {
  ModelConfig result = read_mixture(config, path, "moe_intermediate_size");
  StackConfig& decoder = result.decoder;
  if (json_bool(config, kUsesWindow, path, false)) {
    decoder.windows = windows_of_all(config, path);
  }
  decoder.qk_norms.of = QkNorm::kHeads;
  ExpertsConfig& experts = decoder.experts;
  experts.n = read_expert_count(config, path, {"num_experts", "num_local_experts"}, 128);
  experts.normalized = json_bool(config, "norm_topk_prob", path, false);
  experts.layers = read_sparse_layers(config, path, decoder.n_layers);
  return result;
}

ModelConfig olmoe_config(const Json& config, const std::string& path) {
  ModelConfig result = read_mixture(config, path, "intermediate_size");
  constexpr const char* kClip = "clip_qkv";
  if (json_has(config, kClip, path)) {
    fail(Status::kUnsupported, "%s field \"%s\" is not null; only null is supported", path.c_str(),
         kClip);
  }
  StackConfig& decoder = result.decoder;
  decoder.qk_norms.of = QkNorm::kRows;
  decoder.experts.n = read_expert_count(config, path, {"num_experts", "num_local_experts"}, 64);
  decoder.experts.normalized = json_bool(config, "norm_topk_prob", path, false);
  return result;
}

// A softmax of the chosen experts' logits is that of all, normalized. Layers take turns to have a
// window where the file does not name them.
ModelConfig gpt_oss_config(const Json& config, const std::string& path) {
  Json fields = config;
  if (!json_has(config, "rope_parameters", path) && !json_has(config, "rope_scaling", path)) {
    fields["rope_parameters"] = {{"rope_type", "yarn"}, {"factor", 32.0},
                                 {"beta_fast", 32.0},   {"beta_slow", 1.0},
                                 {"truncate", false},   {"original_max_position_embeddings", 4096}};
  }
  fields["hidden_act"] = "silu";  // whatever the config says
  ModelConfig result = read_mixture(fields, path, "intermediate_size");
  StackConfig& decoder = result.decoder;
  std::vector<bool> windowed(static_cast<size_t>(decoder.n_layers));
  for (size_t i = 0; i < windowed.size(); i += 2) windowed[i] = true;
  windowed = read_layer_types(config, path, decoder.n_layers).value_or(windowed);
  decoder.windows = windows_of(windowed, window_of(config, path));
  ExpertsConfig& experts = decoder.experts;
  experts.n = read_expert_count(config, path, {"num_local_experts", "num_experts"}, 128);
  experts.normalized = true;
  experts.clamp = {read_positive(config, "swiglu_limit", path),
                   read_positive(config, "swiglu_alpha", path)};
  return result;
}

ModelConfig glm4_moe_config(const Json& config, const std::string& path) {
  ModelConfig result = read_mixture(config, path, "moe_intermediate_size");
  StackConfig& decoder = result.decoder;
  if (json_bool(config, "use_qk_norm", path, false)) decoder.qk_norms.of = QkNorm::kHeads;
  ExpertsConfig& experts = decoder.experts;
  experts.n = read_expert_count(config, path, {"n_routed_experts", "num_local_experts"}, 128);
  experts.score = ExpertScore::kSigmoid;
  experts.choice_bias = true;
  experts.groups = {json_positive(config, "n_group", path),
                    json_positive(config, "topk_group", path), GroupScore::kBestTwo};
  experts.normalized = json_bool(config, "norm_topk_prob", path);
  experts.scale = static_cast<float>(json_number(config, "routed_scaling_factor", path));
  experts.shared.d_ff = json_positive(config, "n_shared_experts", path) * experts.d_ff;
  experts.layers = read_later_layers(config, path, decoder.n_layers);
  return result;
}

std::vector<TensorRecipe> mixture_tensors(const Checkpoint& checkpoint, const Json& config,
                                          const std::string& path, const ModelConfig& model) {
  GatedLayerNames names;
  const std::string type = json_string(config, "model_type", path);
  names.qkv_bias = json_bool(config, "attention_bias", path, false);
  names.out_bias = names.qkv_bias && type != "glm4_moe";
  if (type == "mixtral") {
    names.qkv_bias = names.out_bias = false;
    names.experts.router = "block_sparse_moe.gate";
    names.experts.experts = "block_sparse_moe.experts";
    names.experts.gate = "w1";
    names.experts.up = "w3";
    names.experts.down = "w2";
  } else if (type == "qwen2_moe") {
    names.qkv_bias = json_bool(config, "qkv_bias", path, true);
    names.out_bias = false;
  } else if (type == "gpt_oss") {
    names.experts.router = "mlp.router";
    names.experts.biases = names.sinks = true;
  } else if (type == "glm4_moe") {
    names.experts.shared = "mlp.shared_experts";
    // Such a layer predicts tokens further ahead, which transformers leaves out too.
    names.left_out_layer = model.decoder.n_layers;
  }
  const bool tied = json_bool(config, "tie_word_embeddings", path, false);
  return gated_decoder_tensors(checkpoint, model, names, tied);
}

}  // namespace headlane
