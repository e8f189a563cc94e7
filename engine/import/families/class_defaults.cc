#include "engine/import/families/class_defaults.h"

#include <utility>

#include "engine/file/json.h"

namespace headlane {
namespace {

using json = Json;

// Each function lists the fields that the importers read, for which the class has more than null,
// and which the importers do not take for granted otherwise.
json bert_defaults() {
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

json distilbert_defaults() {
  return {{"vocab_size", 30522},
          {"dim", 768},
          {"n_layers", 6},
          {"n_heads", 12},
          {"hidden_dim", 3072},
          {"activation", "gelu"},
          {"max_position_embeddings", 512}};
}

// BERT's own of these, and what else its descendants have.
json bert_descendant_defaults(const std::string& model_type) {
  json defaults = bert_defaults();
  if (model_type == "electra") {
    defaults.update({{"embedding_size", 128},
                     {"hidden_size", 256},
                     {"num_attention_heads", 4},
                     {"intermediate_size", 1024}});
    return defaults;
  }
  if (model_type == "roberta") defaults["vocab_size"] = 50265;
  if (model_type != "mpnet") {  // whose padding is always 1
    defaults["pad_token_id"] = 1;
    return defaults;
  }
  defaults.erase("type_vocab_size");
  defaults.update({{"vocab_size", 30527}, {"relative_attention_num_buckets", 32}});
  return defaults;
}

// BART, mBART, Marian and M2M-100 have these in common.
json bart_defaults() {
  return {{"vocab_size", 50265},
          {"max_position_embeddings", 1024},
          {"encoder_layers", 12},
          {"encoder_ffn_dim", 4096},
          {"encoder_attention_heads", 16},
          {"decoder_layers", 12},
          {"decoder_ffn_dim", 4096},
          {"decoder_attention_heads", 16},
          {"activation_function", "gelu"},
          {"d_model", 1024},
          {"scale_embedding", false},
          {"pad_token_id", 1},
          {"bos_token_id", 0},
          {"eos_token_id", 2}};
}

json t5_defaults() {
  return {{"vocab_size", 32128},
          {"d_model", 512},
          {"d_kv", 64},
          {"d_ff", 2048},
          {"num_layers", 6},
          {"num_heads", 8},
          {"relative_attention_num_buckets", 32},
          {"relative_attention_max_distance", 128},
          {"layer_norm_epsilon", 1e-6},
          {"feed_forward_proj", "relu"},
          {"pad_token_id", 0},
          {"eos_token_id", 1}};
}

// A class's null, such as Llama's "num_key_value_heads", is left out: the importer knows what it
// stands for.
json llama_defaults() {
  return {{"vocab_size", 32000},
          {"hidden_size", 4096},
          {"intermediate_size", 11008},
          {"num_hidden_layers", 32},
          {"num_attention_heads", 32},
          {"hidden_act", "silu"},
          {"max_position_embeddings", 2048},
          {"rms_norm_eps", 1e-6},
          {"bos_token_id", 1},
          {"eos_token_id", 2}};
}

json mistral_defaults() {
  json defaults = llama_defaults();
  defaults.update({{"intermediate_size", 14336},
                   {"num_key_value_heads", 8},
                   {"max_position_embeddings", 131072},
                   {"sliding_window", 4096}});
  return defaults;
}

json gpt2_defaults() {
  return {{"vocab_size", 50257},
          {"n_positions", 1024},
          {"n_embd", 768},
          {"n_layer", 12},
          {"n_head", 12},
          {"activation_function", "gelu_new"},
          {"layer_norm_epsilon", 1e-5},
          {"bos_token_id", 50256},
          {"eos_token_id", 50256}};
}

json qwen2_defaults() {
  return {{"vocab_size", 151936},       {"hidden_size", 4096},
          {"intermediate_size", 22016}, {"num_hidden_layers", 32},
          {"num_attention_heads", 32},  {"num_key_value_heads", 32},
          {"hidden_act", "silu"},       {"max_position_embeddings", 32768},
          {"rms_norm_eps", 1e-6},       {"sliding_window", 4096},
          {"max_window_layers", 28}};
}

json qwen3_defaults() {
  json defaults = qwen2_defaults();
  defaults["head_dim"] = 128;
  return defaults;
}

json gemma_defaults() {
  return {{"vocab_size", 256000},
          {"hidden_size", 3072},
          {"intermediate_size", 24576},
          {"num_hidden_layers", 28},
          {"num_attention_heads", 16},
          {"num_key_value_heads", 16},
          {"head_dim", 256},
          {"hidden_act", "gelu_pytorch_tanh"},
          {"max_position_embeddings", 8192},
          {"rms_norm_eps", 1e-6},
          {"pad_token_id", 0},
          {"eos_token_id", 1},
          {"bos_token_id", 2}};
}

json gemma2_defaults() {
  json defaults = gemma_defaults();
  defaults.erase("hidden_act");
  defaults.update({{"hidden_size", 2304},
                   {"intermediate_size", 9216},
                   {"num_hidden_layers", 26},
                   {"num_attention_heads", 8},
                   {"num_key_value_heads", 4},
                   {"hidden_activation", "gelu_pytorch_tanh"},
                   {"query_pre_attn_scalar", 256},
                   {"sliding_window", 4096},
                   {"final_logit_softcapping", 30.0},
                   {"attn_logit_softcapping", 50.0}});
  return defaults;
}

json gemma3_defaults() {
  json defaults = gemma2_defaults();
  for (const char* key : {"final_logit_softcapping", "attn_logit_softcapping"}) defaults.erase(key);
  defaults.update({{"vocab_size", 262208}, {"max_position_embeddings", 131072}});
  return defaults;
}

// These classes have the fields of Llama's, with other numbers.
json llama_like_defaults(const std::string& model_type) {
  json defaults = llama_defaults();
  if (model_type == "phi3") {
    defaults.update({{"vocab_size", 32064},
                     {"hidden_size", 3072},
                     {"intermediate_size", 8192},
                     {"max_position_embeddings", 4096},
                     {"original_max_position_embeddings", 4096},
                     {"rms_norm_eps", 1e-5},
                     {"pad_token_id", 32000},
                     {"eos_token_id", 32000}});
  } else if (model_type == "smollm3") {
    defaults.update({{"vocab_size", 128256},
                     {"hidden_size", 2048},
                     {"num_hidden_layers", 36},
                     {"num_attention_heads", 16},
                     {"num_key_value_heads", 4},
                     {"max_position_embeddings", 32768},
                     {"rope_theta", 2000000.0},
                     {"no_rope_layer_interval", 4},
                     {"pad_token_id", 128004},
                     {"bos_token_id", 128000},
                     {"eos_token_id", 128001}});
  } else if (model_type == "olmo2") {
    defaults.erase("bos_token_id");
    defaults.update({{"vocab_size", 50304},
                     {"rms_norm_eps", 1e-5},
                     {"pad_token_id", 1},
                     {"eos_token_id", 50279}});
  } else {  // GLM
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
  }
  return defaults;
}

// Its makers' class has other numbers for each size, so sizes are not filled in.
json baichuan_defaults() {
  return {{"hidden_act", "silu"},
          {"rms_norm_eps", 1e-6},
          {"pad_token_id", 0},
          {"bos_token_id", 1},
          {"eos_token_id", 2}};
}

json falcon_defaults() {
  return {
      {"vocab_size", 65024},       {"hidden_size", 4544},        {"num_hidden_layers", 32},
      {"num_attention_heads", 71}, {"layer_norm_epsilon", 1e-5}, {"max_position_embeddings", 2048},
      {"activation", "gelu"},      {"bos_token_id", 11},         {"eos_token_id", 11}};
}

// Its numbers of layers and heads go by two names each, so none is filled in.
json bloom_defaults() {
  return {{"vocab_size", 250880},
          {"layer_norm_epsilon", 1e-5},
          {"bos_token_id", 1},
          {"eos_token_id", 2}};
}

json defaults_of(const std::string& model_type) {
  json defaults = json::object();
  if (model_type == "bert") return bert_defaults();
  if (model_type == "distilbert") return distilbert_defaults();
  for (const char* descendant : {"roberta", "xlm-roberta", "camembert", "electra", "mpnet"}) {
    if (model_type == descendant) return bert_descendant_defaults(model_type);
  }
  if (model_type == "gpt2") return gpt2_defaults();
  if (model_type == "llama") return llama_defaults();
  if (model_type == "mistral") return mistral_defaults();
  if (model_type == "qwen2") return qwen2_defaults();
  if (model_type == "qwen3") return qwen3_defaults();
  if (model_type == "gemma") return gemma_defaults();
  if (model_type == "gemma2") return gemma2_defaults();
  if (model_type == "gemma3_text") return gemma3_defaults();
  for (const char* like : {"phi3", "smollm3", "olmo2", "glm", "glm4"}) {
    if (model_type == like) return llama_like_defaults(model_type);
  }
  if (model_type == "baichuan") return baichuan_defaults();
  if (model_type == "falcon") return falcon_defaults();
  if (model_type == "bloom") return bloom_defaults();
  if (model_type == "t5") return t5_defaults();
  if (model_type == "mt5") {
    defaults = t5_defaults();
    defaults.update({{"vocab_size", 250112},
                     {"d_ff", 1024},
                     {"num_layers", 8},
                     {"num_heads", 6},
                     {"feed_forward_proj", "gated-gelu"},
                     {"decoder_start_token_id", 0}});
  } else if (model_type == "bart") {
    defaults = bart_defaults();
    defaults.update({{"decoder_start_token_id", 2}, {"forced_eos_token_id", 2}});
  } else if (model_type == "mbart") {
    defaults = bart_defaults();
    defaults["forced_eos_token_id"] = 2;
  } else if (model_type == "marian") {
    defaults = bart_defaults();
    defaults.erase("bos_token_id");
    defaults.update({{"vocab_size", 58101},
                     {"decoder_start_token_id", 58100},
                     {"pad_token_id", 58100},
                     {"eos_token_id", 0},
                     {"forced_eos_token_id", 0}});
  } else if (model_type == "m2m_100") {
    defaults = bart_defaults();
    defaults.update({{"vocab_size", 128112},
                     {"activation_function", "relu"},
                     {"decoder_start_token_id", 2},
                     {"scale_embedding", true}});
  }
  return defaults;
}

}  // namespace

json with_class_defaults(json config) {
  if (!config.is_object()) return config;
  const auto type = config.find("model_type");
  if (type == config.end() || !type->is_string()) return config;
  const json defaults = defaults_of(type->text());
  for (const auto& [key, value] : defaults.items()) {
    if (!config.contains(key)) config[key] = value;
  }
  return config;
}

}  // namespace headlane
