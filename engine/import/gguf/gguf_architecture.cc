#include "engine/import/gguf/gguf_architecture.h"

#include <array>
#include <cmath>
#include <map>
#include <numbers>
#include <set>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"

namespace headlane {
namespace {

using json = Json;
using ll = long long;

// The fields of an architecture, "NAME.KEY". Each one is a part of what the model computes, so
// those that nobody asked for are refused at the end.
class ArchitectureFields {
 public:
  explicit ArchitectureFields(const GgufCheckpoint& checkpoint)
      : fields_(checkpoint.fields()),
        path_(checkpoint.path()),
        name_(json_string(fields_, "general.architecture", path_)) {}

  const std::string& path() const { return path_; }
  const std::string& name() const { return name_; }

  bool has(const char* key) { return json_has(fields_, full(key).c_str(), path_); }
  int64_t integer(const char* key) { return json_int(fields_, full(key).c_str(), path_); }
  // Names and quotients are made of such sizes before the config is checked as a whole.
  int64_t size(const char* key, int64_t most) { return checked(key, integer(key), most); }
  int64_t size(const char* key, int64_t most, int64_t otherwise) {
    return checked(key, integer(key, otherwise), most);
  }
  int64_t integer(const char* key, int64_t otherwise) {
    return json_int(fields_, full(key).c_str(), path_, otherwise);
  }
  double number(const char* key) { return json_number(fields_, full(key).c_str(), path_); }
  double number(const char* key, double otherwise) { return has(key) ? number(key) : otherwise; }
  std::string text(const char* key, const char* otherwise) {
    return json_string(fields_, full(key).c_str(), path_, otherwise);
  }

  [[noreturn]] void refuse(const char* key, const std::string& why) {
    fail(Status::kUnsupported, "%s field \"%s\" %s", path_.c_str(), full(key).c_str(), why.c_str());
  }

  void refuse_others() const {
    for (const auto& [key, value] : fields_.items()) {
      if (!key.starts_with(name_ + ".") || asked_.contains(key)) continue;
      fail(Status::kUnsupported,
           "%s field \"%s\" is not one that Headlane reads of this architecture", path_.c_str(),
           printable(key).c_str());
    }
  }

 private:
  int64_t checked(const char* key, int64_t value, int64_t most) {
    if (value >= 1 && value <= most) return value;
    fail(Status::kBadFile, "%s field \"%s\" is %lld; it must be from 1 to %lld", path_.c_str(),
         full(key).c_str(), ll{value}, ll{most});
  }
  std::string full(const char* key) {
    std::string name = name_ + "." + key;
    asked_.insert(name);
    return name;
  }

  const json& fields_;
  std::string path_, name_;
  std::set<std::string, std::less<>> asked_;
};

// Reading an architecture needs these.
struct Source {
  GgufCheckpoint* checkpoint;
  ArchitectureFields* fields;
  json* config;
};

struct Renamed {
  const char *gguf, *huggingface;
};
constexpr Renamed kTopNames[] = {
    {"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}};
// Most architectures have all of these. A list of an architecture's own is added after it, and may
// give a name another meaning.
constexpr Renamed kLayerNames[] = {
    {"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},      {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"}, {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"}, {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},           {"ffn_down", "mlp.down_proj"}};
constexpr Renamed kTwoNorms[] = {{"ffn_norm", "post_attention_layernorm"}};
constexpr Renamed kLaterNorms[] = {{"post_attention_norm", "post_attention_layernorm"},
                                   {"post_ffw_norm", "post_feedforward_layernorm"}};
constexpr Renamed kFused[] = {{"attn_qkv", "self_attn.qkv_proj"},
                              {"ffn_up", "mlp.gate_up_proj"},
                              {"ffn_norm", "post_attention_layernorm"}};
constexpr Renamed kGlmNames[] = {{"ffn_up", "mlp.gate_up_proj"},
                                 {"post_attention_norm", "post_self_attn_layernorm"},
                                 {"ffn_norm", "post_attention_layernorm"},
                                 {"post_ffw_norm", "post_mlp_layernorm"}};
constexpr Renamed kFourNorms[] = {{"post_attention_norm", "post_attention_layernorm"},
                                  {"ffn_norm", "pre_feedforward_layernorm"},
                                  {"post_ffw_norm", "post_feedforward_layernorm"}};

// The names of all tensors of one config.
class Names {
 public:
  explicit Names(int64_t n_layers) : n_layers_(n_layers) {}

  void add_top(const Renamed& name) { add(name.gguf, name.huggingface); }
  // A name in the file that was added before gets another meaning.
  void add_layers(const Renamed& name) {
    const std::string ending = std::string(".") + name.gguf;
    std::erase_if(names_, [&](const auto& one) {
      const std::string& source = one.second.source;
      return source.substr(0, source.rfind('.')).ends_with(ending);
    });
    for (int64_t i = 0; i < n_layers_; ++i) {
      const std::string layer = std::to_string(i) + ".";
      add("blk." + layer + name.gguf, "model.layers." + layer + name.huggingface);
    }
  }
  // The rows of the layers' tensors called `gguf` were put into another order.
  void set_heads(const std::string& gguf, int64_t heads) {
    for (auto& [name, tensor] : names_) {
      if (tensor.source.find("." + gguf + ".") != std::string::npos) tensor.form.heads = heads;
    }
  }
  void add_one_to_norms() {
    for (auto& [name, tensor] : names_) {
      tensor.form.plus_one = tensor.source.ends_with("norm.weight");
    }
  }
  std::map<std::string, GgufTensor> take() { return std::move(names_); }

 private:
  void add(const std::string& gguf, const std::string& huggingface) {
    for (const char* ending : {".weight", ".bias"}) {
      names_[huggingface + ending] = {gguf + ending, {}};
    }
  }

  int64_t n_layers_;
  std::map<std::string, GgufTensor> names_;
};

Names names_of(const json& config, std::span<const Renamed> norms) {
  Names names(config["num_hidden_layers"].get<int64_t>());
  for (const Renamed& name : kTopNames) names.add_top(name);
  for (const Renamed& name : kLayerNames) names.add_layers(name);
  for (const Renamed& name : norms) names.add_layers(name);
  return names;
}

// Sizes that all architectures have.
void read_sizes(const Source& source) {
  ArchitectureFields& fields = *source.fields;
  json& config = *source.config;
  const int64_t d_model = fields.size("embedding_length", file_limits::kDModel);
  const int64_t n_heads = fields.size("attention.head_count", file_limits::kHeads);
  const int64_t head_dim =
      fields.size("attention.key_length", file_limits::kHeadDim, d_model / n_heads);
  if (fields.integer("attention.value_length", head_dim) != head_dim) {
    fields.refuse("attention.value_length", "is not the length of keys, which is not supported");
  }
  const int64_t turning = fields.size("rope.dimension_count", head_dim, head_dim);
  // Whoever reads it multiplies by head_dim and rounds down, which must give the number again.
  const double part = static_cast<double>(turning) / static_cast<double>(head_dim);
  config["partial_rotary_factor"] = turning == head_dim ? 1.0 : std::nextafter(part, 1.0);
  config["hidden_size"] = d_model;
  config["num_attention_heads"] = n_heads;
  config["num_key_value_heads"] = fields.integer("attention.head_count_kv", n_heads);
  config["head_dim"] = head_dim;
  config["num_hidden_layers"] = fields.size("block_count", file_limits::kLayers);
  config["intermediate_size"] = fields.integer("feed_forward_length");
  config["max_position_embeddings"] = fields.integer("context_length");
  config["rms_norm_eps"] = fields.number("attention.layer_norm_rms_epsilon");
  config["rope_theta"] = fields.number("rope.freq_base", 10000);

  const GgufEntry* words = source.checkpoint->entry("token_embd.weight");
  if (words == nullptr || words->shape.size() != 2) {
    fail(Status::kBadFile, "%s: has no matrix \"token_embd.weight\"", fields.path().c_str());
  }
  config["vocab_size"] = fields.integer("vocab_size", words->shape[0]);
  config["tie_word_embeddings"] = source.checkpoint->entry("output.weight") == nullptr;
}

// Linear scaling, which a factor alone means, and YaRN as far as its fields are at their defaults.
void read_rope_scaling(const Source& source) {
  ArchitectureFields& fields = *source.fields;
  const std::string type = fields.text("rope.scaling.type", "linear");
  const double factor = fields.number("rope.scaling.factor", 1);
  const int64_t original = fields.integer("rope.scaling.original_context_length", 0);
  fields.has("rope.scaling.finetuned");  // it says what the model was trained with
  if (type == "none" || factor == 1 || factor == 0) return;
  json scaling = {{"rope_type", type}, {"factor", factor}};
  if (type == "yarn") {
    if (original < 1) fields.refuse("rope.scaling.original_context_length", "is missing");
    scaling["original_max_position_embeddings"] = original;
  } else if (type != "linear") {
    fields.refuse("rope.scaling.type", "is not one of: none, linear, yarn");
  }
  (*source.config)["rope_scaling"] = std::move(scaling);
}

constexpr const char* kFrequencies = "rope_freqs.weight";

// Llama 3.1 divides the frequency of pair i by this. It has three bands of frequencies, of which
// the files keep the divisors alone.
double llama3_divisor(double base, double dims, size_t i, double factor, double original) {
  const double wavelength =
      2 * std::numbers::pi * std::pow(base, 2 * static_cast<double>(i) / dims);
  constexpr double kLow = 1, kHigh = 4;
  if (wavelength < original / kHigh) return 1;
  if (wavelength > original / kLow) return factor;
  const double smooth = (original / wavelength - kLow) / (kHigh - kLow);
  return 1 / ((1 - smooth) / factor + smooth);
}

// The divisors must be those of Llama 3.1 to 3.3, which are trained on 8192 positions.
void read_llama3_scaling(const Source& source) {
  const GgufEntry* entry = source.checkpoint->entry(kFrequencies);
  if (entry == nullptr) return;
  json& config = *source.config;
  const auto dims = config["head_dim"].get<int64_t>();
  const std::vector<float> divisors = read_tensor(*source.checkpoint, kFrequencies, {dims / 2});
  constexpr double kOriginal = 8192;
  const double factor = divisors.empty() ? 0 : divisors.back();
  for (size_t i = 0; i < divisors.size(); ++i) {
    const double expected = llama3_divisor(config["rope_theta"].get<double>(),
                                           static_cast<double>(dims), i, factor, kOriginal);
    if (std::abs(divisors[i] - expected) <= 1e-5 * expected) continue;
    source.checkpoint->refuse(kFrequencies,
                              "has other divisors than those of Llama 3.1 for 8192 positions, "
                              "which is not supported");
  }
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", factor},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", static_cast<int64_t>(kOriginal)}};
}

void refuse_experts(ArchitectureFields* fields) {
  const int64_t n_experts = fields->integer("expert_count", 0);
  if (n_experts == 0 && fields->integer("expert_used_count", 0) == 0) return;
  fields->refuse("expert_count", "is not 0; a mixture of experts is not supported");
}

// The tensors alone tell whether there are biases.
void set_biases(const Source& source) {
  const bool has = source.checkpoint->entry("blk.0.attn_q.bias") != nullptr;
  (*source.config)["attention_bias"] = has;
}

// Llama, Mistral and SmolLM 3, whose converter puts rows of Q and K into the order of pairs that
// turn. In SmolLM 3 every fourth layer has no positions, as in transformers where no list says so.
void read_llama(const Source& source) {
  json& config = *source.config;
  config["model_type"] = source.fields->name();
  config["hidden_act"] = "silu";
  refuse_experts(source.fields);
  read_rope_scaling(source);
  read_llama3_scaling(source);
  set_biases(source);
  config["mlp_bias"] = source.checkpoint->entry("blk.0.ffn_up.bias") != nullptr;
  Names names = names_of(config, kTwoNorms);
  names.set_heads("attn_q", config["num_attention_heads"].get<int64_t>());
  names.set_heads("attn_k", config["num_key_value_heads"].get<int64_t>());
  const std::string divisors = kFrequencies;
  source.checkpoint->set_names(names.take(), {&divisors, 1});
}

void read_qwen(const Source& source) {
  json& config = *source.config;
  config["model_type"] = source.fields->name();
  config["hidden_act"] = "silu";
  config["use_sliding_window"] = false;
  set_biases(source);  // of Qwen 3; Qwen 2 has those that it has
  read_rope_scaling(source);
  source.checkpoint->set_names(names_of(config, kTwoNorms).take());
}

void read_olmo2(const Source& source) {
  json& config = *source.config;
  config["model_type"] = "olmo2";
  config["hidden_act"] = "silu";
  set_biases(source);
  read_rope_scaling(source);
  source.checkpoint->set_names(names_of(config, kLaterNorms).take());
}

// Q, K and V are one tensor, and so are gate and up. A window of 0 is none.
void read_phi3(const Source& source) {
  json& config = *source.config;
  config["model_type"] = "phi3";
  config["hidden_act"] = "silu";
  config["original_max_position_embeddings"] =
      source.fields->integer("rope.scaling.original_context_length", 4096);
  const int64_t window = source.fields->integer("attention.sliding_window", 0);
  config["sliding_window"] = window > 0 ? json(window) : json();
  source.checkpoint->set_names(names_of(config, kFused).take());
}

void read_glm4(const Source& source) {
  json& config = *source.config;
  config["model_type"] = "glm4";
  config["hidden_act"] = "silu";
  set_biases(source);
  source.checkpoint->set_names(names_of(config, kGlmNames).take());
}

// llama.cpp tells the largest models of Gemma 2 and 3 by their number of layers: their scores are
// divided by the root of what a head would have if all of d_model were shared among them.
double gemma_score_width(const json& config, int64_t layers_of_largest) {
  const auto n_layers = config["num_hidden_layers"].get<int64_t>();
  const auto d_model = config["hidden_size"].get<double>();
  return n_layers == layers_of_largest ? d_model / config["num_attention_heads"].get<double>()
                                       : config["head_dim"].get<double>();
}

void read_gemma_names(const Source& source, std::span<const Renamed> norms) {
  json& config = *source.config;
  config["hidden_activation"] = "gelu_pytorch_tanh";
  config["hidden_act"] = "gelu_pytorch_tanh";
  set_biases(source);
  Names names = names_of(config, norms);
  names.add_one_to_norms();
  source.checkpoint->set_names(names.take());
}

void read_gemma(const Source& source) {
  (*source.config)["model_type"] = "gemma";
  read_gemma_names(source, kTwoNorms);
}

void read_gemma2(const Source& source) {
  json& config = *source.config;
  config["model_type"] = "gemma2";
  config["sliding_window"] = source.fields->integer("attention.sliding_window", 4096);
  config["attn_logit_softcapping"] = source.fields->number("attn_logit_softcapping", 50);
  config["final_logit_softcapping"] = source.fields->number("final_logit_softcapping", 30);
  config["query_pre_attn_scalar"] = gemma_score_width(config, 46);
  read_gemma_names(source, kFourNorms);
}

void read_gemma3(const Source& source) {
  json& config = *source.config;
  ArchitectureFields& fields = *source.fields;
  config["model_type"] = "gemma3_text";
  config["sliding_window"] = fields.integer("attention.sliding_window");
  config["sliding_window_pattern"] = fields.integer("attention.sliding_window_pattern", 6);
  config["rope_local_base_freq"] = fields.number("rope.freq_base_swa", 10000);
  config["query_pre_attn_scalar"] = gemma_score_width(config, 62);
  if (fields.has("final_logit_softcapping")) {
    fields.refuse("final_logit_softcapping", "is there, which Gemma 3 has no use for");
  }
  read_rope_scaling(source);
  read_gemma_names(source, kFourNorms);
}

struct Architecture {
  const char* name;
  void (*read)(const Source& source);
};
constexpr Architecture kArchitectures[] = {{"llama", read_llama},   {"qwen2", read_qwen},
                                           {"qwen3", read_qwen},    {"gemma", read_gemma},
                                           {"gemma2", read_gemma2}, {"gemma3", read_gemma3},
                                           {"smollm3", read_llama}, {"olmo2", read_olmo2},
                                           {"phi3", read_phi3},     {"glm4", read_glm4}};

const Architecture& find_architecture(const ArchitectureFields& fields) {
  std::string known;
  for (const Architecture& architecture : kArchitectures) {
    if (fields.name() == architecture.name) return architecture;
    known += (known.empty() ? "" : ", ") + std::string(architecture.name);
  }
  fail(Status::kUnsupported, "%s field \"general.architecture\" is \"%s\", not one of: %s",
       fields.path().c_str(), printable(fields.name()).c_str(), known.c_str());
}

// Ids with roles. Generation ends at any of those that end a text, a turn or a message.
void read_roles(const json& fields, const std::string& path, json* config) {
  constexpr const char* kPrefix = "tokenizer.ggml.";
  const auto id = [&](const char* role) {
    return json_int(fields, (std::string(kPrefix) + role + "_token_id").c_str(), path, -1);
  };
  json ends = json::array();
  for (const char* role : {"eos", "eot", "eom"}) {
    if (id(role) >= 0) ends.push_back(id(role));
  }
  // A null is no token; what is not there would be that of the family's published models.
  const auto or_null = [](int64_t value) { return value < 0 ? json() : json(value); };
  (*config)["eos_token_id"] = ends.empty() ? json() : std::move(ends);
  (*config)["bos_token_id"] = or_null(id("bos"));
  (*config)["pad_token_id"] = or_null(id("padding"));
}

}  // namespace

json read_gguf_config(GgufCheckpoint* checkpoint) {
  ArchitectureFields fields(*checkpoint);
  const Architecture& architecture = find_architecture(fields);
  json config = json::object();
  const Source source = {checkpoint, &fields, &config};
  read_sizes(source);
  architecture.read(source);
  fields.refuse_others();
  read_roles(checkpoint->fields(), checkpoint->path(), &config);
  return config;
}

}  // namespace headlane
