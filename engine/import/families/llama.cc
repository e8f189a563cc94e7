#include "engine/import/families/llama.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"
#include "engine/import/families/decoder.h"
#include "engine/import/families/language_model.h"
#include "engine/import/families/rotary.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

// The window of each layer: "layer_types" says which layers have it or, in models that write no
// such field, the layer's number does.
std::vector<LayerWindow> read_windows(const Json& config, const std::string& path,
                                      int64_t n_layers) {
  const std::string type = json_string(config, "model_type", path);
  const bool used = type == "mistral" || json_bool(config, "use_sliding_window", path, false);
  const bool has_window = used && json_has(config, "sliding_window", path);
  if (type == "mistral") {
    return has_window ? std::vector{window_of(config, path)} : std::vector<LayerWindow>();
  }
  const std::optional<std::vector<bool>> types = read_layer_types(config, path, n_layers);
  if (!has_window) {
    if (types) refuse_unused_windows(*types, path);
    return {};
  }
  const LayerWindow window = window_of(config, path);
  if (types) return windows_of(*types, window);
  const int64_t first = std::max<int64_t>(json_int(config, "max_window_layers", path), 0);
  std::vector<bool> behind(static_cast<size_t>(n_layers));
  for (int64_t i = first; i < n_layers; ++i) behind[static_cast<size_t>(i)] = true;
  return windows_of(behind, window);
}

// Layers with rotary positions, by SmolLM 3's list or, where there is none, all except each so
// many'th.
std::vector<bool> read_turning(const Json& config, const std::string& path, int64_t n_layers) {
  std::vector<bool> turning(static_cast<size_t>(n_layers));
  constexpr const char* kList = "no_rope_layers";
  if (!json_has(config, kList, path)) {
    const int64_t interval = json_positive(config, "no_rope_layer_interval", path);
    for (int64_t i = 0; i < n_layers; ++i) {
      turning[static_cast<size_t>(i)] = (i + 1) % interval != 0;
    }
    return turning;
  }
  const Json& list = config[kList];
  if (!list.is_array() || std::ssize(list) != n_layers) {
    fail(Status::kBadFile, "%s field \"%s\" is not a list of %lld numbers", path.c_str(), kList,
         static_cast<long long>(n_layers));
  }
  for (size_t i = 0; i < turning.size(); ++i) {
    turning[i] = list[i] == 1;
    if (turning[i] || list[i] == 0) continue;
    fail(Status::kBadFile, "%s field \"%s\" has %s, not one of: 0, 1", path.c_str(), kList,
         printable(list[i].dump()).c_str());
  }
  return turning;
}

Json qwen_defaults(const std::string& type) {
  Json defaults = {{"vocab_size", 151936},       {"hidden_size", 4096},
                   {"intermediate_size", 22016}, {"num_hidden_layers", 32},
                   {"num_attention_heads", 32},  {"num_key_value_heads", 32},
                   {"hidden_act", "silu"},       {"max_position_embeddings", 32768},
                   {"rms_norm_eps", 1e-6},       {"sliding_window", 4096},
                   {"max_window_layers", 28}};
  if (type == "qwen3") defaults["head_dim"] = 128;
  return defaults;
}

}  // namespace

// A class's null, such as "num_key_value_heads", is left out: the importer knows what it stands
// for.
Json llama_defaults(const std::string& type) {
  if (type.starts_with("qwen")) return qwen_defaults(type);
  Json defaults = {{"vocab_size", 32000},
                   {"hidden_size", 4096},
                   {"intermediate_size", 11008},
                   {"num_hidden_layers", 32},
                   {"num_attention_heads", 32},
                   {"hidden_act", "silu"},
                   {"max_position_embeddings", 2048},
                   {"rms_norm_eps", 1e-6},
                   {"bos_token_id", 1},
                   {"eos_token_id", 2}};
  if (type == "mistral") {
    defaults.update({{"intermediate_size", 14336},
                     {"num_key_value_heads", 8},
                     {"max_position_embeddings", 131072},
                     {"sliding_window", 4096}});
  } else if (type == "smollm3") {
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
  } else if (type == "eurobert") {
    defaults.update({{"vocab_size", 128256},
                     {"hidden_size", 768},
                     {"intermediate_size", 3072},
                     {"num_hidden_layers", 12},
                     {"num_attention_heads", 12},
                     {"max_position_embeddings", 8192},
                     {"rms_norm_eps", 1e-5},
                     {"pad_token_id", 128001},
                     {"bos_token_id", 128000},
                     {"eos_token_id", 128001}});
  } else if (type == "olmo2") {
    defaults.erase("bos_token_id");
    defaults.update({{"vocab_size", 50304},
                     {"rms_norm_eps", 1e-5},
                     {"pad_token_id", 1},
                     {"eos_token_id", 50279}});
  }
  return defaults;
}

ModelConfig smollm3_config(const Json& config, const std::string& path) {
  ModelConfig result = gated_decoder_config(config, path);
  refuse_partial_rotary(config, path);
  StackConfig& decoder = result.decoder;
  read_rotary(config, path, &decoder);
  std::vector<bool> windowed = read_turning(config, path, decoder.n_layers);
  for (const bool turns : windowed) {
    decoder.rotaries.push_back(turns ? decoder.attention.rotary : RotarySpec());
  }
  // Where windows are used and layers are not named, those that do not turn have one.
  windowed.flip();
  const std::optional<std::vector<bool>> types = read_layer_types(config, path, decoder.n_layers);
  const bool has_window = json_bool(config, "use_sliding_window", path, false) &&
                          json_has(config, "sliding_window", path);
  if (has_window) {
    decoder.windows = windows_of(types.value_or(windowed), window_of(config, path));
  } else if (types) {
    refuse_unused_windows(*types, path);
  }
  return result;
}

ModelConfig olmo2_config(const Json& config, const std::string& path) {
  ModelConfig result = gated_decoder_config(config, path);
  refuse_partial_rotary(config, path);
  StackConfig& decoder = result.decoder;
  read_rotary(config, path, &decoder);
  decoder.norm = NormPlacement::kAfter;
  decoder.qk_norms.of = QkNorm::kRows;
  return result;
}

ModelConfig llama_config(const Json& config, const std::string& path) {
  ModelConfig result = gated_decoder_config(config, path);
  refuse_partial_rotary(config, path);
  StackConfig& decoder = result.decoder;
  read_rotary(config, path, &decoder);
  decoder.windows = read_windows(config, path, decoder.n_layers);
  if (result.architecture == "qwen3") decoder.qk_norms.of = QkNorm::kHeads;
  return result;
}

// Its tokens see all others.
ModelConfig eurobert_config(const Json& config, const std::string& path) {
  refuse_flag(config, kIsCausal, path);
  Json fields = config;
  fields.erase("architectures");  // those of a language model are not its own
  ModelConfig result = gated_decoder_config(fields, path);
  refuse_partial_rotary(config, path);
  read_rotary(config, path, &result.decoder);
  result.decoder.attention.causal = Causal::kNone;
  result.encoder = std::exchange(result.decoder, {});
  result.head = {};
  return result;
}

std::vector<TensorRecipe> eurobert_tensors(const Checkpoint& checkpoint, const Json& config,
                                           const std::string& path, const ModelConfig& model) {
  ModelConfig as_decoder = model;
  as_decoder.decoder = std::exchange(as_decoder.encoder, {});
  std::vector<TensorRecipe> recipes = llama_tensors(checkpoint, config, path, as_decoder);
  name_as_encoder(&recipes);
  return recipes;
}

std::vector<TensorRecipe> llama_tensors(const Checkpoint& checkpoint, const Json& config,
                                        const std::string& path, const ModelConfig& model) {
  GatedLayerNames names;
  const std::string type = json_string(config, "model_type", path);
  names.qkv_bias = type == "qwen2";
  if (type != "qwen2" && type != "mistral") {
    names.qkv_bias = names.out_bias = json_bool(config, "attention_bias", path, false);
  }
  if (type == "olmo2") {
    names.attention_norm = "post_attention_layernorm";
    names.ffn_norm = "post_feedforward_layernorm";
  }
  if (type == "llama" || type == "smollm3" || type == "eurobert")
    names.ffn_bias = json_bool(config, "mlp_bias", path, false);
  const bool tied = json_bool(config, "tie_word_embeddings", path, type == "smollm3");
  return gated_decoder_tensors(checkpoint, model, names, tied);
}

}  // namespace headlane
