#include "engine/import/families/rotary_encoder.h"

#include <charconv>
#include <set>

#include "engine/base/error.h"
#include "engine/import/families/bert.h"
#include "engine/import/families/encoder.h"
#include "engine/import/families/language_model.h"
#include "engine/import/families/rotary.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

// Fields of NomicBERT, by the names of transformers and of its makers, and what transformers' class
// takes where a file has neither.
struct NomicField {
  const char *name, *makers;
  double otherwise;
};
constexpr NomicField kNomicFields[] = {{"hidden_size", "n_embd", 768},
                                       {"num_hidden_layers", "n_layer", 12},
                                       {"num_attention_heads", "n_head", 12},
                                       {"intermediate_size", "n_inner", 3072},
                                       {"max_position_embeddings", "n_positions", 2048},
                                       {"layer_norm_eps", "layer_norm_epsilon", 1e-12},
                                       {"rope_theta", "rotary_emb_base", 1000}};

// What of the makers' code would be another model.
constexpr const char* kNomicFalse[] = {
    "qkv_proj_bias", "mlp_fc1_bias",           "mlp_fc2_bias",
    "prenorm",       "parallel_block",         "causal",
    "use_rms_norm",  "rotary_emb_interleaved", "scale_attn_by_inverse_layer_idx"};
constexpr const char* kNomicNull[] = {"rotary_emb_scale_base", "rotary_scaling_factor"};

void refuse_true(const Json& config, const char* key, const std::string& path) {
  if (!json_bool(config, key, path, false)) return;
  fail(Status::kUnsupported, "%s field \"%s\" is true; only false is supported", path.c_str(), key);
}

void refuse_other_number(const Json& config, const char* key, double only,
                         const std::string& path) {
  if (!json_has(config, key, path) || json_number(config, key, path) == only) return;
  fail(Status::kUnsupported, "%s field \"%s\" is %g; only %g is supported", path.c_str(), key,
       json_number(config, key, path), only);
}

void refuse_other_text(const Json& config, const char* key, const char* only,
                       const std::string& path) {
  const std::string text = json_string(config, key, path, only);
  if (text == only) return;
  fail(Status::kUnsupported, "%s field \"%s\" is \"%s\"; only \"%s\" is supported", path.c_str(),
       key, printable(text).c_str(), only);
}

void refuse_other_nomic(const Json& config, const std::string& path) {
  for (const char* key : kNomicFalse) refuse_true(config, key, path);
  for (const char* key : kNomicNull) {
    if (!json_has(config, key, path)) continue;
    fail(Status::kUnsupported, "%s field \"%s\" is not null; only null is supported", path.c_str(),
         key);
  }
  refuse_other_number(config, "rotary_emb_fraction", 1, path);
  refuse_other_number(config, "moe_every_n_layers", 0, path);
  if (!json_bool(config, "scale_attn_weights", path, true)) {
    fail(Status::kUnsupported, "%s field \"scale_attn_weights\" is false; only true is supported",
         path.c_str());
  }
  refuse_other_text(config, "activation_function", "swiglu", path);
}

// The makers' field beside the newer places of "rope_theta".
void refuse_other_theta(const Json& config, const std::string& path) {
  constexpr const char *kMakers = "rotary_emb_base", *kTheta = "rope_theta";
  if (!json_has(config, kMakers, path)) return;
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (!json_has(config, key, path) || !config[key].is_object()) continue;
    const std::string where = path + " field \"" + key + "\":";
    if (!json_has(config[key], kTheta, where) ||
        json_number(config[key], kTheta, where) == json_number(config, kMakers, path)) {
      continue;
    }
    fail(Status::kUnsupported, "%s fields \"%s\" of \"%s\" and \"%s\" are not the same number",
         path.c_str(), kTheta, key, kMakers);
  }
}

// The config by transformers' names.
Json nomic_fields(const Json& config, const std::string& path) {
  refuse_other_theta(config, path);
  Json fields = config;
  for (const NomicField& field : kNomicFields) {
    const bool has = json_has(config, field.name, path),
               has_makers = json_has(config, field.makers, path);
    if (has && has_makers &&
        json_number(config, field.name, path) != json_number(config, field.makers, path)) {
      fail(Status::kUnsupported, "%s fields \"%s\" and \"%s\" are not the same number",
           path.c_str(), field.name, field.makers);
    }
    if (has) continue;
    if (has_makers) {
      fields[field.name] = config[field.makers];
    } else if (field.otherwise < 1) {
      fields[field.name] = field.otherwise;
    } else {
      fields[field.name] = static_cast<int64_t>(field.otherwise);
    }
  }
  return fields;
}

ModelConfig read_rotary_body(const Json& config, const std::string& path, bool gated) {
  refuse_partial_rotary(config, path);
  ModelConfig result = read_bert_body(config, path);
  StackConfig& encoder = result.encoder;
  encoder.n_types = json_int(config, "type_vocab_size", path);
  encoder.positions = Positions::kNone;
  encoder.biases = false;  // only some products have one
  encoder.gated = gated;
  if (json_has(config, "head_dim", path)) {
    encoder.attention.set_heads(encoder.attention.n_heads, json_int(config, "head_dim", path));
  }
  encoder.attention.rotary =
      read_plain_rotary(config, path, encoder.attention.head_dim, encoder.max_positions);
  return result;
}

Json with_theta(const Json& config, const std::string& path, double theta) {
  Json fields = config;
  if (!json_has(config, "rope_theta", path)) fields["rope_theta"] = theta;
  return fields;
}

// The tensors of one family. A layer's are without ".weight" and ".bias".
struct RotaryEncoderNames {
  std::string embedding_norm = "embeddings.LayerNorm";
  std::string layers = "layers.";
  std::vector<std::string> qkv = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"};
  std::string out = "self_attn.o_proj", attention_norm = "post_attention_layernorm";
  std::vector<std::string> up = {"mlp.gate_proj", "mlp.up_proj"};
  bool gate_behind = false;  // the one tensor `up` has the gate's rows behind the others
  std::string down = "mlp.down_proj", ffn_norm = "post_mlp_layernorm";
};

struct RotaryEncoderForm {
  const char* head_prefix;  // of models for a task
  bool attention_bias, up_bias, down_bias;
  RotaryEncoderNames makers, transformers;
};

RotaryEncoderForm form_of(const std::string& model_type) {
  if (model_type == "nomic_bert") {
    return {"nomic_bert.",
            false,
            false,
            false,
            {.embedding_norm = "emb_ln",
             .layers = "encoder.layers.",
             .qkv = {"attn.Wqkv"},
             .out = "attn.out_proj",
             .attention_norm = "norm1",
             .up = {"mlp.fc12", "mlp.fc11"},
             .down = "mlp.fc2",
             .ffn_norm = "norm2"},
            {}};
  }
  if (model_type == "gte") {
    return {"gte.",
            true,
            false,
            true,
            {.layers = "encoder.layer.",
             .qkv = {"attention.qkv_proj"},
             .out = "attention.o_proj",
             .attention_norm = "attn_ln",
             .up = {"mlp.up_gate_proj"},
             .gate_behind = true,
             .ffn_norm = "mlp_ln"},
            {}};
  }
  return {"roberta.",
          true,
          true,
          true,
          {.embedding_norm = "emb_ln",
           .layers = "encoder.layers.",
           .qkv = {"mixer.Wqkv"},
           .out = "mixer.out_proj",
           .attention_norm = "norm1",
           .up = {"mlp.fc1"},
           .down = "mlp.fc2",
           .ffn_norm = "norm2"},
          {.up = {"mlp.fc1"}, .down = "mlp.fc2"}};
}

class RotaryEncoderTensors {
 public:
  RotaryEncoderTensors(const Checkpoint& checkpoint, const ModelConfig& config,
                       const RotaryEncoderForm& form)
      : checkpoint_(checkpoint),
        config_(config),
        form_(form),
        prefix_(checkpoint.contains(form.head_prefix + kWords) ? form.head_prefix : ""),
        names_(
            checkpoint.contains(prefix_ + form.makers.layers + "0." + form.makers.out + ".weight")
                ? form.makers
                : form.transformers),
        recipes_(checkpoint) {}

  std::vector<TensorRecipe> take() {
    const StackConfig& encoder = config_.encoder;
    const int64_t d = config_.d_model;
    recipes_.add(prefix_ + kWords, "encoder.embeddings.word", {encoder.vocab_size, d});
    if (encoder.n_types > 0) {
      recipes_.add(prefix_ + kTypes, "encoder.embeddings.type", {encoder.n_types, d});
    }
    add_norm(prefix_ + names_.embedding_norm, "encoder.embeddings.norm");
    for (int64_t i = 0; i < encoder.n_layers; ++i) {
      add_layer(prefix_ + names_.layers + std::to_string(i) + ".",
                "encoder.layers." + std::to_string(i) + ".");
    }
    std::vector<TensorRecipe> taken = recipes_.take();
    refuse_unknown(taken);
    return taken;
  }

 private:
  static inline const std::string kWords = "embeddings.word_embeddings.weight";
  static inline const std::string kTypes = "embeddings.token_type_embeddings.weight";

  void add_norm(const std::string& source, const std::string& name) {
    for (const char* suffix : {".weight", ".bias"}) {
      recipes_.add(source + suffix, name + suffix, {config_.d_model});
    }
  }

  void add_linear(const std::string& layer, const std::vector<std::string>& sources,
                  const std::string& name, int64_t n_out, int64_t n_in, bool has_bias) {
    const int64_t rows = n_out / std::ssize(sources);
    std::vector<std::pair<std::string, int64_t>> weights, biases;
    for (const std::string& source : sources) {
      weights.emplace_back(layer + source + ".weight", rows);
      biases.emplace_back(layer + source + ".bias", rows);
    }
    recipes_.add_stacked_rows(weights, name + ".weight", {n_in});
    if (has_bias) recipes_.add_stacked_rows(biases, name + ".bias", {});
  }

  void add_layer(const std::string& from, const std::string& to) {
    const AttentionSpec& spec = config_.encoder.attention;
    const int64_t d = config_.d_model, d_ff = config_.encoder.d_ff;
    add_linear(from, names_.qkv, to + "attention.qkv", 3 * spec.q_width(), d, form_.attention_bias);
    add_linear(from, {names_.out}, to + "attention.out", d, spec.q_width(), form_.attention_bias);
    add_norm(from + names_.attention_norm, to + "attention.norm");
    if (names_.gate_behind) {
      recipes_.add_row_parts(from + names_.up[0] + ".weight", {2 * d_ff, d},
                             {{d_ff, d_ff}, {0, d_ff}}, to + "ffn.up.weight");
    } else {
      const int64_t n_up = config_.encoder.gated ? 2 * d_ff : d_ff;
      add_linear(from, names_.up, to + "ffn.up", n_up, d, form_.up_bias);
    }
    add_linear(from, {names_.down}, to + "ffn.down", d, d_ff, form_.down_bias);
    add_norm(from + names_.ffn_norm, to + "ffn.norm");
  }

  // Of the tables, their norm, or a layer that the config has. Frequencies of rotary positions are
  // what the config says, and so are numbers of positions.
  bool is_of_encoder(const std::string& name) const {
    if (name.ends_with("inv_freq") || name == "embeddings.position_ids") return false;
    if (name.starts_with("embeddings.") || name.starts_with("emb_ln.")) return true;
    if (!name.starts_with(names_.layers)) {
      return name.starts_with("encoder.") || name.starts_with("layers.");
    }
    int64_t i = 0;
    std::from_chars(name.data() + names_.layers.size(), name.data() + name.size(), i);
    return i < config_.encoder.n_layers;
  }

  void refuse_unknown(const std::vector<TensorRecipe>& taken) const {
    std::set<std::string> known;
    for (const TensorRecipe& recipe : taken) {
      for (const TensorSlice& slice : recipe.slices) known.insert(slice.tensor);
    }
    for (const std::string& name : checkpoint_.names()) {
      if (!name.starts_with(prefix_) || known.contains(name)) continue;
      if (!is_of_encoder(name.substr(prefix_.size()))) continue;
      checkpoint_.refuse(name,
                         "is none that Headlane computes with in a model of \"model_type\" \"" +
                             config_.architecture + "\"");
    }
  }

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  const RotaryEncoderForm& form_;
  std::string prefix_;
  const RotaryEncoderNames& names_;
  Recipes recipes_;
};

}  // namespace

Json nomic_bert_defaults(const std::string&) {
  return {{"vocab_size", 30528}, {"hidden_act", "silu"}, {"type_vocab_size", 2}};
}

Json gte_defaults(const std::string& type) {
  Json defaults = bert_defaults(type);
  defaults.update(
      {{"vocab_size", 250048}, {"max_position_embeddings", 8192}, {"type_vocab_size", 1}});
  return defaults;
}

Json jina3_defaults(const std::string& type) {
  Json defaults = bert_defaults(type);
  defaults.update({{"vocab_size", 250002},
                   {"hidden_size", 1024},
                   {"num_hidden_layers", 24},
                   {"num_attention_heads", 16},
                   {"intermediate_size", 4096},
                   {"max_position_embeddings", 8194},
                   {"type_vocab_size", 1},
                   {"layer_norm_eps", 1e-5}});
  return defaults;
}

ModelConfig nomic_bert_config(const Json& config, const std::string& path) {
  refuse_other_nomic(config, path);
  return read_rotary_body(nomic_fields(config, path), path, true);
}

ModelConfig gte_config(const Json& config, const std::string& path) {
  constexpr const char* kPositions = "position_embedding_type";
  refuse_other_text(config, kPositions, "rope", path);
  refuse_other_text(config, "layer_norm_type", "layer_norm", path);
  refuse_true(config, "logn_attention_scale", path);
  Json fields = with_theta(config, path, 160000);
  fields.erase(kPositions);
  return read_rotary_body(fields, path, true);
}

ModelConfig jina3_config(const Json& config, const std::string& path) {
  constexpr const char* kAdapters = "lora_adaptations";
  if (json_has(config, kAdapters, path) && !config[kAdapters].empty()) {
    fail(Status::kUnsupported,
         "%s field \"%s\" names adapters, which are not supported; only a model without them is",
         path.c_str(), kAdapters);
  }
  return read_rotary_body(with_theta(config, path, 20000), path, false);
}

std::vector<TensorRecipe> rotary_encoder_tensors(const Checkpoint& checkpoint, const Json& source,
                                                 const std::string& path,
                                                 const ModelConfig& config) {
  const RotaryEncoderForm form = form_of(json_string(source, "model_type", path));
  return RotaryEncoderTensors(checkpoint, config, form).take();
}

}  // namespace headlane
