#include "engine/import/families/t5.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json.h"
#include "engine/import/families/encoder_decoder.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

using json = Json;

// T5 has no limit of its own. Headlane needs one: the biases by distance of a stack are
// 2 * 4096 - 1 floats for each head, 0.5 MB at 16 heads. Models were trained on 512 to 1024 tokens.
constexpr int64_t kMaxPositions = 4096;

bool is_mt5(const json& config, const std::string& path) {
  return json_string(config, "model_type", path) == "mt5";
}

// "relu", "gated-gelu", "gated-silu". The two fields that transformers makes of it win over it
// where a file has them.
void read_feed_forward(const json& config, const std::string& path, StackConfig* result) {
  constexpr const char* kField = "feed_forward_proj";
  const std::string_view gated = "gated-";
  const std::string otherwise = is_mt5(config, path) ? "gated-gelu" : "relu";
  std::string name = json_string(config, kField, path, otherwise);
  result->gated = name.starts_with(gated);
  if (result->gated) name.erase(0, gated.size());
  if (result->gated && name == "gelu") name = "gelu_new";
  result->gated = json_bool(config, "is_gated_act", path, result->gated);
  const char* const key = json_has(config, "dense_act_fn", path) ? "dense_act_fn" : kField;
  result->activation = activation_of(json_string(config, "dense_act_fn", path, name), key, path);
}

AttentionSpec read_heads(const json& config, const std::string& path) {
  const int64_t n_heads = json_int(config, "num_heads", path);
  const int64_t head_dim = json_int(config, "d_kv", path);
  if (n_heads < 1 || head_dim < 1) {
    fail(Status::kBadFile, "%s field \"%s\" is less than 1", path.c_str(),
         n_heads < 1 ? "num_heads" : "d_kv");
  }
  AttentionSpec spec;
  spec.set_heads(n_heads, head_dim);
  spec.score = Score::kDot;  // the scale is in the weights of Q
  spec.scale = 1;
  return spec;
}

// Whether the decoder's output is multiplied by d_model^-0.5: T5's is, where v1.1, which says so by
// a head of its own, does it not, and no mT5 does.
bool scales_output(const json& config, const std::string& path) {
  if (is_mt5(config, path)) return false;
  const bool tied = json_bool(config, "tie_word_embeddings", path, true);
  return json_bool(config, "scale_decoder_outputs", path, tied);
}

// "T5EncoderModel", as the models are saved whose hidden states become vectors of texts.
bool is_encoder_alone(const json& config, const std::string& path) {
  constexpr const char* kClasses = "architectures";
  if (!json_has(config, kClasses, path)) return false;
  const std::vector<std::string> names = json_strings(config, kClasses, path);
  return std::ranges::any_of(
      names, [](const std::string& name) { return name.ends_with("EncoderModel"); });
}

AttentionNames attention_names(const std::string& at, const char* module) {
  const std::string in = at + module + ".";
  return {in + "q", in + "k", in + "v", in + "o", at + "layer_norm"};
}

StackNames stack_names(const std::string& stack, bool of_decoder, bool gated) {
  const auto layer = [=](int64_t i) {
    const std::string block = stack + ".block." + std::to_string(i) + ".layer.";
    const std::string feed_forward = block + (of_decoder ? "2." : "1.");
    const std::string dense = feed_forward + "DenseReluDense.";
    LayerNames names;
    names.self = attention_names(block + "0.", "SelfAttention");
    if (of_decoder) names.cross = attention_names(block + "1.", "EncDecAttention");
    names.up = {dense + (gated ? "wi_0" : "wi")};
    if (gated) names.up.push_back(dense + "wi_1");
    names.down = dense + "wo";
    names.norm = feed_forward + "layer_norm";
    return names;
  };
  return {"", stack + ".final_layer_norm", layer};
}

EncoderDecoderNames names_of(const ModelConfig& config) {
  const std::string shared = "shared.weight", head = "lm_head.weight",
                    encoder = "encoder.embed_tokens.weight",
                    decoder = "decoder.embed_tokens.weight";
  EncoderDecoderNames names;
  names.encoder_words = {encoder, shared, decoder, head};
  names.decoder_words = {decoder, shared, encoder, head};
  names.head = {head, shared, decoder, encoder};
  names.encoder = stack_names("encoder", false, config.encoder.gated);
  names.decoder = stack_names("decoder", true, config.encoder.gated);
  names.biases = false;
  return names;
}

}  // namespace

json t5_defaults(const std::string& type) {
  json defaults = {{"vocab_size", 32128},
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
  if (type == "mt5") {
    defaults.update({{"vocab_size", 250112},
                     {"d_ff", 1024},
                     {"num_layers", 8},
                     {"num_heads", 6},
                     {"feed_forward_proj", "gated-gelu"},
                     {"decoder_start_token_id", 0}});
  }
  return defaults;
}

ModelConfig t5_config(const json& config, const std::string& path) {
  const bool alone = is_encoder_alone(config, path);
  json fields = config;
  if (alone) fields.erase("is_encoder_decoder");
  refuse_other_than_encoder_decoder(fields, path);
  ModelConfig result;
  result.architecture = "encoder_decoder";
  result.head.kind = HeadKind::kLogits;
  result.d_model = json_int(config, "d_model", path);
  StackConfig& encoder = result.encoder;
  encoder.n_layers = json_int(config, "num_layers", path);
  encoder.vocab_size = json_int(config, "vocab_size", path);
  encoder.max_positions = kMaxPositions;
  encoder.attention = read_heads(config, path);
  encoder.d_ff = json_int(config, "d_ff", path);
  read_feed_forward(config, path, &encoder);
  encoder.norm_kind = NormKind::kRms;
  encoder.norm = NormPlacement::kPre;
  encoder.norm_eps = static_cast<float>(json_has(config, "layer_norm_epsilon", path)
                                            ? json_number(config, "layer_norm_epsilon", path)
                                            : 1e-6);
  encoder.final_norm = true;

  StackConfig& decoder = result.decoder;
  decoder = encoder;
  decoder.n_layers = json_int(config, "num_decoder_layers", path, encoder.n_layers);
  decoder.cross = encoder.attention;
  decoder.attention.causal = Causal::kLowerRight;

  RelativeBiasSpec relative;
  relative.n_buckets = json_int(config, "relative_attention_num_buckets", path, 32);
  relative.max_distance = json_int(config, "relative_attention_max_distance", path, 128);
  relative.max_len = kMaxPositions;
  decoder.attention.relative = relative;
  relative.bidirectional = true;
  encoder.attention.relative = relative;
  if (!alone) return result;
  decoder = {};
  result.head = {};
  result.architecture = json_string(config, "model_type", path);
  return result;
}

std::vector<TensorRecipe> t5_tensors(const Checkpoint& checkpoint, const json& source,
                                     const std::string& path, const ModelConfig& config) {
  const EncoderDecoderNames names = names_of(config);
  const bool alone = config.decoder.n_layers == 0;
  Recipes recipes(checkpoint);
  EncoderDecoderTensors tensors(checkpoint, config, names, &recipes);
  alone ? tensors.add_encoder() : tensors.add_all();
  const std::string bias = ".block.0.layer.0.SelfAttention.relative_attention_bias.weight";
  const RelativeBiasSpec& relative = config.encoder.attention.relative;
  const std::vector<int64_t> shape = {relative.n_buckets, config.encoder.attention.n_heads};
  recipes.add("encoder" + bias, "encoder.relative_bias", shape);
  if (alone) return recipes.take();
  recipes.add("decoder" + bias, "decoder.relative_bias", shape);
  std::vector<TensorRecipe> result = recipes.take();
  if (!scales_output(source, path)) return result;
  // The last norm feeds the head and nothing else, so its weight can carry the scale.
  const double scale = 1 / std::sqrt(static_cast<double>(config.d_model));
  for (TensorRecipe& recipe : result) {
    if (recipe.name != "decoder.norm.weight") continue;
    recipe.values = read_tensor(checkpoint, names.decoder.final_norm + ".weight", recipe.shape);
    recipe.slices.clear();
    for (float& value : recipe.values) value = static_cast<float>(value * scale);
  }
  return result;
}

}  // namespace headlane
