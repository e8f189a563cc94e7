#include "engine/import/families/falcon.h"

#include "engine/base/error.h"
#include "engine/import/families/encoder_decoder.h"
#include "engine/import/families/language_model.h"
#include "engine/import/families/rotary.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

using ll = long long;

// The field of that name or, in files that do not have it, of the other.
int64_t either(const Json& config, const char* key, const char* other, const std::string& path) {
  return json_positive(config, json_has(config, key, path) ? key : other, path);
}

// Both families have these. `heads`: the field with their number.
ModelConfig read_falcon_or_bloom(const Json& config, const std::string& path, const char* heads) {
  refuse_other_heads(config, path, "ForCausalLM");
  refuse_changed_weights(config, path);
  refuse_both_ways(config, path);
  ModelConfig result;
  result.architecture = json_string(config, "model_type", path);
  result.head.kind = HeadKind::kLogits;
  // The older name wins, as in transformers.
  result.d_model = either(config, "n_embed", "hidden_size", path);
  StackConfig& decoder = result.decoder;
  decoder.vocab_size = json_positive(config, "vocab_size", path);
  const int64_t n_heads = json_positive(config, heads, path);
  if (result.d_model % n_heads != 0) {
    fail(Status::kBadFile, "%s field \"%s\" is %lld, which does not divide the hidden size (%lld)",
         path.c_str(), heads, ll{n_heads}, ll{result.d_model});
  }
  decoder.attention.set_heads(n_heads, result.d_model / n_heads);
  decoder.attention.causal = Causal::kLowerRight;
  decoder.norm_eps = static_cast<float>(json_number(config, "layer_norm_epsilon", path));
  decoder.norm = NormPlacement::kPre;
  decoder.final_norm = true;
  return result;
}

// These fields say how Falcon's layers are built, and so which norms they have.
struct FalconLayer {
  bool grouped = false;   // "new_decoder_architecture"
  bool parallel = false;  // attention and feed-forward take the same input
  bool two_norms = false;
};

FalconLayer read_falcon_layer(const Json& config, const std::string& path) {
  FalconLayer layer;
  constexpr const char* kNorms = "num_ln_in_parallel_attn";
  layer.grouped = json_bool(config, "new_decoder_architecture", path, false);
  layer.parallel = json_bool(config, "parallel_attn", path, true);
  const int64_t n_norms = json_int(config, kNorms, path, layer.grouped ? 2 : 1);
  layer.two_norms = layer.parallel && n_norms == 2;
  if (layer.grouped && !layer.parallel) {
    fail(Status::kUnsupported,
         "%s field \"parallel_attn\" is false; with \"new_decoder_architecture\" only true is "
         "supported",
         path.c_str());
  }
  if (layer.parallel && n_norms != 1 && !(layer.grouped && n_norms == 2)) {
    fail(Status::kUnsupported, "%s field \"%s\" is %lld; only %s supported", path.c_str(), kNorms,
         ll{n_norms}, layer.grouped ? "1 and 2 are" : "1 is");
  }
  return layer;
}

// Names of the norms before attention and before the feed-forward.
struct NormNames {
  std::string attention, ffn;
};

class FusedTensors {
 public:
  FusedTensors(const Checkpoint& checkpoint, const ModelConfig& config, NormNames norms,
               bool biases)
      : stack_(config.decoder),
        d_(config.d_model),
        norms_(std::move(norms)),
        biases_(biases),
        checkpoint_(checkpoint),
        recipes_(checkpoint) {
    // Models without a head are saved without the member that holds them.
    if (checkpoint.contains("transformer.word_embeddings.weight")) prefix_ = "transformer.";
  }

  std::vector<TensorRecipe> take(bool tied) {
    recipes_.add(prefix_ + "word_embeddings.weight", "decoder.embeddings.word",
                 {stack_.vocab_size, d_});
    if (stack_.embedding_norm) {
      add_norm(prefix_ + "word_embeddings_layernorm", "decoder.embeddings.norm");
    }
    if (!tied) recipes_.add("lm_head.weight", "lm_head.weight", {stack_.vocab_size, d_});
    add_norm(prefix_ + "ln_f", "decoder.norm");
    for (int64_t i = 0; i < stack_.n_layers; ++i) add_layer(i);
    return recipes_.take();
  }

 private:
  void add_norm(const std::string& source, const std::string& name) {
    recipes_.add(source + ".weight", name + ".weight", {d_});
    recipes_.add(source + ".bias", name + ".bias", {d_});
  }

  void add_linear(const std::string& source, const std::string& name, int64_t n_out, int64_t n_in) {
    recipes_.add(source + ".weight", name + ".weight", {n_out, n_in});
    if (biases_) recipes_.add(source + ".bias", name + ".bias", {n_out});
  }

  // In a folder, each group has the rows of its heads of q, then of its head of k, then of v. A
  // GGUF file has them in the order of the engine, under a name of their own.
  void add_qkv(const std::string& source, const std::string& name) {
    const AttentionSpec& spec = stack_.attention;
    const std::string ordered = source + "q_k_v", grouped = source + "query_key_value";
    if (checkpoint_.contains(ordered + ".weight")) {
      add_linear(ordered, name, spec.q_width() + spec.k_width() + spec.v_width(), d_);
      return;
    }
    const int64_t dim = spec.head_dim, n = spec.n_heads / spec.n_kv_heads;
    std::vector<Recipes::RowPart> parts;
    const auto add = [&](int64_t first, int64_t n_rows) {
      for (int64_t group = 0; group < spec.n_kv_heads; ++group) {
        parts.push_back({group * (n + 2) * dim + first, n_rows});
      }
    };
    add(0, n * dim);
    add(n * dim, dim);
    add((n + 1) * dim, dim);
    const int64_t rows = spec.q_width() + spec.k_width() + spec.v_width();
    recipes_.add_row_parts(grouped + ".weight", {rows, d_}, parts, name + ".weight");
    if (biases_) recipes_.add_row_parts(grouped + ".bias", {rows}, parts, name + ".bias");
  }

  void add_layer(int64_t i) {
    const std::string source = prefix_ + "h." + std::to_string(i) + ".";
    const std::string name = "decoder.layers." + std::to_string(i) + ".";
    add_norm(source + norms_.attention, name + "attention.norm");
    add_qkv(source + "self_attention.", name + "attention.qkv");
    add_linear(source + "self_attention.dense", name + "attention.out", d_, d_);
    if (stack_.attention.rotary.dims == 0) {
      std::vector<float> slopes(static_cast<size_t>(stack_.attention.n_heads));
      fill_alibi_slopes(stack_.attention.n_heads, slopes.data());
      recipes_.add_values(name + "attention.alibi_slopes", {stack_.attention.n_heads}, slopes);
    }
    add_norm(source + norms_.ffn, name + "ffn.norm");
    add_linear(source + "mlp.dense_h_to_4h", name + "ffn.up", stack_.d_ff, d_);
    add_linear(source + "mlp.dense_4h_to_h", name + "ffn.down", d_, stack_.d_ff);
  }

  const StackConfig& stack_;
  int64_t d_;
  NormNames norms_;
  bool biases_;
  const Checkpoint& checkpoint_;
  std::string prefix_;
  Recipes recipes_;
};

std::vector<TensorRecipe> take_all(const Checkpoint& checkpoint, const Json& config,
                                   const std::string& path, FusedTensors tensors) {
  const bool tied = json_bool(config, "tie_word_embeddings", path, true);
  std::vector<TensorRecipe> recipes = tensors.take(tied);
  refuse_left_over(checkpoint, recipes, [&](const std::string& name) {
    // Older versions save the wavelengths, which follow from the config, and tied words twice.
    return name.ends_with("rotary_emb.inv_freq") || name.ends_with("maybe_rotary.inv_freq") ||
           (tied && name == "lm_head.weight");
  });
  return recipes;
}

}  // namespace

Json falcon_defaults(const std::string&) {
  return {
      {"vocab_size", 65024},       {"hidden_size", 4544},        {"num_hidden_layers", 32},
      {"num_attention_heads", 71}, {"layer_norm_epsilon", 1e-5}, {"max_position_embeddings", 2048},
      {"activation", "gelu"},      {"bos_token_id", 11},         {"eos_token_id", 11}};
}

// Its numbers of layers and heads go by two names each, so none is filled in.
Json bloom_defaults(const std::string&) {
  return {{"vocab_size", 250880},
          {"layer_norm_epsilon", 1e-5},
          {"bos_token_id", 1},
          {"eos_token_id", 2}};
}

ModelConfig falcon_config(const Json& config, const std::string& path) {
  ModelConfig result = read_falcon_or_bloom(config, path, "num_attention_heads");
  StackConfig& decoder = result.decoder;
  decoder.n_layers = json_positive(config, "num_hidden_layers", path);
  decoder.max_positions = json_positive(config, "max_position_embeddings", path);
  const FalconLayer layer = read_falcon_layer(config, path);
  if (layer.parallel) decoder.norm = NormPlacement::kParallel;
  AttentionSpec& spec = decoder.attention;
  if (json_bool(config, "alibi", path, false)) {  // then fields of rotary positions say nothing
    spec.key_alibi.max_len = decoder.max_positions;
  } else {
    refuse_partial_rotary(config, path);
    read_rotary(config, path, &decoder);
  }
  constexpr const char* kKvHeads = "num_kv_heads";
  if (layer.grouped) {
    if (json_has(config, kKvHeads, path)) spec.n_kv_heads = json_positive(config, kKvHeads, path);
  } else if (json_bool(config, "multi_query", path, true)) {
    spec.n_kv_heads = 1;
  }
  constexpr const char* kWidth = "ffn_hidden_size";
  decoder.d_ff =
      json_has(config, kWidth, path) ? json_positive(config, kWidth, path) : 4 * result.d_model;
  decoder.activation = activation_of(json_string(config, "activation", path), "activation", path);
  return result;
}

std::vector<TensorRecipe> falcon_tensors(const Checkpoint& checkpoint, const Json& config,
                                         const std::string& path, const ModelConfig& model) {
  const FalconLayer layer = read_falcon_layer(config, path);
  NormNames norms = {"input_layernorm", "post_attention_layernorm"};
  if (layer.parallel) norms.ffn = norms.attention;
  if (layer.two_norms) norms = {"ln_attn", "ln_mlp"};
  const bool biases = json_bool(config, "bias", path, false);
  return take_all(checkpoint, config, path, FusedTensors(checkpoint, model, norms, biases));
}

ModelConfig bloom_config(const Json& config, const std::string& path) {
  refuse_flag(config, "apply_residual_connection_post_layernorm", path);
  const bool old_name = !json_has(config, "n_head", path);
  ModelConfig result =
      read_falcon_or_bloom(config, path, old_name ? "num_attention_heads" : "n_head");
  StackConfig& decoder = result.decoder;
  decoder.n_layers = either(config, "n_layer", "num_hidden_layers", path);
  // ALiBi has no end; these models were trained on so many tokens.
  constexpr const char* kLength = "seq_length";
  decoder.max_positions =
      json_has(config, kLength, path) ? json_positive(config, kLength, path) : 2048;
  decoder.embedding_norm = true;
  decoder.biases = true;
  decoder.d_ff = 4 * result.d_model;
  decoder.activation = Activation::kGeluTanh;
  return result;
}

std::vector<TensorRecipe> bloom_tensors(const Checkpoint& checkpoint, const Json& config,
                                        const std::string& path, const ModelConfig& model) {
  const NormNames norms = {"input_layernorm", "post_attention_layernorm"};
  return take_all(checkpoint, config, path, FusedTensors(checkpoint, model, norms, true));
}

}  // namespace headlane
