// A model is its input, its stacks of layers and its head. Read from the .headlane header, or
// made by an importer from another format's config; validated once, then trusted everywhere.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/file/precision.h"
#include "engine/spec/chat.h"
#include "engine/spec/classifier.h"
#include "engine/spec/generation.h"
#include "engine/spec/prompts.h"
#include "engine/spec/stack_config.h"

namespace headlane {

enum class InputKind {
  kTokens,       // token ids, which tables turn into rows
  kActivations,  // rows of the caller's
};
// One of these is made of the last hidden states.
enum class HeadKind {
  kHidden,    // nothing
  kPool,      // a vector for each sequence
  kClassify,  // a score for each sequence and label
  kLogits,    // scores of the next token of each row
};
enum class Pooling {
  kNone,
  kMean,
  kCls,  // the first row
  kMax,
  kMeanSqrtLen,   // the sum, divided by the square root of how many rows there are
  kWeightedMean,  // row i of a sequence weighs i + 1
  kLastToken,
};

const char* name_of(Pooling pooling);  // as in the .headlane header: "none", "mean", ...
// The pooling of that name. Throws Error(kInvalidArgument) that lists them, "none" only if it
// `may_be_none`.
Pooling pooling_by_name(const std::string& name, bool may_be_none);

// A head does one of these to the vector of a sequence after pooling. Step i has the tensors
// head.steps.i.
enum class HeadStepKind {
  kDense,      // activation(vector * weight^T + bias): weight [columns, those before], bias or none
  kLayerNorm,  // of weight and bias, one for each column
  kNormalize,  // divides the vector by its Euclidean length
};
struct HeadStep {
  HeadStepKind kind = HeadStepKind::kDense;
  int64_t columns = 0;                        // of kDense: of the vector that it makes
  Activation activation = Activation::kNone;  // of kDense
  float eps = 1e-5f;                          // of kLayerNorm
};

// One more pooling of the same rows.
struct PoolingBeside {
  Pooling pooling = Pooling::kNone;
};

// Two vectors are compared by one of these.
enum class Similarity {
  kCosine,
  kDot,
  kEuclidean,  // minus their distance
  kManhattan,  // likewise, by the sum of the differences
};
const char* name_of(Similarity similarity);  // as in sentence-transformers: "cosine", "dot", ...

// The makers of a model mean its vectors for this.
struct VectorUse {
  Similarity similarity = Similarity::kCosine;
  int64_t truncate_dim = 0;        // only so many first columns are meant; 0: all
  bool leaves_out_prompt = false;  // pooling leaves the tokens of a prompt out

  bool is_default() const {
    return similarity == Similarity::kCosine && truncate_dim == 0 && !leaves_out_prompt;
  }
};

// Scores of tokens become limit * tanh(score / limit).
struct ScoreCap {
  float limit = 0;  // 0: they do not
};

struct HeadConfig {
  HeadKind kind = HeadKind::kHidden;
  // These belong to kPool and kClassify: how a sequence's rows become one, and what is done to
  // that.
  Pooling pooling = Pooling::kNone;
  bool normalize = false;  // of kPool: divide vectors by their Euclidean length, after all steps
  std::vector<HeadStep> steps = {};
  ClassifierConfig classifier = {};        // of kClassify
  std::vector<PoolingBeside> beside = {};  // whose vectors stand behind that of `pooling`
  VectorUse use = {};                      // of kPool
  ScoreCap cap = {};                       // of kLogits

  // Whether something is made of each sequence as a whole.
  bool is_of_sequences() const { return kind == HeadKind::kPool || kind == HeadKind::kClassify; }
  // The number of columns of what is made of a sequence; 0: nothing is. `d_model`: columns of a
  // hidden state.
  int64_t columns(int64_t d_model) const;
};

// A product that has a precision of its own.
struct ProductPrecision {
  std::string name;  // such as "decoder.layers.3.ffn.down"
  Precision precision = Precision::kF32;
};

// The columns of each part of a product but the last are a multiple of this: 64 bytes of bf16.
inline constexpr int64_t kPartColumns = 32;
// The name of part i of a product whose weight comes in parts: its rows are the next ones.
std::string part_of_product(const std::string& product, size_t i);

struct ModelConfig {
  std::string architecture;  // a name for people, such as "bert"; nothing depends on it
  InputKind inputs = InputKind::kTokens;
  int64_t d_model = 0;  // columns of a hidden state, in both stacks
  // These belong to kTokens.
  int64_t max_seq_len = 0;  // text is truncated to this many tokens, special ones included
  Prompts prompts;
  // These belong to kActivations.
  int64_t kdim = 0, vdim = 0;  // columns of the inputs that keys and values are projected from
  bool batch_first = true;     // padded arrays are [batch, seq, d_model], not [seq, batch, d_model]
  // One or both. A decoder's layers attend to each other's rows and to the encoder's output or, of
  // activations without an encoder, to rows of the caller's. A decoder of tokens without an encoder
  // is a language model: it goes on from the caller's tokens.
  StackConfig encoder, decoder;
  HeadConfig head;
  GenerationDefaults generation;  // of kLogits
  ChatConfig chat;                // of a language model, and of one with `messages`
  TextMessages messages;          // of an encoder of tokens
  // Products that are computed in bf16 where the others are in int8, such as
  // "encoder.layers.3.attention.qkv".
  std::vector<std::string> higher_precision;
  // Products that are never computed in less than this.
  std::vector<ProductPrecision> precisions;

  // The precision of a product where the model is run in `precision`: that one, or a higher one.
  Precision precision_of(const std::string& product, Precision precision) const;

  // Whether the texts that it reads are conversations.
  bool reads_messages() const { return messages.form != MessageForm::kNone; }
  bool takes_tokens() const { return inputs == InputKind::kTokens; }
  bool has_encoder() const { return encoder.n_layers != 0; }
  bool has_decoder() const { return decoder.n_layers != 0; }
  // Whether it makes new tokens, one after the other.
  bool generates() const { return takes_tokens() && has_decoder(); }
  // The columns of the vector that the head makes of a sequence; 0: it makes none.
  int64_t vector_columns() const {
    return head.kind == HeadKind::kPool ? head.columns(d_model) : 0;
  }
  // Its makers mean so many of those.
  int64_t meant_columns() const {
    const int64_t all = vector_columns(), meant = head.use.truncate_dim;
    return meant > 0 && meant < all ? meant : all;
  }
  // Whether there is nothing but the tokens so far that new ones are made from.
  bool is_language_model() const { return generates() && !has_encoder(); }
  // Whether the decoder's layers attend to other rows than their own.
  bool needs_cross() const { return has_encoder() || !takes_tokens(); }
  // The stack that speaks for the model where one number has to.
  const StackConfig& first_stack() const { return has_encoder() ? encoder : decoder; }
  // Whether the caller's rows may be all that keys and values come from.
  bool can_attend_to_itself() const {
    return takes_tokens() ? has_encoder() : !has_decoder() && kdim == d_model && vdim == d_model;
  }
  // Whether they may come from rows of their own.
  bool can_attend_to_kv() const {
    return !takes_tokens() && (has_decoder() || encoder.n_layers == 1);
  }

  // Throws Error(kBadFile) that names the first field out of range. `where` is the file for the
  // message.
  void validate(const std::string& where) const;

  Json to_json() const;
  // Every field is there and of the right JSON type, and no other field; the result is validated.
  static ModelConfig from_json(const Json& json, const std::string& where);
};

class FieldVisitor;
void visit_fields(HeadStep* step, FieldVisitor* fields);
void visit_fields(PoolingBeside* beside, FieldVisitor* fields);
void visit_fields(VectorUse* use, FieldVisitor* fields);
void visit_fields(ScoreCap* cap, FieldVisitor* fields);
void visit_fields(HeadConfig* head, FieldVisitor* fields);
void visit_fields(ModelConfig* config, FieldVisitor* fields);

}  // namespace headlane
