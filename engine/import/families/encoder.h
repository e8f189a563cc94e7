// The encoders of Hugging Face have this in common: the variants that none of them may be, and the
// names of their tensors in a .headlane file, where `width` is d_model unless there is a
// projection:
//
//   encoder.embeddings.word              [vocab_size, width]
//   encoder.embeddings.type              [n_types, width]
//   encoder.positions.weight             [max_positions, width]; learned_but_padding: one row more
//   encoder.embeddings.norm.*            [width]
//   encoder.embeddings.projection.*      [d_model, width]
//   encoder.relative_bias                [n_buckets, n_heads]
//   encoder.layers.I.attention.qkv.*     [3 * d_model, d_model]  rows of Q, then K, then V
//                   .attention.out.*     [d_model, d_model]
//                   .ffn.up.*            [d_ff, d_model]
//                   .ffn.down.*          [d_model, d_ff]
//                   .attention.norm.*, .ffn.norm.*  [d_model]
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/families/encoder_decoder.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/config.h"

namespace headlane {

// Throws Error(kUnsupported) naming a field that makes the model anything else than an encoder with
// absolute positions.
void refuse_other_than_encoder(const Json& config, const std::string& path);

// BERT and the families that came from it have this in common, with positions that are learned and
// without types of segments.
ModelConfig read_bert_body(const Json& config, const std::string& path);

// Lets positions be counted from the row after that of `padding_id`, as RoBERTa does. Throws
// Error(kBadFile) if it is no id of the vocabulary, or if there is no row after it.
void count_from_padding(int64_t padding_id, const std::string& path, StackConfig* encoder);

// Heads of d_model / n columns, where n is the field `key`. Throws Error(kBadFile) if n does not
// divide d_model, which is the field `d_model_key`.
AttentionSpec read_encoder_heads(const Json& config, const char* key, const char* d_model_key,
                                 int64_t d_model, const std::string& path);

// The names of one layer's tensors, which begin with `at`.
LayerNames bert_layer(const std::string& at);

// A family calls its tensors this. All except `head_prefix` come after that where a file has it.
// Tables have their ".weight"; products and norms have not. Null: there is no such tensor.
struct EncoderNames {
  const char* head_prefix = "";  // of models for a task: "bert."
  const char* types = "embeddings.token_type_embeddings.weight";
  const char* projection = nullptr;
  const char* relative_bias = nullptr;
  std::string layers = "encoder.layer.";  // a layer's names begin with that and its number
  LayerNames (*layer)(const std::string& at) = bert_layer;
  int64_t first_position = 0;  // the row of its table that our first one is
};

// All tensors that the config wants. Norms may be called as TensorFlow does, gamma and beta. Heads,
// poolers and layers beyond the config's are not taken, as in transformers. Throws
// Error(kUnsupported) if the embeddings or a layer have a tensor that is not known: nobody knows
// what the model computes with it.
std::vector<TensorRecipe> encoder_tensors(const Checkpoint& checkpoint, const ModelConfig& config,
                                          const EncoderNames& names);

}  // namespace headlane
