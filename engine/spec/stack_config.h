// A stack of layers computes this: an encoder or a decoder, by its features alone. Nothing in the
// engine asks for the name of an architecture.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/spec/attention_spec.h"
#include "engine/spec/enum_names.h"
#include "engine/spec/experts_config.h"

namespace headlane {

enum class Activation {
  kGelu,  // x/2 (1 + erf(x/sqrt 2))
  kGeluTanh,
  kRelu,
  kSilu,  // x / (1 + e^-x)
  kTanh,
  kNone,  // x
};
enum class NormPlacement {
  kNone,
  kPost,      // norm(x + f(x)), as in Vaswani et al. 2017
  kPre,       // x + f(norm(x))
  kBoth,      // x + norm_after(f(norm(x))), as in Gemma 2
  kAfter,     // x + norm(f(x)), as in OLMo 2
  kParallel,  // x + f(norm(x)) + g(norm'(x)) of attention f and feed-forward g, as in Falcon
};
enum class NormKind { kLayer, kRms };
// Queries and keys are normed by the root of their mean square before they turn: each head for
// itself by weights [head_dim] that all heads share, or all heads of a row as one.
enum class QkNorm { kNone, kHeads, kRows };
enum class Positions {  // added to the input
  kNone,
  kLearned,
  kSinusoidal,           // sines and cosines take turns, as in Vaswani et al. 2017
  kSinusoidalHalves,     // all sines, then all cosines, as in Marian
  kSinusoidalInclusive,  // likewise, with wavelengths that reach 10000, as in M2M-100
  kLearnedButPadding,    // learned; a token of padding inside a text takes the table's first row,
                         // and is not counted, as in RoBERTa
};

// The names used in the .headlane header and in messages: "gelu", "gelu_tanh", "post", ...
inline constexpr EnumName<Activation> kActivations[] = {
    {Activation::kGelu, "gelu"}, {Activation::kGeluTanh, "gelu_tanh"}, {Activation::kRelu, "relu"},
    {Activation::kSilu, "silu"}, {Activation::kTanh, "tanh"},          {Activation::kNone, "none"}};
const char* name_of(Activation activation);
const char* name_of(NormPlacement placement);

// The keys that the queries of some layers see: so many before their own place, so many after.
struct LayerWindow {
  int64_t left = kUnlimited;
  int64_t right = kUnlimited;
};

// Norms of queries and keys.
struct QkNorms {
  QkNorm of = QkNorm::kNone;
};

// Latent attention (DeepSeek-AI 2024, "DeepSeek-V2"): a row of `width` numbers for each token, the
// latent, is what all heads have their keys and values from. The columns of a key that turn are
// apart from it, and one for all heads; those of a head's queries come first. Queries may come from
// a row of q_width numbers. Each of these rows goes through a norm by the root of its mean square.
struct LatentConfig {
  int64_t width = 0;    // 0: there is none; keys and values are products of the layer's rows
  int64_t q_width = 0;  // 0: queries are a product of the layer's rows
  float norm_eps = 1e-6f;
};

// A product that makes rows of the stack from the narrower rows of the tables, as in ELECTRA.
struct EmbeddingProjection {
  int64_t width = 0;  // columns of the tables and of their norm; 0: those of the stack, no product
};

// What the first layer of a stack lacks.
struct FirstLayer {
  bool attention_norm = true;  // the norm before attention, where `norm` places one there
};

struct StackConfig {
  int64_t n_layers = 0;  // 0: the model has no such stack
  // Rows come in as token ids, by a table of words and perhaps one of types, or as activations.
  int64_t vocab_size = 0;          // tokens: rows of the table of words
  int64_t n_types = 0;             // tokens: segment types; 0: there is no table of them
  float embedding_scale = 1;       // tokens: words are multiplied by it
  EmbeddingProjection projection;  // tokens: after the norm of embeddings
  bool embedding_norm = false;     // a norm after words and positions
  int64_t max_positions = 0;       // no sequence may be longer
  Positions positions = Positions::kNone;
  int64_t position_offset = 0;  // the row of sinusoids that position 0 takes
  int64_t padding_id = 0;       // of kLearnedButPadding
  // Each layer: attention of the rows to each other, attention to the rows of another stack or of
  // the caller, a feed-forward.
  AttentionSpec attention;
  // Layer i has windows[i % n] in place of the windows of `attention`; none: all layers have those.
  std::vector<LayerWindow> windows;
  // The rotary positions of each layer, in place of the attention's; without dims a layer has none.
  std::vector<RotarySpec> rotaries;
  QkNorms qk_norms;     // models of tokens have them, in attention to themselves
  LatentConfig latent;  // decoders of tokens have them, in attention to themselves
  AttentionSpec cross;  // n_heads 0: there is none
  int64_t d_ff = 0;     // 0: there is no feed-forward
  Activation activation = Activation::kGelu;
  bool gated = false;  // the feed-forward is down(activation(gate(x)) * up(x))
  // In place of the feed-forward of some layers; each expert is gated as it would be.
  ExpertsConfig experts;
  NormKind norm_kind = NormKind::kLayer;
  NormPlacement norm = NormPlacement::kPost;
  FirstLayer first_layer;
  float norm_eps = 1e-12f;
  bool final_norm = false;  // one more norm at the end
  bool residual = true;     // x is added to what attention and the feed-forward make of it
  // Every product and every layer norm has a bias. False: those have one that the file has one for.
  bool biases = false;

  bool has_cross() const { return cross.n_heads != 0; }
  bool skips_padding() const { return positions == Positions::kLearnedButPadding; }
  bool has_sinusoids() const {
    return positions != Positions::kNone && positions != Positions::kLearned && !skips_padding();
  }
  // Rows of the table of learned positions.
  int64_t position_rows() const { return max_positions + (skips_padding() ? 1 : 0); }
  // Columns of the tables that tokens are looked up in.
  int64_t embedding_width(int64_t d_model) const {
    return projection.width != 0 ? projection.width : d_model;
  }
  // The attention of one layer's rows to each other.
  AttentionSpec attention_of(int64_t layer) const;
  // The same as a step computes it over the cache. Of latents that is one key for all heads, its
  // columns that turn and then the latent, whose value is the latent: a query takes the product
  // that makes keys of latents, and the product that makes values comes after the sum.
  AttentionSpec cached_attention_of(int64_t layer) const;
  // Whether the tokens of two sequences turn alike that have room for so many tokens.
  bool turns_alike(int64_t room, int64_t other_room) const;

  // Throws Error(kBadFile) that names the first two fields that do not go together, of a stack
  // whose rows have d_model columns. `where` names the stack in the message.
  void check(int64_t d_model, const std::string& where) const;
};

class FieldVisitor;
void visit_fields(LayerWindow* window, FieldVisitor* fields);
void visit_fields(QkNorms* norms, FieldVisitor* fields);
void visit_fields(FirstLayer* layer, FieldVisitor* fields);
void visit_fields(LatentConfig* latent, FieldVisitor* fields);
void visit_fields(EmbeddingProjection* projection, FieldVisitor* fields);
// `tokens`: rows come in as token ids.
void visit_fields(StackConfig* stack, FieldVisitor* fields, bool tokens);

}  // namespace headlane
