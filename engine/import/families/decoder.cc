#include "engine/import/families/decoder.h"

#include <algorithm>
#include <string_view>

#include "engine/base/error.h"
#include "engine/import/families/encoder_decoder.h"
#include "engine/import/families/language_model.h"
#include "engine/import/families/latents.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

using ll = long long;

AttentionSpec read_heads(const Json& config, const std::string& path, int64_t d_model) {
  const int64_t n_heads = json_positive(config, "num_attention_heads", path);
  const bool own_dim = json_has(config, "head_dim", path);
  if (!own_dim && d_model % n_heads != 0) {
    fail(Status::kBadFile,
         "%s field \"num_attention_heads\" is %lld, which does not divide \"hidden_size\" (%lld)",
         path.c_str(), ll{n_heads}, ll{d_model});
  }
  const int64_t head_dim = own_dim ? json_positive(config, "head_dim", path) : d_model / n_heads;
  AttentionSpec spec;
  spec.set_heads(n_heads, head_dim);
  constexpr const char* kKvHeads = "num_key_value_heads";
  spec.n_kv_heads =
      json_has(config, kKvHeads, path) ? json_positive(config, kKvHeads, path) : n_heads;
  spec.causal = json_bool(config, kIsCausal, path, true) ? Causal::kLowerRight : Causal::kNone;
  return spec;
}

// Takes the tensors of one layer after the other.
class GatedDecoderTensors {
 public:
  GatedDecoderTensors(const Checkpoint& checkpoint, const ModelConfig& config,
                      const GatedLayerNames& names)
      : checkpoint_(checkpoint),
        stack_(config.decoder),
        d_(config.d_model),
        names_(names),
        recipes_(checkpoint) {
    // Models without a head are saved without the member that holds them.
    if (checkpoint.contains("model.embed_tokens.weight")) prefix_ = "model.";
  }

  std::vector<TensorRecipe> take(bool no_head) {
    recipes_.add(prefix_ + "embed_tokens.weight", "decoder.embeddings.word",
                 {stack_.vocab_size, d_});
    if (!no_head) {
      recipes_.add("lm_head.weight", "lm_head.weight", {stack_.vocab_size, d_}, names_.unit_head);
    }
    add_norm(prefix_ + "norm", "decoder.norm", d_);
    for (int64_t i = 0; i < stack_.n_layers; ++i) add_layer(i);
    return recipes_.take();
  }

 private:
  void add_norm(const std::string& source, const std::string& name, int64_t n) {
    recipes_.add_plus(source + ".weight", name + ".weight", {n}, names_.norm_plus);
  }

  // The norms before and behind a part of a layer, of those that there are.
  void add_norms(const std::string& layer, const std::string& before, const std::string& after,
                 const std::string& name) {
    if (!before.empty()) add_norm(layer + before, name + ".norm", d_);
    if (!after.empty()) add_norm(layer + after, name + ".norm_after", d_);
  }

  // The matrices of all sources beneath each other, and their biases. One source has all rows.
  void add_linear(const std::string& layer, const std::vector<std::string>& sources,
                  const std::vector<int64_t>& rows, const std::string& name, int64_t n_in,
                  bool has_bias) {
    std::vector<std::pair<std::string, int64_t>> weights, biases;
    for (size_t i = 0; i < sources.size(); ++i) {
      int64_t n = rows[i];
      for (size_t j = 1; sources.size() == 1 && j < rows.size(); ++j) n += rows[j];
      weights.emplace_back(layer + sources[i] + ".weight", n);
      biases.emplace_back(layer + sources[i] + ".bias", n);
    }
    recipes_.add_stacked_rows(weights, name + ".weight", {n_in});
    if (has_bias) recipes_.add_stacked_rows(biases, name + ".bias", {});
  }

  void add_attention(const std::string& source, const std::string& attention) {
    const AttentionSpec& spec = stack_.attention;
    if (stack_.latent.width != 0) {
      return add_latent_tensors(stack_, d_, source, attention, names_.qkv_bias, &recipes_);
    }
    add_linear(source, names_.qkv, {spec.q_width(), spec.k_width(), spec.v_width()},
               attention + ".qkv", d_, names_.qkv_bias);
    if (stack_.qk_norms.of != QkNorm::kNone) {
      const bool heads = stack_.qk_norms.of == QkNorm::kHeads;
      add_norm(source + "self_attn.q_norm", attention + ".q_norm",
               heads ? spec.head_dim : spec.q_width());
      add_norm(source + "self_attn.k_norm", attention + ".k_norm",
               heads ? spec.head_dim : spec.k_width());
    }
    if (names_.alibi) {
      std::vector<float> slopes(static_cast<size_t>(spec.n_heads));
      fill_alibi_slopes(spec.n_heads, slopes.data());
      recipes_.add_values(attention + ".alibi_slopes", {spec.n_heads}, slopes);
    }
    if (names_.sinks) {
      // Files of llama.cpp end each name with a kind.
      const std::string sinks = source + "self_attn.sinks", weight = sinks + ".weight";
      recipes_.add(checkpoint_.contains(weight) ? weight : sinks, attention + ".sinks",
                   {spec.n_heads});
    }
    add_linear(source, {names_.out}, {d_}, attention + ".out", spec.o_width(), names_.out_bias);
  }

  void add_layer(int64_t i) {
    const std::string source = prefix_ + "layers." + std::to_string(i) + ".";
    const std::string name = "decoder.layers." + std::to_string(i) + ".";
    const std::string attention = name + "attention", ffn = name + "ffn";
    add_norms(source, names_.attention_norm, names_.attention_norm_after, attention);
    add_attention(source, attention);
    add_norms(source, names_.ffn_norm, names_.ffn_norm_after, ffn);
    if (stack_.experts.in_layer(i)) {
      return add_expert_tensors(checkpoint_, stack_.experts, d_, source, names_.experts, ffn,
                                &recipes_);
    }
    add_linear(source, names_.gate_up, {stack_.d_ff, stack_.d_ff}, ffn + ".up", d_,
               names_.ffn_bias);
    add_linear(source, {names_.down}, {d_}, ffn + ".down", stack_.d_ff, names_.ffn_bias);
  }

  const Checkpoint& checkpoint_;
  const StackConfig& stack_;
  int64_t d_;
  const GatedLayerNames& names_;
  std::string prefix_;
  Recipes recipes_;
};

}  // namespace

ModelConfig gated_decoder_config(const Json& config, const std::string& path,
                                 const char* activation) {
  refuse_other_heads(config, path, "ForCausalLM");
  refuse_changed_weights(config, path);
  ModelConfig result;
  result.architecture = json_string(config, "model_type", path);
  result.head.kind = HeadKind::kLogits;
  result.d_model = json_positive(config, "hidden_size", path);
  StackConfig& decoder = result.decoder;
  decoder.n_layers = json_positive(config, "num_hidden_layers", path);
  decoder.vocab_size = json_positive(config, "vocab_size", path);
  decoder.max_positions = json_positive(config, "max_position_embeddings", path);
  decoder.attention = read_heads(config, path, result.d_model);
  decoder.d_ff = json_positive(config, "intermediate_size", path);
  decoder.gated = true;
  decoder.activation = activation_of(json_string(config, activation, path), activation, path);
  decoder.norm_kind = NormKind::kRms;
  decoder.norm = NormPlacement::kPre;
  decoder.norm_eps = static_cast<float>(json_number(config, "rms_norm_eps", path));
  decoder.final_norm = true;
  return result;
}

void name_as_encoder(std::vector<TensorRecipe>* recipes) {
  constexpr std::string_view kDecoder = "decoder.";
  for (TensorRecipe& recipe : *recipes) {
    if (!recipe.name.starts_with(kDecoder)) continue;
    recipe.name = "encoder." + recipe.name.substr(kDecoder.size());
  }
}

LayerWindow window_of(const Json& config, const std::string& path) {
  return {.left = json_positive(config, "sliding_window", path) - 1};
}

std::optional<std::vector<bool>> read_layer_types(const Json& config, const std::string& path,
                                                  int64_t n_layers) {
  constexpr const char* kTypes = "layer_types";
  if (!json_has(config, kTypes, path)) return std::nullopt;
  const Json& types = config[kTypes];
  if (!types.is_array() || std::ssize(types) != n_layers) {
    fail(Status::kBadFile, "%s field \"%s\" is not a list of %lld names", path.c_str(), kTypes,
         ll{n_layers});
  }
  std::vector<bool> windowed(static_cast<size_t>(n_layers));
  for (size_t i = 0; i < windowed.size(); ++i) {
    windowed[i] = types[i] == "sliding_attention";
    if (windowed[i] || types[i] == "full_attention") continue;
    fail(Status::kUnsupported,
         "%s field \"%s\" has %s, not one of: full_attention, sliding_attention", path.c_str(),
         kTypes, printable(types[i].dump()).c_str());
  }
  return windowed;
}

void refuse_unused_windows(const std::vector<bool>& types, const std::string& path) {
  if (std::find(types.begin(), types.end(), true) == types.end()) return;
  fail(Status::kBadFile,
       "%s field \"layer_types\" has \"sliding_attention\", but no window is used: "
       "\"use_sliding_window\" is false or \"sliding_window\" is missing",
       path.c_str());
}

std::vector<LayerWindow> windows_of(const std::vector<bool>& layers, LayerWindow window) {
  std::vector<LayerWindow> windows(layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    if (layers[i]) windows[i] = window;
  }
  return windows;
}

std::vector<TensorRecipe> gated_decoder_tensors(const Checkpoint& checkpoint,
                                                const ModelConfig& model,
                                                const GatedLayerNames& names, bool tied) {
  // Vectors of texts need no logits, and scores have a head of their own.
  const bool no_head = tied || model.head.kind != HeadKind::kLogits;
  std::vector<TensorRecipe> recipes = GatedDecoderTensors(checkpoint, model, names).take(no_head);
  refuse_left_over(checkpoint, recipes, [&](const std::string& name) {
    const std::string layer = "model.layers." + std::to_string(names.left_out_layer) + ".";
    if (names.left_out_layer >= 0 && name.starts_with(layer)) return true;
    // Older versions save the wavelengths, which follow from the config, and tied words twice.
    if (no_head && name == "lm_head.weight") return true;
    const bool no_logits = model.head.kind != HeadKind::kLogits;
    if (no_logits && (name == "lm_head.bias" || name == "score.weight")) return true;
    return name.ends_with("rotary_emb.inv_freq");
  });
  return recipes;
}

}  // namespace headlane
