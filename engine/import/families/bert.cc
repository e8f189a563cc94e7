#include "engine/import/families/bert.h"

#include <utility>

#include "engine/base/error.h"
#include "engine/file/json.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

using json = Json;

Activation read_activation(const json& config, const std::string& path) {
  const std::string name = json_string(config, "hidden_act", path);
  if (name == "gelu") return Activation::kGelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh") return Activation::kGeluTanh;
  if (name == "relu") return Activation::kRelu;
  fail(Status::kUnsupported,
       "%s field \"hidden_act\" is \"%s\", not one of: gelu, gelu_new, gelu_pytorch_tanh, relu",
       path.c_str(), printable(name).c_str());
}

// Fields that change what the model computes into something that Headlane does not.
void refuse_variants(const json& config, const std::string& path) {
  const std::string positions = json_string(config, "position_embedding_type", path, "absolute");
  if (positions != "absolute") {
    fail(Status::kUnsupported,
         "%s field \"position_embedding_type\" is \"%s\"; only \"absolute\" is supported",
         path.c_str(), printable(positions).c_str());
  }
  for (const char* key : {"is_decoder", "add_cross_attention"}) {
    if (!json_bool(config, key, path, false)) continue;
    fail(Status::kUnsupported, "%s field \"%s\" is true; only false is supported", path.c_str(),
         key);
  }
  for (const char* key : {"pruned_heads", "quantization_config"}) {
    if (!json_has(config, key, path) || config[key].empty()) continue;
    fail(Status::kUnsupported, "%s field \"%s\" is not empty; that is not supported", path.c_str(),
         key);
  }
}

// Takes tensors out of the Hugging Face model one by one, under both their names.
class BertTensors {
 public:
  BertTensors(const Checkpoint& checkpoint, const ModelConfig& config)
      : checkpoint_(checkpoint), config_(config), recipes_(checkpoint) {
    // Models for a task keep the encoder as their member "bert".
    if (checkpoint.contains("bert.embeddings.word_embeddings.weight")) prefix_ = "bert.";
  }

  std::vector<TensorRecipe> take() {
    const int64_t d = config_.d_model;
    add("embeddings.word_embeddings.weight", "encoder.embeddings.word",
        {config_.encoder.vocab_size, d});
    add("embeddings.position_embeddings.weight", "encoder.positions.weight",
        {config_.encoder.max_positions, d});
    if (config_.encoder.n_types > 0) {
      add("embeddings.token_type_embeddings.weight", "encoder.embeddings.type",
          {config_.encoder.n_types, d});
    }
    add_norm("embeddings.LayerNorm", "encoder.embeddings.norm");
    for (int64_t i = 0; i < config_.encoder.n_layers; ++i) add_layer(i);
    return recipes_.take();
  }

 private:
  void add(const std::string& source, const std::string& name, std::vector<int64_t> shape) {
    recipes_.add(prefix_ + source, name, std::move(shape));
  }

  void add_linear(const std::string& source, const std::string& name, int64_t n_out, int64_t n_in) {
    add(source + ".weight", name + ".weight", {n_out, n_in});
    add(source + ".bias", name + ".bias", {n_out});
  }

  // Weights converted from TensorFlow call a norm's weight and bias gamma and beta.
  void add_norm(const std::string& source, const std::string& name) {
    const bool is_legacy = !checkpoint_.contains(prefix_ + source + ".weight") &&
                           checkpoint_.contains(prefix_ + source + ".gamma");
    add(source + (is_legacy ? ".gamma" : ".weight"), name + ".weight", {config_.d_model});
    add(source + (is_legacy ? ".beta" : ".bias"), name + ".bias", {config_.d_model});
  }

  // One matrix product serves all three; it needs them beneath each other.
  void add_qkv(const std::string& source, const std::string& name) {
    const auto all = [&](const std::string& suffix) {
      const std::string at = prefix_ + source;
      return std::vector<std::string>{at + ".query" + suffix, at + ".key" + suffix,
                                      at + ".value" + suffix};
    };
    const int64_t d = config_.d_model;
    recipes_.add_stacked(all(".weight"), name + ".weight", {d, d});
    recipes_.add_stacked(all(".bias"), name + ".bias", {d});
  }

  void add_layer(int64_t i) {
    const std::string source = "encoder.layer." + std::to_string(i) + ".";
    const std::string name = "encoder.layers." + std::to_string(i) + ".";
    const int64_t d = config_.d_model;
    add_qkv(source + "attention.self", name + "attention.qkv");
    add_linear(source + "attention.output.dense", name + "attention.out", d, d);
    add_norm(source + "attention.output.LayerNorm", name + "attention.norm");
    add_linear(source + "intermediate.dense", name + "ffn.up", config_.encoder.d_ff, d);
    add_linear(source + "output.dense", name + "ffn.down", d, config_.encoder.d_ff);
    add_norm(source + "output.LayerNorm", name + "ffn.norm");
  }

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  Recipes recipes_;
  std::string prefix_;
};

}  // namespace

ModelConfig bert_config(const json& config, const std::string& path) {
  refuse_variants(config, path);
  ModelConfig result;
  result.architecture = "bert";
  result.d_model = json_int(config, "hidden_size", path);
  StackConfig& encoder = result.encoder;
  encoder.n_layers = json_int(config, "num_hidden_layers", path);
  encoder.vocab_size = json_int(config, "vocab_size", path);
  encoder.n_types = json_int(config, "type_vocab_size", path);
  encoder.embedding_norm = true;
  encoder.max_positions = json_int(config, "max_position_embeddings", path);
  encoder.positions = Positions::kLearned;
  const int64_t n_heads = json_int(config, "num_attention_heads", path);
  if (n_heads < 1 || result.d_model % n_heads != 0) {
    fail(Status::kBadFile,
         "%s field \"num_attention_heads\" is %lld, which does not divide \"hidden_size\" (%lld)",
         path.c_str(), static_cast<long long>(n_heads), static_cast<long long>(result.d_model));
  }
  encoder.attention.set_heads(n_heads, result.d_model / n_heads);
  encoder.d_ff = json_int(config, "intermediate_size", path);
  encoder.activation = read_activation(config, path);
  encoder.norm_eps = static_cast<float>(json_number(config, "layer_norm_eps", path));
  encoder.biases = true;
  return result;
}

std::vector<TensorRecipe> bert_tensors(const Checkpoint& checkpoint, const ModelConfig& config) {
  return BertTensors(checkpoint, config).take();
}

}  // namespace headlane
