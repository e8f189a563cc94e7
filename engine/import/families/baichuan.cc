#include "engine/import/families/baichuan.h"

#include "engine/base/error.h"
#include "engine/import/families/decoder.h"
#include "engine/import/families/language_model.h"
#include "engine/import/families/rotary.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

constexpr const char* kRotaryLength = "max_position_embeddings";
constexpr const char* kLength = "model_max_length";

// Only the length of the table of positions tells: the 7B models, of 32 heads, alone have one.
bool has_alibi(const Json& config, const std::string& path) {
  const bool rotary = json_has(config, kRotaryLength, path);
  constexpr int64_t kHeadsOf13B = 40;
  if (rotary && json_int(config, "num_attention_heads", path) == kHeadsOf13B) {
    fail(Status::kUnsupported,
         "%s field \"%s\" is of models with rotary positions, and \"num_attention_heads\" 40 is of "
         "those with ALiBi; without the first, the model is converted with ALiBi",
         path.c_str(), kRotaryLength);
  }
  return !rotary;
}

// Baichuan 2 has a field of a loss, which the first models do not have, or at least its vocabulary.
bool has_normed_head(const Json& config, const std::string& path) {
  constexpr int64_t kVocabOf2 = 125696;
  return config.contains("z_loss_weight") || json_int(config, "vocab_size", path) == kVocabOf2;
}

}  // namespace

// Its makers' class has other numbers for each size, so sizes are not filled in.
Json baichuan_defaults(const std::string&) {
  return {{"hidden_act", "silu"},
          {"rms_norm_eps", 1e-6},
          {"pad_token_id", 0},
          {"bos_token_id", 1},
          {"eos_token_id", 2}};
}

ModelConfig baichuan_config(const Json& config, const std::string& path) {
  Json fields = config;
  const bool alibi = has_alibi(config, path);
  if (alibi) fields[kRotaryLength] = json_positive(config, kLength, path);
  for (const char* key : {"num_key_value_heads", "head_dim"}) {
    if (!json_has(config, key, path)) continue;
    fail(Status::kUnsupported, "%s field \"%s\" is none of this family's", path.c_str(), key);
  }
  ModelConfig result = gated_decoder_config(fields, path);
  refuse_partial_rotary(config, path);
  StackConfig& decoder = result.decoder;
  if (!alibi) {
    decoder.attention.rotary =
        read_plain_rotary(config, path, decoder.attention.head_dim, decoder.max_positions);
  }
  return result;
}

std::vector<TensorRecipe> baichuan_tensors(const Checkpoint& checkpoint, const Json& config,
                                           const std::string& path, const ModelConfig& model) {
  GatedLayerNames names;
  // A GGUF file has them one by one.
  const bool fused = !checkpoint.contains("model.layers.0.self_attn.q_proj.weight");
  names.qkv = fused ? std::vector<std::string>{"self_attn.W_pack"} : GatedLayerNames().qkv;
  names.unit_head = has_normed_head(config, path);
  names.alibi = has_alibi(config, path);
  const bool tied = json_bool(config, "tie_word_embeddings", path, false);
  if (tied && names.unit_head) {
    fail(Status::kUnsupported,
         "%s field \"tie_word_embeddings\" is true; a head whose rows have length 1 is not tied",
         path.c_str());
  }
  return gated_decoder_tensors(checkpoint, model, names, tied);
}

}  // namespace headlane
