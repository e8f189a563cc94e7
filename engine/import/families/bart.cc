#include "engine/import/families/bart.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json.h"
#include "engine/import/families/encoder_decoder.h"
#include "engine/import/source/json_file.h"
#include "engine/spec/positions.h"

namespace headlane {
namespace {

using json = Json;

// These set the families apart. The flags of their first programs, which files of that time still
// have, may say nothing else.
struct Variant {
  const char* model_type;
  NormPlacement norm;
  bool final_norm, embedding_norm;
  Positions positions;
};
constexpr Variant kVariants[] = {
    {"marian", NormPlacement::kPost, false, false, Positions::kSinusoidalHalves},
    {"bart", NormPlacement::kPost, false, true, Positions::kLearned},
    {"mbart", NormPlacement::kPre, true, true, Positions::kLearned},
    {"m2m_100", NormPlacement::kPre, true, false, Positions::kSinusoidalInclusive},
};

const Variant& variant_of(const json& config, const std::string& path) {
  const std::string type = json_string(config, "model_type", path);
  for (const Variant& variant : kVariants) {
    if (type == variant.model_type) return variant;
  }
  fail(Status::kUnsupported, "%s field \"model_type\" is \"%s\"", path.c_str(),
       printable(type).c_str());
}

void refuse_other_variants(const json& config, const Variant& variant, const std::string& path) {
  const std::pair<const char*, bool> flags[] = {
      {"normalize_before", variant.norm == NormPlacement::kPre},
      {"add_final_layer_norm", variant.final_norm},
      {"normalize_embedding", variant.embedding_norm},
      {"static_position_embeddings", variant.positions != Positions::kLearned}};
  for (const auto& [key, is] : flags) {
    if (json_bool(config, key, path, is) == is) continue;
    fail(Status::kUnsupported,
         "%s field \"%s\" is %s, but models of \"model_type\" \"%s\" are computed as if it were %s",
         path.c_str(), key, is ? "false" : "true", variant.model_type, is ? "true" : "false");
  }
}

// Heads of d_model / n columns.
AttentionSpec read_heads(const json& config, const char* key, int64_t d_model,
                         const std::string& path) {
  const int64_t n_heads = json_int(config, key, path);
  if (n_heads < 1 || d_model < 1 || d_model % n_heads != 0) {
    fail(Status::kBadFile, "%s field \"%s\" is %lld, which does not divide \"d_model\" (%lld)",
         path.c_str(), key, static_cast<long long>(n_heads), static_cast<long long>(d_model));
  }
  AttentionSpec spec;
  spec.set_heads(n_heads, d_model / n_heads);
  return spec;
}

bool shares_words(const json& config, const std::string& path) {
  return json_bool(config, "share_encoder_decoder_embeddings", path, true);
}

void read_vocabularies(const json& config, const std::string& path, ModelConfig* result) {
  const int64_t vocab_size = json_int(config, "vocab_size", path);
  result->encoder.vocab_size = result->decoder.vocab_size = vocab_size;
  if (json_string(config, "model_type", path) != "marian") return;
  result->decoder.vocab_size = json_int(config, "decoder_vocab_size", path, vocab_size);
  if (!shares_words(config, path) || result->decoder.vocab_size == vocab_size) return;
  fail(Status::kBadFile,
       "%s field \"decoder_vocab_size\" is %lld, not \"vocab_size\" (%lld), but "
       "\"share_encoder_decoder_embeddings\" is true",
       path.c_str(), static_cast<long long>(result->decoder.vocab_size),
       static_cast<long long>(vocab_size));
}

// The id of the padding, up to whose row the table of sinusoids is not used.
int64_t read_padding(const json& config, int64_t vocab_size, const std::string& path) {
  const int64_t id = json_int(config, "pad_token_id", path, 1);
  if (id >= 0 && id < vocab_size) return id;
  fail(Status::kBadFile, "%s field \"pad_token_id\" is %lld, no id of the vocabulary", path.c_str(),
       static_cast<long long>(id));
}

std::string with_index(const std::string& before, int64_t i) {
  return before + std::to_string(i) + ".";
}

AttentionNames attention_names(const std::string& at, const std::string& module) {
  const std::string in = at + module + ".";
  return {in + "q_proj", in + "k_proj", in + "v_proj", in + "out_proj",
          at + module + "_layer_norm"};
}

StackNames stack_names(const std::string& stack, bool of_decoder) {
  const auto layer = [stack, of_decoder](int64_t i) {
    const std::string at = with_index(stack + "layers.", i);
    LayerNames names;
    names.self = attention_names(at, "self_attn");
    if (of_decoder) names.cross = attention_names(at, "encoder_attn");
    names.up = {at + "fc1"};
    names.down = at + "fc2";
    names.norm = at + "final_layer_norm";
    return names;
  };
  return {stack + "layernorm_embedding", stack + "layer_norm", layer};
}

// Files of the model without its head have no "model." before their names.
std::string prefix_in(const Checkpoint& checkpoint) {
  const std::vector<std::string> names = checkpoint.names();
  const bool has = std::any_of(names.begin(), names.end(),
                               [](const std::string& name) { return name.starts_with("model."); });
  return has ? "model." : "";
}

EncoderDecoderNames names_of(const std::string& prefix, bool tied_head) {
  const std::string shared = prefix + "shared.weight", head = "lm_head.weight";
  const std::string encoder = prefix + "encoder.embed_tokens.weight";
  const std::string decoder = prefix + "decoder.embed_tokens.weight";
  EncoderDecoderNames names;
  names.encoder_words = {encoder, shared, decoder, head};
  names.decoder_words = {decoder, shared, head, encoder};
  names.head = {head};
  if (tied_head) names.head.insert(names.head.end(), {decoder, shared, encoder});
  names.encoder = stack_names(prefix + "encoder.", false);
  names.decoder = stack_names(prefix + "decoder.", true);
  return names;
}

// Learned positions begin at row 2 of their table, for whatever id the padding has.
void add_learned_positions(const ModelConfig& config, const std::string& stack, int64_t n,
                           const std::string& source, Recipes* recipes) {
  constexpr int64_t kBefore = 2;
  recipes->add_rows(source, {n + kBefore, config.d_model}, kBefore, n, stack + ".positions.weight");
}

// A file may keep the sinusoids, and would be read with whatever is there. Within the rounding of
// bf16 (2^-9 of values up to 1), twice, it has to be what Headlane computes.
void check_stored_sinusoids(const Checkpoint& checkpoint, const ModelConfig& config, int64_t n,
                            const std::string& source) {
  if (!checkpoint.contains(source)) return;
  const int64_t d = config.d_model;
  checkpoint.require(source, {n, d});
  std::vector<float> stored(static_cast<size_t>(d)), computed(stored.size());
  for (int64_t position = 0; position < n; ++position) {
    checkpoint.read(source, position * d, stored);
    fill_sinusoidal(position, 1, d, Sinusoids::kHalves, computed.data());
    const bool same = std::equal(computed.begin(), computed.end(), stored.begin(),
                                 [](float a, float b) { return std::abs(a - b) <= 0x1p-8f; });
    if (same) continue;
    fail(Status::kUnsupported, "tensor \"%s\" is not the table of sinusoids", source.c_str());
  }
}

void add_head_bias(const Checkpoint& checkpoint, const ModelConfig& config, Recipes* recipes) {
  const std::string source = "final_logits_bias";
  if (!checkpoint.contains(source)) return;
  const int64_t n = config.decoder.vocab_size;
  std::vector<float> bias = read_tensor(checkpoint, source, {1, n});
  if (std::all_of(bias.begin(), bias.end(), [](float value) { return value == 0; })) return;
  recipes->add_values("lm_head.bias", {n}, std::move(bias));
}

}  // namespace

json bart_defaults(const std::string& type) {
  json defaults = {{"vocab_size", 50265},
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
  if (type == "bart" || type == "m2m_100") defaults["decoder_start_token_id"] = 2;
  if (type == "bart" || type == "mbart") defaults["forced_eos_token_id"] = 2;
  if (type == "marian") {
    defaults.erase("bos_token_id");
    defaults.update({{"vocab_size", 58101},
                     {"decoder_start_token_id", 58100},
                     {"pad_token_id", 58100},
                     {"eos_token_id", 0},
                     {"forced_eos_token_id", 0}});
  } else if (type == "m2m_100") {
    defaults.update(
        {{"vocab_size", 128112}, {"activation_function", "relu"}, {"scale_embedding", true}});
  }
  return defaults;
}

ModelConfig bart_config(const json& config, const std::string& path) {
  const Variant& variant = variant_of(config, path);
  refuse_other_than_encoder_decoder(config, path);
  refuse_other_variants(config, variant, path);
  ModelConfig result;
  result.architecture = "encoder_decoder";
  result.head.kind = HeadKind::kLogits;
  result.d_model = json_int(config, "d_model", path);
  StackConfig stack;  // what both have
  stack.max_positions = json_int(config, "max_position_embeddings", path);
  stack.activation =
      activation_of(json_string(config, "activation_function", path), "activation_function", path);
  stack.norm = variant.norm;
  stack.norm_eps = 1e-5f;  // PyTorch's; no field says it
  stack.final_norm = variant.final_norm;
  stack.embedding_norm = variant.embedding_norm;
  stack.positions = variant.positions;
  stack.biases = true;
  if (json_bool(config, "scale_embedding", path, false)) {
    stack.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(result.d_model)));
  }
  result.encoder = result.decoder = stack;
  read_vocabularies(config, path, &result);
  StackConfig& encoder = result.encoder;
  encoder.n_layers = json_int(config, "encoder_layers", path);
  encoder.d_ff = json_int(config, "encoder_ffn_dim", path);
  encoder.attention = read_heads(config, "encoder_attention_heads", result.d_model, path);

  StackConfig& decoder = result.decoder;
  decoder.n_layers = json_int(config, "decoder_layers", path);
  decoder.d_ff = json_int(config, "decoder_ffn_dim", path);
  decoder.cross = read_heads(config, "decoder_attention_heads", result.d_model, path);
  decoder.attention = decoder.cross;
  decoder.attention.causal = Causal::kLowerRight;
  if (variant.positions == Positions::kSinusoidalInclusive) {
    encoder.position_offset = decoder.position_offset =
        read_padding(config, encoder.vocab_size, path) + 1;
  }
  return result;
}

std::vector<TensorRecipe> bart_tensors(const Checkpoint& checkpoint, const json& source,
                                       const std::string& path, const ModelConfig& config) {
  const std::string prefix = prefix_in(checkpoint);
  const EncoderDecoderNames names =
      names_of(prefix, json_bool(source, "tie_word_embeddings", path, true));
  Recipes recipes(checkpoint);
  EncoderDecoderTensors(checkpoint, config, names, &recipes).add_all();
  const std::pair<std::string, int64_t> stacks[] = {{"encoder", config.encoder.max_positions},
                                                    {"decoder", config.decoder.max_positions}};
  for (const auto& [stack, n] : stacks) {
    const std::string table = prefix + stack + ".embed_positions.weight";
    if (config.encoder.positions == Positions::kLearned) {
      add_learned_positions(config, stack, n, table, &recipes);
    } else if (config.encoder.positions == Positions::kSinusoidalHalves) {
      check_stored_sinusoids(checkpoint, config, n, table);
    }
  }
  add_head_bias(checkpoint, config, &recipes);
  return recipes.take();
}

}  // namespace headlane
