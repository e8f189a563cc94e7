#include "engine/import/families/llama.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"
#include "engine/import/families/encoder_decoder.h"
#include "engine/import/families/language_model.h"
#include "engine/import/families/rotary.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

using json = Json;
using ll = long long;

// Fields that change what the model computes into something that Headlane does not.
void refuse_variants(const json& config, const std::string& path) {
  for (const char* key : {"quantization_config", "pruned_heads"}) {
    if (!json_has(config, key, path) || config[key].empty()) continue;
    fail(Status::kUnsupported, "%s field \"%s\" is not empty; that is not supported", path.c_str(),
         key);
  }
  constexpr const char* kPartial = "partial_rotary_factor";
  if (json_has(config, kPartial, path) && json_number(config, kPartial, path) != 1) {
    fail(Status::kUnsupported, "%s field \"%s\" is not 1; heads of this family turn as a whole",
         path.c_str(), kPartial);
  }
}

AttentionSpec read_heads(const json& config, const std::string& path, int64_t d_model) {
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
  spec.causal = Causal::kLowerRight;
  return spec;
}

// A window of w tokens is the query's own and the w - 1 before it.
LayerWindow window_of(const json& config, const std::string& path) {
  return {.left = json_positive(config, "sliding_window", path) - 1};
}

// The window of each layer: "layer_types" says which layers have it or, in models that write no
// such field, the layer's number does.
std::vector<LayerWindow> read_windows(const json& config, const std::string& path,
                                      int64_t n_layers) {
  const std::string type = json_string(config, "model_type", path);
  const bool used = type == "mistral" || json_bool(config, "use_sliding_window", path, false);
  const bool has_window = used && json_has(config, "sliding_window", path);
  if (type == "mistral") {
    return has_window ? std::vector{window_of(config, path)} : std::vector<LayerWindow>();
  }
  constexpr const char* kTypes = "layer_types";
  if (!has_window) {
    const bool is_named = json_has(config, kTypes, path) &&
                          config[kTypes].dump().find("sliding_attention") != std::string::npos;
    if (is_named) {
      fail(Status::kBadFile,
           "%s field \"%s\" has \"sliding_attention\", but no window is used: "
           "\"use_sliding_window\" is false or \"sliding_window\" is missing",
           path.c_str(), kTypes);
    }
    return {};
  }
  const LayerWindow window = window_of(config, path);
  std::vector<LayerWindow> windows(static_cast<size_t>(n_layers));
  if (!json_has(config, kTypes, path)) {
    const int64_t first = json_int(config, "max_window_layers", path);
    for (int64_t i = std::max<int64_t>(first, 0); i < n_layers; ++i) {
      windows[static_cast<size_t>(i)] = window;
    }
    return windows;
  }
  const json& types = config[kTypes];
  if (!types.is_array() || std::ssize(types) != n_layers) {
    fail(Status::kBadFile, "%s field \"%s\" is not a list of %lld names", path.c_str(), kTypes,
         ll{n_layers});
  }
  for (size_t i = 0; i < windows.size(); ++i) {
    if (types[i] == "full_attention") continue;
    if (types[i] != "sliding_attention") {
      fail(Status::kUnsupported,
           "%s field \"%s\" has %s, not one of: full_attention, sliding_attention", path.c_str(),
           kTypes, printable(types[i].dump()).c_str());
    }
    windows[i] = window;
  }
  return windows;
}

std::string tensor_prefix(const Checkpoint& checkpoint) {
  // Models without a head are saved without the member "model" that holds them.
  return checkpoint.contains("model.embed_tokens.weight") ? "model." : "";
}

// The products that have biases. The config says so, whatever tensors there are.
struct Biases {
  bool qkv = false, out = false, feed_forward = false;
};

Biases read_biases(const json& config, const std::string& path) {
  const std::string type = json_string(config, "model_type", path);
  if (type == "qwen2") return {.qkv = true};
  if (type == "mistral") return {};
  const bool attention = json_bool(config, "attention_bias", path, false);
  return {attention, attention, json_bool(config, "mlp_bias", path, false)};
}

// Takes the tensors of one layer after the other.
class LlamaTensors {
 public:
  LlamaTensors(const Checkpoint& checkpoint, const ModelConfig& config, const Biases& biases)
      : stack_(config.decoder),
        d_(config.d_model),
        biases_(biases),
        prefix_(tensor_prefix(checkpoint)),
        recipes_(checkpoint) {}

  std::vector<TensorRecipe> take(bool tied) {
    recipes_.add(prefix_ + "embed_tokens.weight", "decoder.embeddings.word",
                 {stack_.vocab_size, d_});
    if (!tied) recipes_.add("lm_head.weight", "lm_head.weight", {stack_.vocab_size, d_});
    recipes_.add(prefix_ + "norm.weight", "decoder.norm.weight", {d_});
    for (int64_t i = 0; i < stack_.n_layers; ++i) add_layer(i);
    return recipes_.take();
  }

 private:
  using Rows = std::vector<std::pair<std::string, int64_t>>;

  // The matrices of all sources beneath each other, and their biases.
  void add_linear(const Rows& sources, const std::string& name, int64_t n_in, bool has_bias) {
    Rows weights, biases;
    for (const auto& [source, rows] : sources) {
      weights.emplace_back(source + ".weight", rows);
      biases.emplace_back(source + ".bias", rows);
    }
    recipes_.add_stacked_rows(weights, name + ".weight", {n_in});
    if (has_bias) recipes_.add_stacked_rows(biases, name + ".bias", {});
  }

  void add_layer(int64_t i) {
    const AttentionSpec& spec = stack_.attention;
    const std::string source = prefix_ + "layers." + std::to_string(i) + ".";
    const std::string name = "decoder.layers." + std::to_string(i) + ".";
    const std::string self = source + "self_attn.", mlp = source + "mlp.";
    recipes_.add(source + "input_layernorm.weight", name + "attention.norm.weight", {d_});
    add_linear({{self + "q_proj", spec.q_width()},
                {self + "k_proj", spec.k_width()},
                {self + "v_proj", spec.v_width()}},
               name + "attention.qkv", d_, biases_.qkv);
    add_linear({{self + "o_proj", d_}}, name + "attention.out", spec.o_width(), biases_.out);
    recipes_.add(source + "post_attention_layernorm.weight", name + "ffn.norm.weight", {d_});
    add_linear({{mlp + "gate_proj", stack_.d_ff}, {mlp + "up_proj", stack_.d_ff}}, name + "ffn.up",
               d_, biases_.feed_forward);
    add_linear({{mlp + "down_proj", d_}}, name + "ffn.down", stack_.d_ff, biases_.feed_forward);
  }

  const StackConfig& stack_;
  int64_t d_;
  Biases biases_;
  std::string prefix_;
  Recipes recipes_;
};

}  // namespace

ModelConfig llama_config(const json& config, const std::string& path) {
  refuse_other_heads(config, path, "ForCausalLM");
  refuse_variants(config, path);
  ModelConfig result;
  result.architecture = json_string(config, "model_type", path);
  result.head.kind = HeadKind::kLogits;
  result.d_model = json_positive(config, "hidden_size", path);
  StackConfig& decoder = result.decoder;
  decoder.n_layers = json_positive(config, "num_hidden_layers", path);
  decoder.vocab_size = json_positive(config, "vocab_size", path);
  decoder.max_positions = json_positive(config, "max_position_embeddings", path);
  decoder.attention = read_heads(config, path, result.d_model);
  decoder.attention.rotary =
      read_rotary(config, path, decoder.attention.head_dim, decoder.max_positions);
  decoder.windows = read_windows(config, path, decoder.n_layers);
  decoder.d_ff = json_positive(config, "intermediate_size", path);
  decoder.gated = true;
  decoder.activation = activation_of(json_string(config, "hidden_act", path), "hidden_act", path);
  decoder.norm_kind = NormKind::kRms;
  decoder.norm = NormPlacement::kPre;
  decoder.norm_eps = static_cast<float>(json_number(config, "rms_norm_eps", path));
  decoder.final_norm = true;
  return result;
}

std::vector<TensorRecipe> llama_tensors(const Checkpoint& checkpoint, const json& config,
                                        const std::string& path, const ModelConfig& model) {
  const bool tied = json_bool(config, "tie_word_embeddings", path, false);
  std::vector<TensorRecipe> recipes =
      LlamaTensors(checkpoint, model, read_biases(config, path)).take(tied);
  refuse_left_over(checkpoint, recipes, [&](const std::string& name) {
    // Older versions save the wavelengths, which follow from the config, and tied words twice.
    return name.ends_with("rotary_emb.inv_freq") || (tied && name == "lm_head.weight");
  });
  return recipes;
}

}  // namespace headlane
