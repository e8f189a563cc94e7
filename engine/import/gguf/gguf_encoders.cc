// Encoders in GGUF, by the names that BERT's tensors have in a folder.
#include "engine/base/error.h"
#include "engine/import/gguf/gguf_fields.h"

namespace headlane {
namespace {

constexpr GgufRenamed kBertTopNames[] = {{"token_embd", "embeddings.word_embeddings"},
                                         {"token_types", "embeddings.token_type_embeddings"},
                                         {"position_embd", "embeddings.position_embeddings"},
                                         {"token_embd_norm", "embeddings.LayerNorm"}};
constexpr GgufRenamed kBertNames[] = {{"attn_q", "attention.self.query"},
                                      {"attn_k", "attention.self.key"},
                                      {"attn_v", "attention.self.value"},
                                      {"attn_output", "attention.output.dense"},
                                      {"attn_output_norm", "attention.output.LayerNorm"},
                                      {"ffn_up", "intermediate.dense"},
                                      {"ffn_down", "output.dense"},
                                      {"layer_output_norm", "output.LayerNorm"}};

// llama.cpp's numbers for ways to make the vector of a text.
constexpr Pooling kPoolings[] = {Pooling::kNone, Pooling::kMean, Pooling::kCls,
                                 Pooling::kLastToken};

}  // namespace

std::optional<Pooling> read_gguf_pooling(ArchitectureFields* fields) {
  constexpr const char* kField = "pooling_type";
  if (!fields->has(kField)) return std::nullopt;
  const int64_t type = fields->integer(kField);
  if (type < 0 || type >= std::ssize(kPoolings)) {
    fields->refuse(kField, "is " + std::to_string(type) +
                               "; only none, the mean, the first token and the last one are "
                               "supported");
  }
  return kPoolings[type];
}

// RoBERTa's relatives come by this name too: their tables of positions begin with the first one.
void read_gguf_bert(const GgufSource& source) {
  Json& config = *source.config;
  ArchitectureFields& fields = *source.fields;
  check_plain_heads(source, false);
  if (fields.flag("attention.causal", false)) {
    fields.refuse("attention.causal", "is true; only false is supported");
  }
  config["model_type"] = "bert";
  config["hidden_act"] = "gelu";
  config["layer_norm_eps"] = config["rms_norm_eps"];
  const GgufEntry* types = source.checkpoint->entry("token_types.weight");
  config["type_vocab_size"] = types == nullptr || types->shape.empty() ? 0 : types->shape[0];
  GgufNames names(config["num_hidden_layers"].get<int64_t>(), "encoder.layer.");
  names.add_top(kBertTopNames);
  names.add_layers(kBertNames);
  source.checkpoint->set_names(names.take());
}

}  // namespace headlane
