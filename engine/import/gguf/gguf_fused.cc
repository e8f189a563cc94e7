// Architectures of GGUF with one tensor for Q, K and V and a plain feed-forward.
#include "engine/import/gguf/gguf_fields.h"

namespace headlane {
namespace {

using json = Json;

constexpr GgufRenamed kGpt2TopNames[] = {{"token_embd", "transformer.wte"},
                                         {"position_embd", "transformer.wpe"},
                                         {"output_norm", "transformer.ln_f"},
                                         {"output", "lm_head"}};
// A folder has these weights transposed.
constexpr GgufRenamed kGpt2Names[] = {{"attn_norm", "ln_1"},
                                      {"attn_qkv", "attn.c_attn.linear"},
                                      {"attn_output", "attn.c_proj.linear"},
                                      {"ffn_norm", "ln_2"},
                                      {"ffn_up", "mlp.c_fc.linear"},
                                      {"ffn_down", "mlp.c_proj.linear"}};

constexpr GgufRenamed kFusedTopNames[] = {
    {"token_embd", "transformer.word_embeddings"},
    {"token_embd_norm", "transformer.word_embeddings_layernorm"},
    {"output_norm", "transformer.ln_f"},
    {"output", "lm_head"}};
// A folder has the rows of Q, K and V head by head, and the file all of Q, then all of K, then of
// V.
constexpr GgufRenamed kFusedNames[] = {{"attn_qkv", "self_attention.q_k_v"},
                                       {"attn_output", "self_attention.dense"},
                                       {"ffn_up", "mlp.dense_h_to_4h"},
                                       {"ffn_down", "mlp.dense_4h_to_h"}};
constexpr GgufRenamed kBloomNorms[] = {{"attn_norm", "input_layernorm"},
                                       {"ffn_norm", "post_attention_layernorm"}};
constexpr GgufRenamed kFalconNorm[] = {{"attn_norm", "input_layernorm"}};
constexpr GgufRenamed kFalconNorms[] = {{"attn_norm", "ln_mlp"}, {"attn_norm_2", "ln_attn"}};

void set_names(const GgufSource& source, std::span<const GgufRenamed> top,
               std::span<const GgufRenamed> layers, std::span<const GgufRenamed> norms) {
  GgufNames names((*source.config)["num_hidden_layers"].get<int64_t>(), "transformer.h.");
  names.add_top(top);
  names.add_layers(layers);
  names.add_layers(norms);
  source.checkpoint->set_names(names.take());
}

}  // namespace

void read_gguf_gpt2(const GgufSource& source) {
  json& config = *source.config;
  check_plain_heads(source, false);
  config["model_type"] = "gpt2";
  config["activation_function"] = "gelu_new";
  config["n_embd"] = config["hidden_size"];
  config["n_layer"] = config["num_hidden_layers"];
  config["n_head"] = config["num_attention_heads"];
  config["n_inner"] = config["intermediate_size"];
  config["n_positions"] = config["max_position_embeddings"];
  set_names(source, kGpt2TopNames, kGpt2Names, {});
}

// The larger models have a norm for attention and one for the feed-forward.
void read_gguf_falcon(const GgufSource& source) {
  json& config = *source.config;
  check_plain_heads(source, true);
  const bool two_norms = source.has_tensor("blk.0.attn_norm_2.weight");
  config["model_type"] = "falcon";
  config["activation"] = "gelu";
  config["new_decoder_architecture"] = true;
  config["num_ln_in_parallel_attn"] = two_norms ? 2 : 1;
  config["num_kv_heads"] = config["num_key_value_heads"];
  config["ffn_hidden_size"] = config["intermediate_size"];
  config["bias"] = source.has_tensor("blk.0.attn_qkv.bias");
  using Norms = std::span<const GgufRenamed>;
  set_names(source, kFusedTopNames, kFusedNames,
            two_norms ? Norms(kFalconNorms) : Norms(kFalconNorm));
}

void read_gguf_bloom(const GgufSource& source) {
  json& config = *source.config;
  check_plain_heads(source, false);
  config["model_type"] = "bloom";
  config["n_head"] = config["num_attention_heads"];
  config["n_layer"] = config["num_hidden_layers"];
  config["seq_length"] = config["max_position_embeddings"];
  if (config["intermediate_size"].get<int64_t>() != 4 * config["hidden_size"].get<int64_t>()) {
    source.fields->refuse("feed_forward_length", "is not four times the width of the model");
  }
  set_names(source, kFusedTopNames, kFusedNames, kBloomNorms);
}

}  // namespace headlane
