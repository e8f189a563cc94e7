#include "engine/spec/config.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/file/json.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/spec/enum_names.h"
#include "engine/spec/fields.h"

namespace headlane {
namespace {

using ll = long long;

constexpr EnumName<InputKind> kInputs[] = {{InputKind::kTokens, "tokens"},
                                           {InputKind::kActivations, "activations"}};
constexpr EnumName<HeadKind> kHeads[] = {{HeadKind::kHidden, "hidden"},
                                         {HeadKind::kPool, "pool"},
                                         {HeadKind::kClassify, "classify"},
                                         {HeadKind::kLogits, "logits"}};
constexpr EnumName<Pooling> kPoolings[] = {{Pooling::kNone, "none"},
                                           {Pooling::kMean, "mean"},
                                           {Pooling::kCls, "cls"},
                                           {Pooling::kMax, "max"},
                                           {Pooling::kMeanSqrtLen, "mean_sqrt_len_tokens"},
                                           {Pooling::kWeightedMean, "weightedmean"},
                                           {Pooling::kLastToken, "lasttoken"}};

constexpr EnumName<Similarity> kSimilarities[] = {{Similarity::kCosine, "cosine"},
                                                  {Similarity::kDot, "dot"},
                                                  {Similarity::kEuclidean, "euclidean"},
                                                  {Similarity::kManhattan, "manhattan"}};
constexpr EnumName<HeadStepKind> kSteps[] = {{HeadStepKind::kDense, "dense"},
                                             {HeadStepKind::kLayerNorm, "layer_norm"},
                                             {HeadStepKind::kNormalize, "normalize"}};

struct PrecisionNames {
  EnumName<Precision> names[kPrecisions];
};
constexpr PrecisionNames kPrecisionNames = [] {
  PrecisionNames all = {};
  for (int i = 0; i < kPrecisions; ++i) {
    all.names[i] = {kernels::kProductKinds[i].precision, kernels::kProductKinds[i].name};
  }
  return all;
}();

void check_stacks(const ModelConfig& config, const std::string& where) {
  if (!config.has_encoder() && !config.has_decoder()) {
    fail(Status::kBadFile, "%s has no layers: neither field \"encoder\" nor \"decoder\"",
         where.c_str());
  }
  if (config.has_encoder()) {
    config.encoder.check(config.d_model, where + " field \"encoder\":");
    if (config.encoder.has_cross()) {
      fail(Status::kBadFile, "%s field \"encoder\": field \"cross\" has no meaning for an encoder",
           where.c_str());
    }
  }
  if (!config.has_decoder()) return;
  config.decoder.check(config.d_model, where + " field \"decoder\":");
  if (config.decoder.has_cross() == config.needs_cross()) return;
  fail(Status::kBadFile, "%s field \"decoder\": field \"cross\" %s", where.c_str(),
       config.needs_cross() ? "is missing"
                            : "has no meaning for a decoder of tokens without an encoder");
}

// Keys and values come from rows of their own, of other sizes than the queries', to one layer
// alone.
void check_activations(const ModelConfig& config, const std::string& where) {
  const bool same = config.kdim == config.d_model && config.vdim == config.d_model;
  if (same || (!config.has_decoder() && config.encoder.n_layers == 1)) return;
  fail(Status::kBadFile,
       "%s fields \"kdim\" (%lld) and \"vdim\" (%lld) must be \"d_model\" (%lld), since there is a "
       "decoder or more than one layer",
       where.c_str(), ll{config.kdim}, ll{config.vdim}, ll{config.d_model});
}

void check_tokens(const ModelConfig& config, const std::string& where) {
  const StackConfig& stack = config.first_stack();
  if (config.max_seq_len > stack.max_positions) {
    fail(Status::kBadFile,
         "%s field \"max_seq_len\" is %lld, more than the %s's \"max_positions\" (%lld)",
         where.c_str(), ll{config.max_seq_len}, config.has_encoder() ? "encoder" : "decoder",
         ll{stack.max_positions});
  }
  check_prompts(config.prompts, where + " field \"prompts\":");
}

// Tables that only rows of token ids are looked up in, all rows of a sequence at once.
void check_padding(const StackConfig& stack, bool whole_sequences, const char* field,
                   const std::string& where) {
  if (!stack.skips_padding()) return;
  if (!whole_sequences) {
    fail(Status::kBadFile,
         "%s field \"%s\": field \"positions\" is \"learned_but_padding\", which only an encoder "
         "of token ids has",
         where.c_str(), field);
  }
  if (stack.padding_id < stack.vocab_size) return;
  fail(Status::kBadFile, "%s field \"%s\": field \"padding_id\" is %lld, no id of the vocabulary",
       where.c_str(), field, ll{stack.padding_id});
}

// Queries and keys are normed where they are one product with the values.
void check_qk_norms(const StackConfig& stack, bool takes_tokens, const char* field,
                    const std::string& where) {
  if (stack.qk_norms.of == QkNorm::kNone || takes_tokens) return;
  fail(Status::kBadFile,
       "%s field \"%s\": field \"qk_norms\" is there, which only a model of token ids has",
       where.c_str(), field);
}

// Only the steps of a decoder have a kernel for biases by key, and a target has no position in its
// source.
void check_key_alibi(const StackConfig& stack, bool has_steps, const char* field,
                     const std::string& where) {
  const bool itself = stack.attention.key_alibi.max_len != 0;
  if (stack.cross.key_alibi.max_len == 0 && (has_steps || !itself)) return;
  fail(Status::kBadFile,
       "%s field \"%s\": field \"key_alibi\" is there, which only a decoder of token ids has, for "
       "attention to itself",
       where.c_str(), field);
}

// Only the steps of a decoder know latents.
void check_latent(const StackConfig& stack, bool has_steps, const char* field,
                  const std::string& where) {
  if (has_steps || stack.latent.width == 0) return;
  fail(Status::kBadFile,
       "%s field \"%s\": field \"latent\" is there, which only a decoder of token ids has",
       where.c_str(), field);
}

// Only the steps of a decoder know the room of a sequence.
void check_rooms(const StackConfig& stack, bool has_steps, const char* field,
                 const std::string& where) {
  if (has_steps || stack.turns_alike(0, file_limits::kPositions)) return;
  fail(Status::kBadFile,
       "%s field \"%s\": rotary positions have a \"scaling\" that is chosen by the room of a "
       "sequence, which only a decoder of token ids has",
       where.c_str(), field);
}

// A decoder's steps have no kernel for other scores than these.
void check_step_score(const AttentionSpec& spec, const char* field, const std::string& where) {
  if (spec.score == Score::kScaledDot || spec.score == Score::kDot) return;
  fail(Status::kBadFile, "%s field \"%s\" has a score that decoders do not have", where.c_str(),
       field);
}

void check_steps(const ModelConfig& config, const std::string& where) {
  const StackConfig& decoder = config.decoder;
  const std::string in_decoder = where + " field \"decoder\":";
  const int64_t n_kinds = std::max<int64_t>(std::ssize(decoder.windows), 1);
  for (int64_t i = 0; i < n_kinds; ++i) {
    check_step_score(decoder.attention_of(i), "attention", in_decoder);
  }
  const AttentionSpec& cross = decoder.cross;
  if (decoder.has_cross()) check_step_score(cross, "cross", in_decoder);
  if (cross.relative.n_buckets != 0 || cross.rotary.dims != 0 ||
      cross.window_left != kernels::AttentionF32Args::kUnlimited) {
    fail(Status::kBadFile, "%s field \"cross\": a target has no position in its source",
         in_decoder.c_str());
  }
  const std::string in_generation = where + " field \"generation\":";
  check_generation(config.generation, decoder.vocab_size, decoder.max_positions, in_generation);
  if ((config.generation.start_id < 0) == config.is_language_model()) return;
  fail(Status::kBadFile, "%s field \"start_id\" has the id %d; %s", in_generation.c_str(),
       config.generation.start_id,
       config.is_language_model() ? "a language model begins with the caller's tokens, so it is -1"
                                  : "a decoder behind an encoder needs one");
}

// The last step makes a number for each label.
void check_labels(const ModelConfig& config, const std::string& where) {
  const HeadConfig& head = config.head;
  const std::string in_head = where + " field \"head\":";
  check_classifier(head.classifier, in_head + " field \"classifier\":");
  const bool fits = !head.steps.empty() && head.steps.back().kind == HeadStepKind::kDense &&
                    head.steps.back().columns == head.classifier.n_labels();
  if (fits) return;
  fail(Status::kBadFile,
       "%s field \"steps\" does not end with a \"dense\" of %lld columns, one for each label",
       in_head.c_str(), ll{head.classifier.n_labels()});
}

// A head makes something of what the stacks leave, so it must be one that they leave something for.
void check_head(const ModelConfig& config, const std::string& where) {
  const HeadConfig& head = config.head;
  if ((head.kind == HeadKind::kLogits) != config.generates()) {
    fail(Status::kBadFile,
         "%s field \"head\": \"logits\" is for a decoder that takes token ids, which has no other "
         "head",
         where.c_str());
  }
  if (head.is_of_sequences() && !config.takes_tokens()) {
    fail(Status::kBadFile, "%s field \"head\": activations are not pooled", where.c_str());
  }
  if (head.kind == HeadKind::kClassify) check_labels(config, where);
  for (const PoolingBeside& beside : head.beside) {
    if (beside.pooling != Pooling::kNone) continue;
    fail(Status::kBadFile, "%s field \"head\": field \"beside\" has a pooling \"none\"",
         where.c_str());
  }
  if (head.is_of_sequences() == (head.pooling != Pooling::kNone)) return;
  fail(Status::kBadFile, "%s field \"head\": field \"pooling\" is \"%s\", but \"kind\" is \"%s\"",
       where.c_str(), name_of(head.pooling), find_name(kHeads, head.kind));
}

}  // namespace

const char* name_of(Pooling pooling) { return find_name(kPoolings, pooling); }

Pooling pooling_by_name(const std::string& name, bool may_be_none) {
  std::string known;
  for (const auto& entry : kPoolings) {
    if (entry.value == Pooling::kNone && !may_be_none) continue;
    if (name == entry.name) return entry.value;
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  fail(Status::kInvalidArgument, "pooling is \"%s\"; it must be one of: %s",
       printable(name).c_str(), known.c_str());
}

const char* name_of(Similarity similarity) { return find_name(kSimilarities, similarity); }

int64_t HeadConfig::columns(int64_t d_model) const {
  if (pooling == Pooling::kNone) return 0;
  int64_t n = d_model * (1 + std::ssize(beside));
  for (const HeadStep& step : steps) {
    if (step.kind == HeadStepKind::kDense) n = step.columns;
  }
  return n;
}

void visit_fields(HeadStep* step, FieldVisitor* fields) {
  fields->choice("kind", &step->kind, kSteps);
  if (step->kind == HeadStepKind::kDense) {
    fields->integer("columns", &step->columns, 1, file_limits::kDModel);
    fields->choice("activation", &step->activation, kActivations);
  }
  if (step->kind == HeadStepKind::kLayerNorm) fields->number("eps", &step->eps, 0, 1);
}

void visit_fields(PoolingBeside* beside, FieldVisitor* fields) {
  fields->choice("pooling", &beside->pooling, kPoolings);
}

void visit_fields(VectorUse* use, FieldVisitor* fields) {
  fields->choice("similarity", &use->similarity, kSimilarities);
  fields->integer("truncate_dim", &use->truncate_dim, 0, file_limits::kDModel);
  fields->flag("leaves_out_prompt", &use->leaves_out_prompt);
}

void visit_fields(ScoreCap* cap, FieldVisitor* fields) {
  fields->number("limit", &cap->limit, 0, 65536);
}

void visit_fields(HeadConfig* head, FieldVisitor* fields) {
  fields->choice("kind", &head->kind, kHeads);
  if (head->kind == HeadKind::kLogits) fields->optional("cap", &head->cap, head->cap.limit != 0);
  if (!head->is_of_sequences()) return;
  fields->choice("pooling", &head->pooling, kPoolings);
  fields->list("beside", &head->beside, file_limits::kHeadSteps);
  fields->list("steps", &head->steps, file_limits::kHeadSteps);
  if (head->kind == HeadKind::kPool) {
    fields->optional("use", &head->use, !head->use.is_default());
    fields->flag("normalize", &head->normalize);
  }
  if (head->kind == HeadKind::kClassify) fields->object("classifier", &head->classifier);
}

void visit_fields(ProductPrecision* product, FieldVisitor* fields) {
  fields->text("name", &product->name);
  fields->choice("precision", &product->precision, kPrecisionNames.names);
}

void visit_fields(ModelConfig* config, FieldVisitor* fields) {
  fields->text("architecture", &config->architecture);
  fields->choice("inputs", &config->inputs, kInputs);
  fields->integer("d_model", &config->d_model, 1, file_limits::kDModel);
  const bool tokens = config->takes_tokens();
  if (tokens) {
    // Two special tokens.
    fields->integer("max_seq_len", &config->max_seq_len, 2, file_limits::kPositions);
    fields->optional("prompts", &config->prompts, !config->prompts.texts.empty());
  } else {
    fields->integer("kdim", &config->kdim, 1, file_limits::kDModel);
    fields->integer("vdim", &config->vdim, 1, file_limits::kDModel);
    fields->flag("batch_first", &config->batch_first);
  }
  fields->optional("encoder", &config->encoder, config->has_encoder(), tokens);
  fields->optional("decoder", &config->decoder, config->has_decoder(), tokens);
  fields->object("head", &config->head);
  if (config->head.kind == HeadKind::kLogits) fields->object("generation", &config->generation);
  if (tokens && !config->generates()) {
    fields->optional("messages", &config->messages, config->reads_messages());
  }
  if (config->is_language_model() || config->reads_messages()) {
    fields->optional("chat", &config->chat, !config->chat.templates.empty());
  }
  fields->names("higher_precision", &config->higher_precision, file_limits::kProductNames);
  fields->list("precisions", &config->precisions, file_limits::kProductNames);
}

void ModelConfig::validate(const std::string& file) const {
  const std::string where = file + ": config";
  check_fields(*this, where);
  check_stacks(*this, where);
  takes_tokens() ? check_tokens(*this, where) : check_activations(*this, where);
  check_padding(encoder, takes_tokens(), "encoder", where);
  check_padding(decoder, false, "decoder", where);
  check_qk_norms(encoder, takes_tokens(), "encoder", where);
  check_qk_norms(decoder, takes_tokens(), "decoder", where);
  check_key_alibi(encoder, false, "encoder", where);
  check_key_alibi(decoder, generates(), "decoder", where);
  check_latent(encoder, false, "encoder", where);
  check_latent(decoder, generates(), "decoder", where);
  check_rooms(encoder, false, "encoder", where);
  check_rooms(decoder, generates(), "decoder", where);
  check_head(*this, where);
  if (generates()) check_steps(*this, where);
  check_chat(chat, where + " field \"chat\":");
}

Precision ModelConfig::precision_of(const std::string& product, Precision precision) const {
  for (const ProductPrecision& own : precisions) {
    if (own.name == product) precision = std::min(precision, own.precision);
  }
  const bool is_higher = std::find(higher_precision.begin(), higher_precision.end(), product) !=
                         higher_precision.end();
  return is_higher ? kind_of(precision).higher : precision;
}

std::string part_of_product(const std::string& product, size_t i) {
  return product + ".part." + std::to_string(i);
}

Json ModelConfig::to_json() const { return write_fields(*this); }

ModelConfig ModelConfig::from_json(const Json& json, const std::string& file) {
  ModelConfig result;
  read_fields(json, file + ": config", &result);
  result.validate(file);
  return result;
}

}  // namespace headlane
