#include "engine/import/families/gemma.h"

#include <cmath>

#include "engine/base/error.h"
#include "engine/import/families/class_defaults.h"
#include "engine/import/families/decoder.h"
#include "engine/import/families/language_model.h"
#include "engine/import/families/rotary.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

constexpr const char* kFull = "full_attention";
constexpr const char* kSliding = "sliding_attention";

// All Gemmas have these. `activation`: the field that names it.
constexpr const char* kBothWays = "use_bidirectional_attention";

ModelConfig read_gemma(const Json& config, const std::string& path, const char* activation) {
  ModelConfig result = gated_decoder_config(config, path, activation);
  refuse_partial_rotary(config, path);
  result.decoder.embedding_scale = std::sqrt(static_cast<float>(result.d_model));
  return result;
}

void read_scale(const Json& config, const std::string& path, AttentionSpec* spec) {
  constexpr const char* kField = "query_pre_attn_scalar";
  const double divisor = json_number(config, kField, path);
  if (!(divisor > 0)) {
    fail(Status::kBadFile, "%s field \"%s\" is %g, not a positive number", path.c_str(), kField,
         divisor);
  }
  spec->scale = static_cast<float>(1 / std::sqrt(divisor));
}

// 0: there is none.
float read_cap(const Json& config, const char* key, const std::string& path) {
  if (!json_has(config, key, path)) return 0;
  const double cap = json_number(config, key, path);
  if (cap > 0) return static_cast<float>(cap);
  fail(Status::kBadFile, "%s field \"%s\" is %g, not a positive number", path.c_str(), key, cap);
}

// Gemma 2 and 3 have these.
ModelConfig read_later(const Json& config, const std::string& path) {
  ModelConfig result = read_gemma(config, path, "hidden_activation");
  read_scale(config, path, &result.decoder.attention);
  result.decoder.norm = NormPlacement::kBoth;
  result.head.cap.limit = read_cap(config, "final_logit_softcapping", path);
  return result;
}

// Tells which layers have a window: "layer_types" names them. In models without that field, all
// layers have one except each `pattern`th.
std::vector<bool> read_windowed(const Json& config, const std::string& path, int64_t n_layers,
                                int64_t pattern) {
  if (std::optional<std::vector<bool>> types = read_layer_types(config, path, n_layers)) {
    return *types;
  }
  std::vector<bool> windowed(static_cast<size_t>(n_layers));
  for (int64_t i = 0; i < n_layers; ++i) windowed[static_cast<size_t>(i)] = (i + 1) % pattern != 0;
  return windowed;
}

std::string text_part_path(const std::string& path) { return path + " field \"text_config\":"; }

void put_all(Json* to, const Json& from) {
  for (const auto& [key, value] : from.items()) (*to)[key] = value;
}

// An object of numbers and names, and no objects of its own.
const Json& flat_object(const Json& parent, const char* key, const std::string& where) {
  const Json& value = parent[key];
  if (!value.is_object()) {
    fail(Status::kBadFile, "%s field \"%s\" is not an object", where.c_str(), key);
  }
  for (const auto& [name, member] : value.items()) {
    if (!member.is_structured()) continue;
    fail(Status::kUnsupported, "%s field \"%s\" has \"%s\", which is not a number or a name",
         where.c_str(), key, printable(name).c_str());
  }
  return value;
}

// Rotary positions of both kinds of layers. The older spelling's "rope_scaling" and "rope_theta"
// are those of layers without a window, whose base is "rope_local_base_freq".
struct RotaryOfKinds {
  Json full = Json::object(), sliding = Json::object();
};
RotaryOfKinds read_rotary_fields(const Json& config, const std::string& path) {
  RotaryOfKinds fields;
  constexpr const char* kNew = "rope_parameters";
  constexpr const char* kOld = "rope_scaling";
  if (json_has(config, kNew, path)) {
    const std::string where = path + " field \"" + kNew + "\":";
    for (const auto& [name, member] : json_field(config, kNew, path).items()) {
      if (name == kFull || name == kSliding) continue;
      fail(Status::kUnsupported, "%s it has \"%s\", not one of: full_attention, sliding_attention",
           where.c_str(), printable(name).c_str());
    }
    const Json& both = config[kNew];
    if (json_has(both, kFull, where)) fields.full = flat_object(both, kFull, where);
    if (json_has(both, kSliding, where)) fields.sliding = flat_object(both, kSliding, where);
  }
  if (json_has(config, kOld, path)) put_all(&fields.full, flat_object(config, kOld, path));
  const auto base = [&](const char* key, double otherwise, Json* kind) {
    if (kind->contains("rope_theta")) return;
    (*kind)["rope_theta"] =
        json_has(config, key, path) ? json_number(config, key, path) : otherwise;
  };
  base("rope_theta", 1e6, &fields.full);
  base("rope_local_base_freq", 1e4, &fields.sliding);
  return fields;
}

// transformers ties words by the whole model's field, whatever the part's own says.
Json text_part(const Json& config, const std::string& path) {
  constexpr const char* kField = "text_config";
  constexpr const char* kType = "gemma3_text";
  Json part = json_has(config, kField, path) ? config[kField] : Json::object();
  if (!part.is_object()) {
    fail(Status::kBadFile, "%s field \"%s\" is not an object", path.c_str(), kField);
  }
  const std::string where = text_part_path(path);
  const std::string type = json_string(part, "model_type", where, kType);
  if (type != kType) {
    fail(Status::kUnsupported, "%s field \"model_type\" is \"%s\"; only \"%s\" is supported",
         where.c_str(), printable(type).c_str(), kType);
  }
  part["model_type"] = kType;
  part.erase("architectures");
  part["tie_word_embeddings"] = json_bool(config, "tie_word_embeddings", path, true);
  return with_class_defaults(part, gemma3_defaults);
}

}  // namespace

Json gemma_defaults(const std::string&) {
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

Json gemma2_defaults(const std::string& type) {
  Json defaults = gemma_defaults(type);
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

Json gemma3_defaults(const std::string& type) {
  Json defaults = gemma2_defaults(type);
  for (const char* key : {"final_logit_softcapping", "attn_logit_softcapping"}) defaults.erase(key);
  defaults.update({{"vocab_size", 262208}, {"max_position_embeddings", 131072}});
  return defaults;
}

ModelConfig gemma_config(const Json& config, const std::string& path) {
  // Files of the first release say "gelu" and mean its form by tanh, as transformers reads them.
  Json fields = config;
  constexpr const char* kActivation = "hidden_act";
  if (json_string(config, kActivation, path, "") == "gelu")
    fields[kActivation] = "gelu_pytorch_tanh";
  refuse_flag(config, kBothWays, path);
  ModelConfig result = read_gemma(fields, path, kActivation);
  StackConfig& decoder = result.decoder;
  read_rotary(config, path, &decoder);
  return result;
}

ModelConfig gemma2_config(const Json& config, const std::string& path) {
  refuse_flag(config, kBothWays, path);
  ModelConfig result = read_later(config, path);
  StackConfig& decoder = result.decoder;
  AttentionSpec& spec = decoder.attention;
  spec.softcap = read_cap(config, "attn_logit_softcapping", path);
  read_rotary(config, path, &decoder);
  decoder.windows =
      windows_of(read_windowed(config, path, decoder.n_layers, 2), window_of(config, path));
  return result;
}

ModelConfig gemma3_config(const Json& config, const std::string& path) {
  ModelConfig result = read_later(config, path);
  constexpr const char* kCap = "attn_logit_softcapping";
  if (json_has(config, kCap, path)) {
    fail(Status::kUnsupported,
         "%s field \"%s\" is not null; only null, which transformers computes with whatever the "
         "field says, is supported",
         path.c_str(), kCap);
  }
  StackConfig& decoder = result.decoder;
  AttentionSpec& spec = decoder.attention;
  decoder.qk_norms.of = QkNorm::kHeads;
  constexpr const char* kPattern = "sliding_window_pattern";
  const int64_t pattern =
      json_has(config, kPattern, path) ? json_positive(config, kPattern, path) : 6;
  const std::vector<bool> windowed = read_windowed(config, path, decoder.n_layers, pattern);
  decoder.windows = windows_of(windowed, window_of(config, path));
  if (json_bool(config, kBothWays, path, false)) {
    // A window is then half as wide, to both sides.
    spec.causal = Causal::kNone;
    const int64_t side = json_positive(config, "sliding_window", path) / 2;
    decoder.windows = windows_of(windowed, {side, side});
  }
  const RotaryOfKinds fields = read_rotary_fields(config, path);
  const RotarySpec full = read_rotary_of_layers(
      fields.full, path + " rotary positions of layers without a window:", spec.head_dim,
      decoder.max_positions);
  const RotarySpec sliding = read_rotary_of_layers(
      fields.sliding, path + " rotary positions of layers with a window:", spec.head_dim,
      decoder.max_positions);
  spec.rotary = full;
  for (const bool has_window : windowed) decoder.rotaries.push_back(has_window ? sliding : full);
  return result;
}

std::vector<TensorRecipe> gemma_tensors(const Checkpoint& checkpoint, const Json& config,
                                        const std::string& path, const ModelConfig& model) {
  GatedLayerNames names;
  names.norm_plus = 1;
  names.qkv_bias = names.out_bias = json_bool(config, "attention_bias", path, false);
  if (model.decoder.norm == NormPlacement::kBoth) {
    names.attention_norm_after = "post_attention_layernorm";
    names.ffn_norm = "pre_feedforward_layernorm";
    names.ffn_norm_after = "post_feedforward_layernorm";
  }
  const bool tied = json_bool(config, "tie_word_embeddings", path, true);
  return gated_decoder_tensors(checkpoint, model, names, tied);
}

ModelConfig gemma3_text_part_config(const Json& config, const std::string& path) {
  refuse_other_heads(config, path, "ForConditionalGeneration");
  refuse_changed_weights(config, path);
  ModelConfig result = gemma3_config(text_part(config, path), text_part_path(path));
  result.architecture = "gemma3";
  return result;
}

std::vector<TensorRecipe> gemma3_text_part_tensors(const Checkpoint& checkpoint, const Json& config,
                                                   const std::string& path,
                                                   const ModelConfig& model) {
  return gemma_tensors(checkpoint, text_part(config, path), text_part_path(path), model);
}

// Files have the names of one of two versions of transformers.
std::string gemma3_text_part_name(const std::string& name) {
  for (const std::string prefix : {"vision_tower.", "multi_modal_projector."}) {
    if (name.starts_with(prefix) || name.starts_with("model." + prefix)) return "";
  }
  for (const std::string prefix : {"language_model.model.", "model.language_model."}) {
    if (name.starts_with(prefix)) return "model." + name.substr(prefix.size());
  }
  return name == "language_model.lm_head.weight" ? "lm_head.weight" : name;
}

}  // namespace headlane
