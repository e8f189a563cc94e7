#include "engine/import/families/gpt2.h"

#include <utility>

#include "engine/base/error.h"
#include "engine/import/families/encoder_decoder.h"
#include "engine/import/families/language_model.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

using json = Json;
using ll = long long;

// Fields that change what the model computes into something that Headlane does not.
void refuse_variants(const json& config, const std::string& path) {
  const std::pair<const char*, bool> flags[] = {{"scale_attn_by_inverse_layer_idx", false},
                                                {"scale_attn_weights", true},
                                                {"add_cross_attention", false}};
  for (const auto& [key, usual] : flags) {
    if (json_bool(config, key, path, usual) == usual) continue;
    fail(Status::kUnsupported, "%s field \"%s\" is %s; only %s is supported", path.c_str(), key,
         usual ? "false" : "true", usual ? "true" : "false");
  }
  refuse_changed_weights(config, path);
  refuse_both_ways(config, path);
}

class Gpt2Tensors {
 public:
  Gpt2Tensors(const Checkpoint& checkpoint, const ModelConfig& config)
      : stack_(config.decoder), d_(config.d_model), checkpoint_(checkpoint), recipes_(checkpoint) {
    // Models without a head are saved without the member that holds them.
    if (checkpoint.contains("transformer.wte.weight")) prefix_ = "transformer.";
  }

  std::vector<TensorRecipe> take(bool tied) {
    recipes_.add(prefix_ + "wte.weight", "decoder.embeddings.word", {stack_.vocab_size, d_});
    recipes_.add(prefix_ + "wpe.weight", "decoder.positions.weight", {stack_.max_positions, d_});
    if (!tied) recipes_.add("lm_head.weight", "lm_head.weight", {stack_.vocab_size, d_});
    add_norm(prefix_ + "ln_f", "decoder.norm");
    for (int64_t i = 0; i < stack_.n_layers; ++i) {
      const std::string source = prefix_ + "h." + std::to_string(i) + ".";
      const std::string name = "decoder.layers." + std::to_string(i) + ".";
      add_norm(source + "ln_1", name + "attention.norm");
      add_linear(source + "attn.c_attn", name + "attention.qkv", 3 * d_, d_);
      add_linear(source + "attn.c_proj", name + "attention.out", d_, d_);
      add_norm(source + "ln_2", name + "ffn.norm");
      add_linear(source + "mlp.c_fc", name + "ffn.up", stack_.d_ff, d_);
      add_linear(source + "mlp.c_proj", name + "ffn.down", d_, stack_.d_ff);
    }
    return recipes_.take();
  }

 private:
  void add_norm(const std::string& source, const std::string& name) {
    recipes_.add(source + ".weight", name + ".weight", {d_});
    recipes_.add(source + ".bias", name + ".bias", {d_});
  }

  // A folder has these weights transposed; a GGUF file does not, and has them under another name.
  void add_linear(const std::string& source, const std::string& name, int64_t n_out, int64_t n_in) {
    const std::string plain = source + ".linear";
    if (checkpoint_.contains(plain + ".weight")) {
      recipes_.add(plain + ".weight", name + ".weight", {n_out, n_in});
      recipes_.add(plain + ".bias", name + ".bias", {n_out});
      return;
    }
    recipes_.add_transposed(source + ".weight", name + ".weight", n_out, n_in);
    recipes_.add(source + ".bias", name + ".bias", {n_out});
  }

  const StackConfig& stack_;
  int64_t d_;
  const Checkpoint& checkpoint_;
  std::string prefix_;
  Recipes recipes_;
};

}  // namespace

json gpt2_defaults(const std::string&) {
  return {{"vocab_size", 50257},
          {"n_positions", 1024},
          {"n_embd", 768},
          {"n_layer", 12},
          {"n_head", 12},
          {"activation_function", "gelu_new"},
          {"layer_norm_epsilon", 1e-5},
          {"bos_token_id", 50256},
          {"eos_token_id", 50256}};
}

ModelConfig gpt2_config(const json& config, const std::string& path) {
  refuse_other_heads(config, path, "LMHeadModel");
  refuse_variants(config, path);
  ModelConfig result;
  result.architecture = "gpt2";
  result.head.kind = HeadKind::kLogits;
  result.d_model = json_positive(config, "n_embd", path);
  StackConfig& decoder = result.decoder;
  decoder.n_layers = json_positive(config, "n_layer", path);
  decoder.vocab_size = json_positive(config, "vocab_size", path);
  decoder.max_positions = json_positive(config, "n_positions", path);
  decoder.positions = Positions::kLearned;
  const int64_t n_heads = json_positive(config, "n_head", path);
  if (result.d_model % n_heads != 0) {
    fail(Status::kBadFile, "%s field \"n_head\" is %lld, which does not divide \"n_embd\" (%lld)",
         path.c_str(), ll{n_heads}, ll{result.d_model});
  }
  decoder.attention.set_heads(n_heads, result.d_model / n_heads);
  decoder.attention.causal = Causal::kLowerRight;
  decoder.d_ff = json_has(config, "n_inner", path) ? json_positive(config, "n_inner", path)
                                                   : 4 * result.d_model;
  constexpr const char* kActivation = "activation_function";
  decoder.activation = activation_of(json_string(config, kActivation, path), kActivation, path);
  decoder.norm = NormPlacement::kPre;
  decoder.norm_eps = static_cast<float>(json_number(config, "layer_norm_epsilon", path));
  decoder.final_norm = true;
  decoder.biases = true;
  return result;
}

std::vector<TensorRecipe> gpt2_tensors(const Checkpoint& checkpoint, const json& config,
                                       const std::string& path, const ModelConfig& model) {
  const bool tied = json_bool(config, "tie_word_embeddings", path, true);
  std::vector<TensorRecipe> recipes = Gpt2Tensors(checkpoint, model).take(tied);
  refuse_left_over(checkpoint, recipes, [&](const std::string& name) {
    // Older versions save the causal mask, and tied words twice.
    return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias") ||
           (tied && name == "lm_head.weight");
  });
  return recipes;
}

}  // namespace headlane
