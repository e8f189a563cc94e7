// Architectures of GGUF with a gated feed-forward, by the names of Llama and its like.
#include <cmath>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include "engine/import/gguf/gguf_fields.h"

namespace headlane {
namespace {

using json = Json;

constexpr GgufRenamed kTopNames[] = {
    {"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}};
// Most architectures have all of these. A list of an architecture's own is added after it, and may
// give a name another meaning.
constexpr GgufRenamed kLayerNames[] = {
    {"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},      {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"}, {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"}, {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},           {"ffn_down", "mlp.down_proj"}};
constexpr GgufRenamed kTwoNorms[] = {{"ffn_norm", "post_attention_layernorm"}};
constexpr GgufRenamed kLaterNorms[] = {{"post_attention_norm", "post_attention_layernorm"},
                                       {"post_ffw_norm", "post_feedforward_layernorm"}};
constexpr GgufRenamed kFused[] = {{"attn_qkv", "self_attn.qkv_proj"},
                                  {"ffn_up", "mlp.gate_up_proj"},
                                  {"ffn_norm", "post_attention_layernorm"}};
constexpr GgufRenamed kGlmNames[] = {{"ffn_up", "mlp.gate_up_proj"},
                                     {"post_attention_norm", "post_self_attn_layernorm"},
                                     {"ffn_norm", "post_attention_layernorm"},
                                     {"post_ffw_norm", "post_mlp_layernorm"}};
constexpr GgufRenamed kFourNorms[] = {{"post_attention_norm", "post_attention_layernorm"},
                                      {"ffn_norm", "pre_feedforward_layernorm"},
                                      {"post_ffw_norm", "post_feedforward_layernorm"}};

GgufNames names_of(const json& config, std::span<const GgufRenamed> norms) {
  GgufNames names(config["num_hidden_layers"].get<int64_t>(), "model.layers.");
  names.add_top(kTopNames);
  names.add_layers(kLayerNames);
  names.add_layers(norms);
  return names;
}

// Linear scaling, which a factor alone means, and YaRN.
void read_rope_scaling(const GgufSource& source) {
  ArchitectureFields& fields = *source.fields;
  const std::string type = fields.text("rope.scaling.type", "linear");
  const double factor = fields.number("rope.scaling.factor", 1);
  const int64_t original = fields.integer("rope.scaling.original_context_length", 0);
  fields.has("rope.scaling.finetuned");  // it says what the model was trained with
  if (type == "none" || factor == 1 || factor == 0) return;
  json scaling = {{"rope_type", type}, {"factor", factor}};
  if (type == "yarn") {
    if (original < 1) fields.refuse("rope.scaling.original_context_length", "is missing");
    scaling["original_max_position_embeddings"] = original;
    scaling["beta_fast"] = fields.number("rope.scaling.yarn_beta_fast", 32);
    scaling["beta_slow"] = fields.number("rope.scaling.yarn_beta_slow", 1);
  } else if (type != "linear") {
    fields.refuse("rope.scaling.type", "is not one of: none, linear, yarn");
  }
  (*source.config)["rope_scaling"] = std::move(scaling);
}

constexpr const char* kFrequencies = "rope_freqs.weight";

// Llama 3.1 divides the frequency of pair i by this. It has three bands of frequencies, of which
// the files keep the divisors alone.
double llama3_divisor(double base, double dims, size_t i, double factor, double original) {
  const double wavelength =
      2 * std::numbers::pi * std::pow(base, 2 * static_cast<double>(i) / dims);
  constexpr double kLow = 1, kHigh = 4;
  if (wavelength < original / kHigh) return 1;
  if (wavelength > original / kLow) return factor;
  const double smooth = (original / wavelength - kLow) / (kHigh - kLow);
  return 1 / ((1 - smooth) / factor + smooth);
}

// The divisors must be those of Llama 3.1 to 3.3, which are trained on 8192 positions.
void read_llama3_scaling(const GgufSource& source) {
  const GgufEntry* entry = source.checkpoint->entry(kFrequencies);
  if (entry == nullptr) return;
  json& config = *source.config;
  const auto dims = config["head_dim"].get<int64_t>();
  const std::vector<float> divisors = read_tensor(*source.checkpoint, kFrequencies, {dims / 2});
  constexpr double kOriginal = 8192;
  const double factor = divisors.empty() ? 0 : divisors.back();
  for (size_t i = 0; i < divisors.size(); ++i) {
    const double expected = llama3_divisor(config["rope_theta"].get<double>(),
                                           static_cast<double>(dims), i, factor, kOriginal);
    if (std::abs(divisors[i] - expected) <= 1e-5 * expected) continue;
    source.checkpoint->refuse(kFrequencies,
                              "has other divisors than those of Llama 3.1 for 8192 positions, "
                              "which is not supported");
  }
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", factor},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", static_cast<int64_t>(kOriginal)}};
}

constexpr GgufRenamed kExperts[] = {{"ffn_gate_inp", "mlp.gate"},
                                    {"ffn_gate_exps", "mlp.experts.gate_proj"},
                                    {"ffn_up_exps", "mlp.experts.up_proj"},
                                    {"ffn_down_exps", "mlp.experts.down_proj"},
                                    {"ffn_gate_inp_shexp", "mlp.shared_expert_gate"},
                                    {"ffn_gate_shexp", "mlp.shared_expert.gate_proj"},
                                    {"ffn_up_shexp", "mlp.shared_expert.up_proj"},
                                    {"ffn_down_shexp", "mlp.shared_expert.down_proj"}};
constexpr GgufRenamed kExpertsOfGlm[] = {{"post_attention_norm", "post_attention_layernorm"},
                                         {"exp_probs_b.bias", "mlp.gate.e_score_correction_bias"},
                                         {"ffn_gate_shexp", "mlp.shared_experts.gate_proj"},
                                         {"ffn_up_shexp", "mlp.shared_experts.up_proj"},
                                         {"ffn_down_shexp", "mlp.shared_experts.down_proj"}};
constexpr GgufRenamed kExpertsOfMixtral[] = {{"ffn_gate_inp", "block_sparse_moe.gate"},
                                             {"ffn_gate_exps", "block_sparse_moe.experts.w1"},
                                             {"ffn_up_exps", "block_sparse_moe.experts.w3"},
                                             {"ffn_down_exps", "block_sparse_moe.experts.w2"}};

constexpr GgufRenamed kExpertsOfGptOss[] = {{"post_attention_norm", "post_attention_layernorm"},
                                            {"attn_sinks", "self_attn.sinks"},
                                            {"ffn_gate_inp", "mlp.router"},
                                            {"ffn_gate_exps", "mlp.experts.gate_proj"},
                                            {"ffn_up_exps", "mlp.experts.up_proj"},
                                            {"ffn_down_exps", "mlp.experts.down_proj"}};

// Whether layers have experts, and how many. All layers have them.
bool read_experts(const GgufSource& source) {
  ArchitectureFields& fields = *source.fields;
  const int64_t n = fields.integer("expert_count", 0);
  const int64_t n_chosen = fields.integer("expert_used_count", 0);
  if (n == 0 && n_chosen == 0) return false;
  json& config = *source.config;
  config["num_experts"] = n;
  config["num_experts_per_tok"] = n_chosen;
  return true;
}

// The tensors alone tell whether there are biases.
void set_biases(const GgufSource& source) {
  (*source.config)["attention_bias"] = source.has_tensor("blk.0.attn_q.bias");
}

}  // namespace

// Llama, Mistral, Mixtral and SmolLM 3, whose converter puts rows of Q and K into the order of
// pairs that turn. In SmolLM 3 every fourth layer has no positions, as in transformers where no
// list says so.
void read_gguf_llama(const GgufSource& source) {
  json& config = *source.config;
  const bool has_experts = source.fields->name() == "llama" && read_experts(source);
  config["model_type"] = has_experts ? "mixtral" : source.fields->name();
  config["hidden_act"] = "silu";
  read_rope_scaling(source);
  read_llama3_scaling(source);
  set_biases(source);
  config["mlp_bias"] = source.has_tensor("blk.0.ffn_up.bias");
  GgufNames names = names_of(config, kTwoNorms);
  if (has_experts) names.add_layers(kExpertsOfMixtral);
  names.set_heads("attn_q", config["num_attention_heads"].get<int64_t>());
  names.set_heads("attn_k", config["num_key_value_heads"].get<int64_t>());
  const std::string divisors = kFrequencies;
  source.checkpoint->set_names(names.take(), {&divisors, 1});
}

void read_gguf_qwen(const GgufSource& source) {
  json& config = *source.config;
  config["model_type"] = source.fields->name();
  config["hidden_act"] = "silu";
  config["use_sliding_window"] = false;
  set_biases(source);  // of Qwen 3; Qwen 2 has those that it has
  read_rope_scaling(source);
  source.checkpoint->set_names(names_of(config, kTwoNorms).take());
}

// llama.cpp normalizes weights in Qwen 3 alone, whatever the folder said.
void read_gguf_experts(const GgufSource& source) {
  json& config = *source.config;
  ArchitectureFields& fields = *source.fields;
  const std::string name = fields.name();
  if (!read_experts(source)) fields.refuse("expert_count", "is missing");
  config["model_type"] = name == "olmoe" ? name : name == "qwen2moe" ? "qwen2_moe" : "qwen3_moe";
  config["hidden_act"] = "silu";
  config["use_sliding_window"] = false;
  config["norm_topk_prob"] = name == "qwen3moe";
  if (name != "olmoe")
    config["moe_intermediate_size"] = fields.integer("expert_feed_forward_length");
  if (name == "qwen2moe") {
    config["shared_expert_intermediate_size"] = fields.integer("expert_shared_feed_forward_length");
  }
  set_biases(source);
  config["qkv_bias"] = config["attention_bias"];
  read_rope_scaling(source);
  GgufNames names = names_of(config, kTwoNorms);
  names.add_layers(kExperts);
  source.checkpoint->set_names(names.take());
}

// The file says neither the clamp of experts nor which layers have windows: those of the class.
// llama.cpp widens positions as transformers does where "truncate" is true, which gpt-oss's is not.
void read_gguf_gpt_oss(const GgufSource& source) {
  json& config = *source.config;
  ArchitectureFields& fields = *source.fields;
  if (!read_experts(source)) fields.refuse("expert_count", "is missing");
  config["model_type"] = "gpt_oss";
  config["intermediate_size"] = fields.integer("expert_feed_forward_length");
  config["sliding_window"] = fields.integer("attention.sliding_window");
  set_biases(source);
  read_rope_scaling(source);
  if (config.contains("rope_scaling")) {
    config["rope_scaling"]["truncate"] = false;
  } else {
    config["rope_parameters"] = {{"rope_type", "default"}};
  }
  GgufNames names = names_of(config, kExpertsOfGptOss);
  source.checkpoint->set_names(names.take());
}

void read_gguf_olmo2(const GgufSource& source) {
  json& config = *source.config;
  config["model_type"] = "olmo2";
  config["hidden_act"] = "silu";
  set_biases(source);
  read_rope_scaling(source);
  source.checkpoint->set_names(names_of(config, kLaterNorms).take());
}

constexpr const char* kShortFactors = "rope_factors_short.weight";
constexpr const char* kLongFactors = "rope_factors_long.weight";

// Two tensors of factors for wavelengths. llama.cpp chooses as Headlane does, by what a sequence
// has room for.
void read_longrope(const GgufSource& source) {
  constexpr const char* kScale = "rope.scaling.attn_factor";
  const double scale = source.fields->number(kScale, 1);
  if (!source.has_tensor(kShortFactors) && !source.has_tensor(kLongFactors)) {
    if (scale != 1) source.fields->refuse(kScale, "is there without tensors of factors");
    return;
  }
  json& config = *source.config;
  const auto dims = static_cast<int64_t>(config["head_dim"].get<double>() *
                                         config["partial_rotary_factor"].get<double>());
  json scaling = {{"rope_type", "longrope"}, {"attention_factor", scale}};
  for (const auto& [name, key] :
       {std::pair{kShortFactors, "short_factor"}, std::pair{kLongFactors, "long_factor"}}) {
    scaling[key] = json::array();
    for (const float factor : read_tensor(*source.checkpoint, name, {dims / 2})) {
      scaling[key].push_back(double{factor});
    }
  }
  config["rope_scaling"] = std::move(scaling);
}

// Q, K and V are one tensor, and so are gate and up. A window of 0 is none.
void read_gguf_phi3(const GgufSource& source) {
  json& config = *source.config;
  config["model_type"] = "phi3";
  config["hidden_act"] = "silu";
  config["original_max_position_embeddings"] = source.fields->integer(
      "rope.scaling.original_context_length", config["max_position_embeddings"].get<int64_t>());
  read_longrope(source);
  const int64_t window = source.fields->integer("attention.sliding_window", 0);
  config["sliding_window"] = window > 0 ? json(window) : json();
  const std::string factors[] = {kShortFactors, kLongFactors};
  source.checkpoint->set_names(names_of(config, kFused).take(), factors);
}

void read_gguf_glm4(const GgufSource& source) {
  json& config = *source.config;
  config["model_type"] = "glm4";
  config["hidden_act"] = "silu";
  set_biases(source);
  source.checkpoint->set_names(names_of(config, kGlmNames).take());
}

// The first GLM-4, whose files may have Q, K and V as one tensor.
void read_gguf_chatglm(const GgufSource& source) {
  json& config = *source.config;
  config["model_type"] = "glm";
  config["hidden_act"] = "silu";
  const char* const bias =
      source.has_tensor("blk.0.attn_qkv.weight") ? "blk.0.attn_qkv.bias" : "blk.0.attn_q.bias";
  config["attention_bias"] = source.has_tensor(bias);
  source.checkpoint->set_names(names_of(config, kFused).take());
}

// The names of all tensors of layers from one on.
std::vector<std::string> later_tensors(const GgufSource& source, int64_t first, int64_t n) {
  std::vector<std::string> names;
  for (int64_t i = first; i < n; ++i) {
    const std::string layer = "blk." + std::to_string(i) + ".";
    for (const std::string& name : source.checkpoint->names()) {
      if (name.starts_with(layer)) names.push_back(name);
    }
  }
  return names;
}

// GLM-4.5. The last layers, which predict tokens further ahead, are left out.
void read_gguf_glm4_moe(const GgufSource& source) {
  json& config = *source.config;
  ArchitectureFields& fields = *source.fields;
  if (!read_experts(source)) fields.refuse("expert_count", "is missing");
  constexpr int64_t kSigmoid = 2;
  if (fields.integer("expert_gating_func", kSigmoid) != kSigmoid) {
    fields.refuse("expert_gating_func", "is not 2, the sigmoid");
  }
  const auto n_all = config["num_hidden_layers"].get<int64_t>();
  const int64_t n_ahead = fields.integer("nextn_predict_layers", 0);
  if (n_ahead < 0 || n_ahead >= n_all) fields.refuse("nextn_predict_layers", "leaves no layer");
  config["num_hidden_layers"] = n_all - n_ahead;
  config["model_type"] = "glm4_moe";
  config["hidden_act"] = "silu";
  config["n_routed_experts"] = config["num_experts"];
  config["moe_intermediate_size"] = fields.integer("expert_feed_forward_length");
  config["n_shared_experts"] = fields.integer("expert_shared_count");
  config["first_k_dense_replace"] = fields.integer("leading_dense_block_count", 0);
  config["routed_scaling_factor"] = fields.number("expert_weights_scale", 1);
  config["norm_topk_prob"] = fields.flag("expert_weights_norm", false);
  config["n_group"] = fields.integer("expert_group_count", 1);
  config["topk_group"] = fields.integer("expert_group_used_count", 1);
  config["use_qk_norm"] = source.has_tensor("blk.0.attn_q_norm.weight");
  set_biases(source);
  read_rope_scaling(source);
  GgufNames names = names_of(config, kTwoNorms);
  names.add_layers(kExperts);
  names.add_layers(kExpertsOfGlm);
  source.checkpoint->set_names(names.take(), later_tensors(source, n_all - n_ahead, n_all));
}

// Rows of Q and K are in the order of pairs, as of Llama. llama.cpp tells the 13B models, which
// have ALiBi, by their 40 layers. Rows of the head of Baichuan 2 have length 1, whether the file
// has them so or not, and its importer tells it by its vocabulary.
void read_gguf_baichuan(const GgufSource& source) {
  json& config = *source.config;
  check_plain_heads(source, false);
  config["model_type"] = "baichuan";
  config["hidden_act"] = "silu";
  constexpr int64_t kLayersOf13B = 40;
  if (config["num_hidden_layers"].get<int64_t>() == kLayersOf13B) {
    config["model_max_length"] = config["max_position_embeddings"];
    config["max_position_embeddings"] = json();
  }
  for (const char* key : {"num_key_value_heads", "head_dim"}) config[key] = json();
  GgufNames names = names_of(config, kTwoNorms);
  names.set_heads("attn_q", config["num_attention_heads"].get<int64_t>());
  names.set_heads("attn_k", config["num_attention_heads"].get<int64_t>());
  source.checkpoint->set_names(names.take());
}

namespace {

// llama.cpp tells the largest models of Gemma 2 and 3 by their number of layers: their scores are
// divided by the root of what a head would have if all of d_model were shared among them.
double gemma_score_width(const json& config, int64_t layers_of_largest) {
  const auto n_layers = config["num_hidden_layers"].get<int64_t>();
  const auto d_model = config["hidden_size"].get<double>();
  return n_layers == layers_of_largest ? d_model / config["num_attention_heads"].get<double>()
                                       : config["head_dim"].get<double>();
}

void read_gemma_names(const GgufSource& source, std::span<const GgufRenamed> norms) {
  json& config = *source.config;
  config["hidden_activation"] = "gelu_pytorch_tanh";
  config["hidden_act"] = "gelu_pytorch_tanh";
  set_biases(source);
  GgufNames names = names_of(config, norms);
  names.add_one_to_norms();
  source.checkpoint->set_names(names.take());
}

}  // namespace

void read_gguf_gemma(const GgufSource& source) {
  (*source.config)["model_type"] = "gemma";
  read_gemma_names(source, kTwoNorms);
}

void read_gguf_gemma2(const GgufSource& source) {
  json& config = *source.config;
  config["model_type"] = "gemma2";
  config["sliding_window"] = source.fields->integer("attention.sliding_window", 4096);
  config["attn_logit_softcapping"] = source.fields->number("attn_logit_softcapping", 50);
  config["final_logit_softcapping"] = source.fields->number("final_logit_softcapping", 30);
  config["query_pre_attn_scalar"] = gemma_score_width(config, 46);
  read_gemma_names(source, kFourNorms);
}

void read_gguf_gemma3(const GgufSource& source) {
  json& config = *source.config;
  ArchitectureFields& fields = *source.fields;
  config["model_type"] = "gemma3_text";
  config["sliding_window"] = fields.integer("attention.sliding_window");
  config["sliding_window_pattern"] = fields.integer("attention.sliding_window_pattern", 6);
  config["rope_local_base_freq"] = fields.number("rope.freq_base_swa", 10000);
  config["query_pre_attn_scalar"] = gemma_score_width(config, 62);
  if (fields.has("final_logit_softcapping")) {
    fields.refuse("final_logit_softcapping", "is there, which Gemma 3 has no use for");
  }
  read_rope_scaling(source);
  read_gemma_names(source, kFourNorms);
}

}  // namespace headlane
