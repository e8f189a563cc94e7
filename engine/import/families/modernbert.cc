#include "engine/import/families/modernbert.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "engine/base/error.h"
#include "engine/import/families/decoder.h"
#include "engine/import/families/encoder.h"
#include "engine/import/families/language_model.h"
#include "engine/import/families/rotary.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

using json = Json;

constexpr std::string_view kLayers = "layers.";
constexpr const char *kGlobal = "full_attention", *kLocal = "sliding_attention";

void put_all(const json& from, json* to) {
  for (const auto& [key, value] : from.items()) (*to)[key] = value;
}

struct LayerKind {
  const char *name, *base;  // the field that has the base in the older spelling
  double otherwise;         // the base where no field has it
};
constexpr LayerKind kGlobalKind = {kGlobal, "global_rope_theta", 160000};
constexpr LayerKind kLocalKind = {kLocal, "local_rope_theta", 10000};

// The fields of the rotary positions of one kind of layers: of its object in the newer spelling,
// and of "rope_scaling" in the older one, which all layers share.
json rotary_fields(const json& config, const LayerKind& kind, const std::string& path) {
  json fields = json::object();
  constexpr const char *kNew = "rope_parameters", *kOld = "rope_scaling";
  const auto object = [](const json& parent, const char* key, const std::string& where) {
    if (!parent[key].is_object()) {
      fail(Status::kBadFile, "%s field \"%s\" is not an object", where.c_str(), key);
    }
    return parent[key];
  };
  if (json_has(config, kNew, path)) {
    const std::string where = path + " field \"" + kNew + "\":";
    const json both = object(config, kNew, path);
    for (const auto& [name, member] : both.items()) {
      if (name == kGlobal || name == kLocal) continue;
      fail(Status::kUnsupported, "%s it has \"%s\", not one of: full_attention, sliding_attention",
           where.c_str(), printable(name).c_str());
    }
    if (json_has(both, kind.name, where)) fields = object(both, kind.name, where);
  }
  if (json_has(config, kOld, path)) put_all(object(config, kOld, path), &fields);
  if (fields.contains("rope_theta")) return fields;
  fields["rope_theta"] =
      json_has(config, kind.base, path) ? json_number(config, kind.base, path) : kind.otherwise;
  return fields;
}

// Layers that are named, or each one except every `n`th from the first on, have a window.
std::vector<bool> read_local_layers(const json& config, const std::string& path, int64_t n_layers) {
  if (std::optional<std::vector<bool>> types = read_layer_types(config, path, n_layers)) {
    return *types;
  }
  constexpr const char* kEvery = "global_attn_every_n_layers";
  const int64_t n = json_has(config, kEvery, path) ? json_positive(config, kEvery, path) : 3;
  std::vector<bool> local(static_cast<size_t>(n_layers));
  for (int64_t i = 0; i < n_layers; ++i) local[static_cast<size_t>(i)] = i % n != 0;
  return local;
}

// How far a window reaches to either side: half of its width, or what transformers lets win.
int64_t read_half_window(const json& config, const std::string& path) {
  constexpr const char* kHalf = "sliding_window";
  if (json_has(config, kHalf, path)) return json_positive(config, kHalf, path);
  return json_positive(config, "local_attention", path) / 2;
}

void read_layers(const json& config, const std::string& path, StackConfig* encoder) {
  const int64_t half = read_half_window(config, path);
  const LayerWindow window = {.left = half, .right = half};
  const std::vector<bool> local = read_local_layers(config, path, encoder->n_layers);
  encoder->windows = windows_of(local, window);
  const auto rotary = [&](const LayerKind& kind) {
    const std::string where = path + " positions of \"" + kind.name + "\":";
    return read_rotary_of_layers(rotary_fields(config, kind, path), where,
                                 encoder->attention.head_dim, encoder->max_positions);
  };
  const RotarySpec of_global = rotary(kGlobalKind), of_local = rotary(kLocalKind);
  for (const bool is_local : local) encoder->rotaries.push_back(is_local ? of_local : of_global);
}

// Which products and norms have biases.
struct Biases {
  Biases(const json& config, const std::string& path)
      : attention(json_bool(config, "attention_bias", path)),
        ffn(json_bool(config, "mlp_bias", path)),
        norm(json_bool(config, "norm_bias", path)) {}
  bool attention, ffn, norm;
};

// Takes the tensors of one layer after the other.
class ModernBertTensors {
 public:
  ModernBertTensors(const Checkpoint& checkpoint, const ModelConfig& config, Biases biases)
      : checkpoint_(checkpoint), config_(config), biases_(biases), recipes_(checkpoint) {
    if (checkpoint.contains("model.embeddings.tok_embeddings.weight")) prefix_ = "model.";
  }

  std::vector<TensorRecipe> take() {
    const int64_t d = config_.d_model, d_ff = config_.encoder.d_ff;
    recipes_.add(prefix_ + "embeddings.tok_embeddings.weight", "encoder.embeddings.word",
                 {config_.encoder.vocab_size, d});
    add_norm("embeddings.norm", "encoder.embeddings.norm");
    for (int64_t i = 0; i < config_.encoder.n_layers; ++i) {
      const std::string number = std::to_string(i) + ".";
      const std::string from = std::string(kLayers) + number, to = "encoder.layers." + number;
      if (i > 0) add_norm(from + "attn_norm", to + "attention.norm");
      add_linear(from + "attn.Wqkv", to + "attention.qkv", {3 * d, d}, biases_.attention);
      add_linear(from + "attn.Wo", to + "attention.out", {d, d}, biases_.attention);
      add_norm(from + "mlp_norm", to + "ffn.norm");
      add_linear(from + "mlp.Wi", to + "ffn.up", {2 * d_ff, d}, biases_.ffn);
      add_linear(from + "mlp.Wo", to + "ffn.down", {d, d_ff}, biases_.ffn);
    }
    add_norm("final_norm", "encoder.norm");
    std::vector<TensorRecipe> taken = recipes_.take();
    refuse_unknown(taken);
    return taken;
  }

 private:
  void add_linear(const std::string& from, const std::string& to, std::vector<int64_t> shape,
                  bool has_bias) {
    if (has_bias) recipes_.add(prefix_ + from + ".bias", to + ".bias", {shape[0]});
    recipes_.add(prefix_ + from + ".weight", to + ".weight", std::move(shape));
  }

  void add_norm(const std::string& from, const std::string& to) {
    recipes_.add(prefix_ + from + ".weight", to + ".weight", {config_.d_model});
    if (biases_.norm) recipes_.add(prefix_ + from + ".bias", to + ".bias", {config_.d_model});
  }

  // Whether a name belongs to what is computed: heads and layers beyond the config's do not.
  bool is_of_encoder(std::string_view name) const {
    if (!name.starts_with(kLayers)) {
      return name.starts_with("embeddings.") || name.starts_with("final_norm.");
    }
    int64_t i = 0;
    std::from_chars(name.data() + kLayers.size(), name.data() + name.size(), i);
    return i < config_.encoder.n_layers;
  }

  void refuse_unknown(const std::vector<TensorRecipe>& taken) const {
    std::set<std::string> known;
    for (const TensorRecipe& recipe : taken) known.insert(recipe.slices.front().tensor);
    for (const std::string& name : checkpoint_.names()) {
      if (!name.starts_with(prefix_) || known.contains(name)) continue;
      if (!is_of_encoder(std::string_view(name).substr(prefix_.size()))) continue;
      checkpoint_.refuse(name,
                         "is none that Headlane computes with in a model of \"model_type\" "
                         "\"modernbert\" with that config");
    }
  }

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  Biases biases_;
  Recipes recipes_;
  std::string prefix_;
};

}  // namespace

json modernbert_defaults(const std::string&) {
  return {{"vocab_size", 50368},
          {"hidden_size", 768},
          {"intermediate_size", 1152},
          {"num_hidden_layers", 22},
          {"num_attention_heads", 12},
          {"hidden_activation", "gelu"},
          {"max_position_embeddings", 8192},
          {"norm_eps", 1e-5},
          {"norm_bias", false},
          {"attention_bias", false},
          {"mlp_bias", false},
          {"local_attention", 128},
          {"classifier_pooling", "cls"},
          {"classifier_bias", false},
          {"classifier_activation", "gelu"}};
}

ModelConfig modernbert_config(const json& config, const std::string& path) {
  refuse_other_than_encoder(config, path);
  ModelConfig result;
  result.architecture = json_string(config, "model_type", path);
  result.d_model = json_int(config, "hidden_size", path);
  StackConfig& encoder = result.encoder;
  encoder.n_layers = json_positive(config, "num_hidden_layers", path);
  encoder.vocab_size = json_int(config, "vocab_size", path);
  encoder.embedding_norm = true;
  encoder.max_positions = json_positive(config, "max_position_embeddings", path);
  encoder.attention =
      read_encoder_heads(config, "num_attention_heads", "hidden_size", result.d_model, path);
  read_layers(config, path, &encoder);
  encoder.d_ff = json_int(config, "intermediate_size", path);
  encoder.gated = true;
  constexpr const char* kActivation = "hidden_activation";
  encoder.activation = activation_of(json_string(config, kActivation, path), kActivation, path);
  encoder.norm = NormPlacement::kPre;
  encoder.first_layer.attention_norm = false;
  encoder.norm_eps = static_cast<float>(json_number(config, "norm_eps", path));
  encoder.final_norm = true;
  return result;
}

std::vector<TensorRecipe> modernbert_tensors(const Checkpoint& checkpoint, const json& source,
                                             const std::string& path, const ModelConfig& config) {
  return ModernBertTensors(checkpoint, config, Biases(source, path)).take();
}

ClassifierForm modernbert_classifier(const json& config, const std::string& path) {
  ClassifierForm form = {"head.dense", Activation::kNone, "classifier"};
  constexpr const char *kActivation = "classifier_activation", *kPooling = "classifier_pooling";
  form.activation = activation_of(json_string(config, kActivation, path), kActivation, path);
  form.dense_bias = json_bool(config, "classifier_bias", path);
  form.norm = "head.norm";
  form.norm_bias = Biases(config, path).norm;
  form.norm_eps = static_cast<float>(json_number(config, "norm_eps", path));
  const std::string pooling = json_string(config, kPooling, path);
  if (pooling != "cls" && pooling != "mean") {
    fail(Status::kUnsupported, "%s field \"%s\" is \"%s\", not one of: cls, mean", path.c_str(),
         kPooling, printable(pooling).c_str());
  }
  form.pooling = pooling == "cls" ? Pooling::kCls : Pooling::kMean;
  return form;
}

}  // namespace headlane
