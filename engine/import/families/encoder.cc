#include "engine/import/families/encoder.h"

#include <charconv>
#include <set>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json.h"
#include "engine/import/families/language_model.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

using json = Json;

const std::string kWords = "embeddings.word_embeddings.weight";
const std::string kPositions = "embeddings.position_embeddings.weight";

// Buffers that older versions of transformers saved: 0, 1, 2, ... and zeros.
const std::string kBuffers[] = {"embeddings.position_ids", "embeddings.token_type_ids"};

// Takes tensors out of a checkpoint one by one, under both their names.
class EncoderTensors {
 public:
  EncoderTensors(const Checkpoint& checkpoint, const ModelConfig& config, const EncoderNames& names)
      : checkpoint_(checkpoint), config_(config), names_(names), recipes_(checkpoint) {
    if (checkpoint.contains(names.head_prefix + kWords)) prefix_ = names.head_prefix;
  }

  std::vector<TensorRecipe> take() {
    add_embeddings();
    for (int64_t i = 0; i < config_.encoder.n_layers; ++i) {
      add_layer(names_.layer(names_.layers + std::to_string(i) + "."),
                "encoder.layers." + std::to_string(i) + ".");
    }
    std::vector<TensorRecipe> taken = recipes_.take();
    refuse_unknown(taken);
    return taken;
  }

 private:
  void add(const std::string& source, const std::string& name, std::vector<int64_t> shape) {
    recipes_.add(prefix_ + source, name, std::move(shape));
  }

  void add_embeddings() {
    const StackConfig& encoder = config_.encoder;
    const int64_t width = encoder.embedding_width(config_.d_model);
    add(kWords, "encoder.embeddings.word", {encoder.vocab_size, width});
    const int64_t n = encoder.position_rows(), first = names_.first_position;
    recipes_.add_rows(prefix_ + kPositions, {first + n, width}, first, n,
                      "encoder.positions.weight");
    if (encoder.n_types > 0) add(names_.types, "encoder.embeddings.type", {encoder.n_types, width});
    add_norm("embeddings.LayerNorm", "encoder.embeddings.norm", width);
    if (encoder.projection.width != 0) {
      add_linear({names_.projection}, "encoder.embeddings.projection", config_.d_model, width);
    }
    const RelativeBiasSpec& relative = encoder.attention.relative;
    if (relative.n_buckets == 0) return;
    add(names_.relative_bias, "encoder.relative_bias",
        {relative.n_buckets, encoder.attention.n_heads});
  }

  void add_layer(const LayerNames& from, const std::string& to) {
    const int64_t d = config_.d_model, d_ff = config_.encoder.d_ff;
    // One matrix product serves all three; it needs them beneath each other.
    add_linear({from.self.q, from.self.k, from.self.v}, to + "attention.qkv", d, d);
    add_linear({from.self.out}, to + "attention.out", d, d);
    add_norm(from.self.norm, to + "attention.norm", d);
    add_linear(from.up, to + "ffn.up", d_ff, d);
    add_linear({from.down}, to + "ffn.down", d, d_ff);
    add_norm(from.norm, to + "ffn.norm", d);
  }

  void add_linear(const std::vector<std::string>& sources, const std::string& name, int64_t n_out,
                  int64_t n_in) {
    const auto all = [&](const char* suffix) {
      std::vector<std::string> tensors;
      tensors.reserve(sources.size());
      for (const std::string& source : sources) tensors.push_back(prefix_ + source + suffix);
      return tensors;
    };
    recipes_.add_stacked(all(".weight"), name + ".weight", {n_out, n_in});
    recipes_.add_stacked(all(".bias"), name + ".bias", {n_out});
  }

  // Weights converted from TensorFlow call a norm's weight and bias gamma and beta.
  void add_norm(const std::string& source, const std::string& name, int64_t n) {
    const bool is_legacy = !checkpoint_.contains(prefix_ + source + ".weight") &&
                           checkpoint_.contains(prefix_ + source + ".gamma");
    add(source + (is_legacy ? ".gamma" : ".weight"), name + ".weight", {n});
    add(source + (is_legacy ? ".beta" : ".bias"), name + ".bias", {n});
  }

  // "embeddings.", or of a layer that the config has, or of what all layers share.
  bool is_of_encoder(const std::string& name) const {
    if (name.starts_with("embeddings.")) return true;
    if (!name.starts_with(names_.layers)) {
      return name.starts_with(names_.layers.substr(0, names_.layers.find('.') + 1));
    }
    int64_t i = 0;
    std::from_chars(name.data() + names_.layers.size(), name.data() + name.size(), i);
    return i < config_.encoder.n_layers;
  }

  void refuse_unknown(const std::vector<TensorRecipe>& taken) const {
    std::set<std::string> known;
    for (const std::string& buffer : kBuffers) known.insert(prefix_ + buffer);
    for (const TensorRecipe& recipe : taken) {
      for (const TensorSlice& slice : recipe.slices) known.insert(slice.tensor);
    }
    for (const std::string& name : checkpoint_.names()) {
      if (!name.starts_with(prefix_) || !is_of_encoder(name.substr(prefix_.size()))) continue;
      if (known.contains(name)) continue;
      checkpoint_.refuse(name,
                         "is none that Headlane computes with in a model of \"model_type\" \"" +
                             config_.architecture + "\"");
    }
  }

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  const EncoderNames& names_;
  Recipes recipes_;
  std::string prefix_;
};

}  // namespace

void refuse_other_than_encoder(const json& config, const std::string& path) {
  const std::string positions = json_string(config, "position_embedding_type", path, "absolute");
  if (positions != "absolute") {
    fail(Status::kUnsupported,
         "%s field \"position_embedding_type\" is \"%s\"; only \"absolute\" is supported",
         path.c_str(), printable(positions).c_str());
  }
  // With the last one, tokens see none behind them in transformers, except in a padded batch.
  for (const char* key : {"is_decoder", "add_cross_attention", "is_encoder_decoder", kIsCausal}) {
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

ModelConfig read_bert_body(const json& config, const std::string& path) {
  refuse_other_than_encoder(config, path);
  ModelConfig result;
  result.architecture = json_string(config, "model_type", path);
  result.d_model = json_int(config, "hidden_size", path);
  StackConfig& encoder = result.encoder;
  encoder.n_layers = json_int(config, "num_hidden_layers", path);
  encoder.vocab_size = json_int(config, "vocab_size", path);
  encoder.embedding_norm = true;
  encoder.max_positions = json_int(config, "max_position_embeddings", path);
  encoder.positions = Positions::kLearned;
  encoder.attention =
      read_encoder_heads(config, "num_attention_heads", "hidden_size", result.d_model, path);
  encoder.d_ff = json_int(config, "intermediate_size", path);
  encoder.activation = activation_of(json_string(config, "hidden_act", path), "hidden_act", path);
  encoder.norm_eps = static_cast<float>(json_number(config, "layer_norm_eps", path));
  encoder.biases = true;
  return result;
}

void count_from_padding(int64_t padding_id, const std::string& path, StackConfig* encoder) {
  if (padding_id < 0 || padding_id >= encoder->vocab_size) {
    fail(Status::kBadFile, "%s field \"pad_token_id\" is %lld, no id of the vocabulary",
         path.c_str(), static_cast<long long>(padding_id));
  }
  const int64_t first_row = padding_id + 1;
  if (encoder->max_positions <= first_row) {
    fail(Status::kBadFile,
         "%s field \"max_position_embeddings\" is %lld: the first position has row %lld of the "
         "table, the one after that of the padding",
         path.c_str(), static_cast<long long>(encoder->max_positions),
         static_cast<long long>(first_row));
  }
  encoder->max_positions -= first_row;
  encoder->positions = Positions::kLearnedButPadding;
  encoder->padding_id = padding_id;
}

AttentionSpec read_encoder_heads(const json& config, const char* key, const char* d_model_key,
                                 int64_t d_model, const std::string& path) {
  const int64_t n_heads = json_int(config, key, path);
  if (n_heads < 1 || d_model < 1 || d_model % n_heads != 0) {
    fail(Status::kBadFile, "%s field \"%s\" is %lld, which does not divide \"%s\" (%lld)",
         path.c_str(), key, static_cast<long long>(n_heads), d_model_key,
         static_cast<long long>(d_model));
  }
  AttentionSpec spec;
  spec.set_heads(n_heads, d_model / n_heads);
  return spec;
}

LayerNames bert_layer(const std::string& at) {
  LayerNames names;
  const std::string self = at + "attention.self.", out = at + "attention.output.";
  names.self = {self + "query", self + "key", self + "value", out + "dense", out + "LayerNorm"};
  names.up = {at + "intermediate.dense"};
  names.down = at + "output.dense";
  names.norm = at + "output.LayerNorm";
  return names;
}

std::vector<TensorRecipe> encoder_tensors(const Checkpoint& checkpoint, const ModelConfig& config,
                                          const EncoderNames& names) {
  return EncoderTensors(checkpoint, config, names).take();
}

}  // namespace headlane
