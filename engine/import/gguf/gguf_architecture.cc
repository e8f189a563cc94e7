#include "engine/import/gguf/gguf_architecture.h"

#include <cmath>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/import/gguf/gguf_fields.h"

namespace headlane {
namespace {

using json = Json;

// Sizes that all architectures have.
void read_sizes(const GgufSource& source, const char* norm_eps) {
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
  const double eps = fields.number(norm_eps);
  config["rms_norm_eps"] = eps;
  config["layer_norm_epsilon"] = eps;
  config["rope_theta"] = fields.number("rope.freq_base", 10000);

  const GgufEntry* words = source.checkpoint->entry("token_embd.weight");
  if (words == nullptr || words->shape.size() != 2) {
    fail(Status::kBadFile, "%s: has no matrix \"token_embd.weight\"", fields.path().c_str());
  }
  config["vocab_size"] = fields.integer("vocab_size", words->shape[0]);
  config["tie_word_embeddings"] = !source.has_tensor("output.weight");
}

constexpr const char *kRms = "attention.layer_norm_rms_epsilon",
                     *kLayer = "attention.layer_norm_epsilon";
// Names of the orders that rows of Q, K and V may have.
constexpr const char *kPairs = "Meta AI original pth", *kParts = "jploski";

struct Architecture {
  const char* name;
  const char* norm_eps;
  void (*read)(const GgufSource& source);
  const char* layout = nullptr;  // the only order that its files may name
};
constexpr Architecture kArchitectures[] = {{"llama", kRms, read_gguf_llama, kPairs},
                                           {"qwen2", kRms, read_gguf_qwen},
                                           {"qwen3", kRms, read_gguf_qwen},
                                           {"qwen2moe", kRms, read_gguf_experts},
                                           {"qwen3moe", kRms, read_gguf_experts},
                                           {"olmoe", kRms, read_gguf_experts},
                                           {"gpt-oss", kRms, read_gguf_gpt_oss},
                                           {"gemma", kRms, read_gguf_gemma},
                                           {"gemma2", kRms, read_gguf_gemma2},
                                           {"gemma3", kRms, read_gguf_gemma3},
                                           {"smollm3", kRms, read_gguf_llama, kPairs},
                                           {"olmo2", kRms, read_gguf_olmo2},
                                           {"phi3", kRms, read_gguf_phi3},
                                           {"glm4", kRms, read_gguf_glm4},
                                           {"chatglm", kRms, read_gguf_chatglm},
                                           {"glm4moe", kRms, read_gguf_glm4_moe},
                                           {"baichuan", kRms, read_gguf_baichuan, kPairs},
                                           {"gpt2", kLayer, read_gguf_gpt2},
                                           {"falcon", kLayer, read_gguf_falcon, kParts},
                                           {"bloom", kLayer, read_gguf_bloom},
                                           {"bert", kLayer, read_gguf_bert}};

// A file may name the order of its rows. Weights of another one would give wrong answers.
void check_layout(ArchitectureFields* fields, const char* layout) {
  if (layout == nullptr) return;  // the field is then one that nobody reads, which is refused
  constexpr const char* kField = "tensor_data_layout";
  if (fields->text(kField, layout) == layout) return;
  fields->refuse(kField, std::string("is not \"") + layout +
                             "\"; convert the model again by a newer llama.cpp");
}

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

GgufConfig read_gguf_config(GgufCheckpoint* checkpoint) {
  ArchitectureFields fields(*checkpoint);
  const Architecture& architecture = find_architecture(fields);
  GgufConfig config = {json::object(), {}};
  const GgufSource source = {checkpoint, &fields, &config.fields};
  read_sizes(source, architecture.norm_eps);
  check_layout(&fields, architecture.layout);
  architecture.read(source);
  config.pooling = read_gguf_pooling(&fields);
  fields.refuse_others();
  read_roles(checkpoint->fields(), checkpoint->path(), &config.fields);
  return config;
}

}  // namespace headlane
