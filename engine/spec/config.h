// What a model is: its architecture and sizes. Read from the .headlane header, or made by an
// importer from another format's config; validated once, then trusted everywhere.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/spec/attention_spec.h"
#include "engine/spec/generation.h"
#include "engine/spec/prompts.h"

namespace headlane {

enum class Architecture {
  kBert,            // token ids in, hidden states out
  kLayers,          // activations in and out: attention, alone or with norms and feed-forward
  kEncoderDecoder,  // token ids in; then, token by token, logits of the next one out
};
enum class Activation {
  kGelu,  // x/2 (1 + erf(x/sqrt 2))
  kGeluTanh,
  kRelu,
  kSilu,  // x / (1 + e^-x)
};
enum class Pooling { kNone, kMean, kCls, kMax };
enum class NormPlacement {
  kNone,
  kPost,  // norm(x + f(x)), as in Vaswani et al. 2017
  kPre,   // x + f(norm(x))
};
enum class NormKind { kLayer, kRms };
enum class Positions {  // added to the input
  kNone,
  kLearned,
  kSinusoidal,           // sines and cosines take turns, as in Vaswani et al. 2017
  kSinusoidalHalves,     // all sines, then all cosines, as in Marian
  kSinusoidalInclusive,  // likewise, with wavelengths that reach 10000, as in M2M-100
};

// The names used in the .headlane header and in messages: "bert", "gelu", "gelu_tanh", "mean", ...
const char* name_of(Architecture architecture);
const char* name_of(Activation activation);
const char* name_of(Pooling pooling);
const char* name_of(NormPlacement placement);

// The decoder of an encoder-decoder, or decoder layers on activations. What it does not say is the
// encoder's too.
struct DecoderConfig {
  int64_t vocab_size = 0;     // rows of its table of words and of logits; not of layers
  int64_t max_positions = 0;  // no target may be longer; not of layers
  int64_t n_layers = 0;       // 0: layers without a decoder
  int64_t d_ff = 0;
  // Of the target so far, causal (of layers, all of it unless the spec is causal); and of the
  // encoder's output (of layers without an encoder, of the keys as they are).
  AttentionSpec attention, cross;
};

struct ModelConfig {
  Architecture architecture = Architecture::kBert;
  int64_t vocab_size = 0;
  int64_t n_types = 0;        // segment types; 0: the model has no type embedding
  int64_t max_positions = 0;  // rows of the position table: no sequence may be longer
  int64_t n_layers = 0;       // of the encoder; layers may have a decoder alone
  int64_t d_model = 0;
  int64_t d_ff = 0;  // 0: no feed-forward (layers only)
  AttentionSpec attention;
  Activation activation = Activation::kGelu;
  float norm_eps = 1e-12f;
  NormPlacement norm = NormPlacement::kPost;  // BERT's is always after the residual
  // Of architecture "layers".
  int64_t kdim = 0, vdim = 0;  // columns of the inputs that keys and values are projected from
  bool residual = true;        // x is added to what attention (and feed-forward) make of it
  bool final_norm = false;     // one more norm at the end, of each stack
  Positions positions = Positions::kNone;
  bool batch_first = true;  // padded arrays are [batch, seq, d_model], not [seq, batch, d_model]
  // Of architecture "bert".
  Pooling pooling = Pooling::kNone;
  bool normalize = false;   // divide pooled vectors by their Euclidean length
  int64_t max_seq_len = 0;  // text is truncated to this many tokens, special ones included
  Prompts prompts;
  // Of architecture "encoder_decoder": the fields above are the encoder's, and norm, final_norm,
  // positions and activation both stacks'.
  NormKind norm_kind = NormKind::kLayer;
  bool embedding_norm = false;  // a norm after words and positions
  float embedding_scale = 1;    // of words
  int64_t position_offset = 0;  // the row of sinusoids that position 0 takes
  bool gated = false;           // the feed-forward is down(activation(gate(x)) * up(x))
  DecoderConfig decoder;
  GenerationDefaults generation;
  // Products that are computed in bf16 where the others are in int8, such as
  // "layers.3.attention.qkv".
  std::vector<std::string> higher_precision;

  // Whether there are layers that attend to x, and then to rows of their own.
  bool has_decoder_layers() const {
    return architecture == Architecture::kLayers && decoder.n_layers > 0;
  }
  // Whether keys and values may come from x itself alone.
  bool can_attend_to_itself() const {
    if (architecture != Architecture::kLayers) return true;
    return !has_decoder_layers() && kdim == d_model && vdim == d_model;
  }
  // Whether they may come from rows of their own.
  bool can_attend_to_memory() const {
    return has_decoder_layers() || (architecture == Architecture::kLayers && n_layers == 1);
  }

  // Throws Error(kBadFile) that names the first field out of range. `where` is the file for the
  // message.
  void validate(const std::string& where) const;

  Json to_json() const;
  // Every field is required and of the right JSON type; the result is validated.
  static ModelConfig from_json(const Json& json, const std::string& where);
};

}  // namespace headlane
