// The encoder-decoders of Hugging Face have this in common. A family of them says what its tensors
// are called; this gives them Headlane's names and puts beneath each other those that one product
// serves:
//
//   encoder.embeddings.word        [encoder.vocab_size, d_model]
//   decoder.embeddings.word        [decoder.vocab_size, d_model]  if they are others
//   lm_head.weight                 [decoder.vocab_size, d_model]  if not the decoder's words
//   {encoder,decoder}.embeddings.norm.*, .norm.*            [d_model]
//   {encoder,decoder}.layers.I.attention.qkv.*  [3 * q_width, d_model]  rows of Q, then K, then V
//                             .attention.out.*  [d_model, q_width]
//                             .ffn.up.*         [d_ff, d_model], gated: the gate's rows, then up's
//                             .ffn.down.*       [d_model, d_ff]
//                             .attention.norm.*, .ffn.norm.*  [d_model]
//   decoder.layers.I.cross.q.* [q_width, d_model], .kv.* [2 * q_width, d_model], .out.*, .norm.*
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/source/tensor_recipe.h"
#include "engine/spec/config.h"

namespace headlane {

// Throws Error(kUnsupported) if the config asks for something else than an encoder and a decoder.
void refuse_other_than_encoder_decoder(const Json& config, const std::string& path);

// "gelu", "relu", ...; Error(kUnsupported) that names the field `key` otherwise.
Activation activation_of(const std::string& name, const char* key, const std::string& path);

// The tensors of a family, without ".weight" and ".bias"; "" if it has no such one.
struct AttentionNames {
  std::string q, k, v, out, norm;
};
struct LayerNames {
  AttentionNames self, cross;   // cross: of the decoder's
  std::vector<std::string> up;  // one, or gate and up
  std::string down, norm;
};
struct StackNames {
  std::string embedding_norm, final_norm;
  std::function<LayerNames(int64_t i)> layer;
};
struct EncoderDecoderNames {
  // Tables of words, with ".weight". Files keep only some of those that are equal: the first that
  // is there counts.
  std::vector<std::string> encoder_words, decoder_words, head;
  StackNames encoder, decoder;
  bool biases = true;  // products and norms have them
};

// Adds all that EncoderDecoderNames has names for.
class EncoderDecoderTensors {
 public:
  // All must outlive it.
  EncoderDecoderTensors(const Checkpoint& checkpoint, const ModelConfig& config,
                        const EncoderDecoderNames& names, Recipes* recipes)
      : checkpoint_(checkpoint), config_(config), names_(names), recipes_(*recipes) {}

  void add_all();
  // Of a model without a decoder.
  void add_encoder();

 private:
  void add_words();
  void add_stack(const StackNames& names, const std::string& stack, int64_t n_layers);
  void add_layer(const LayerNames& names, const std::string& layer, bool of_decoder);
  // The matrices of all sources, [n_out, n_in] each, beneath each other.
  void add_linear(const std::vector<std::string>& sources, const std::string& name, int64_t n_out,
                  int64_t n_in);
  void add_norm(const std::string& source, const std::string& name);
  const std::string& first_there(const std::vector<std::string>& sources) const;

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  const EncoderDecoderNames& names_;
  Recipes& recipes_;
};

}  // namespace headlane
