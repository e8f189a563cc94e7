#include "engine/file/limits.h"
#include "engine/spec/attention_spec.h"
#include "engine/spec/enum_names.h"
#include "engine/spec/fields.h"

namespace headlane {
namespace {

constexpr EnumName<Score> kScores[] = {{Score::kScaledDot, "scaled_dot"},
                                       {Score::kDot, "dot"},
                                       {Score::kBilinear, "bilinear"},
                                       {Score::kAdditive, "additive"}};
constexpr EnumName<Causal> kCausals[] = {{Causal::kNone, "none"},
                                         {Causal::kUpperLeft, "upper_left"},
                                         {Causal::kLowerRight, "lower_right"}};
constexpr EnumName<RotaryScaling> kScalings[] = {{RotaryScaling::kNone, "none"},
                                                 {RotaryScaling::kLinear, "linear"},
                                                 {RotaryScaling::kNtk, "ntk"},
                                                 {RotaryScaling::kYarn, "yarn"},
                                                 {RotaryScaling::kLlama3, "llama3"},
                                                 {RotaryScaling::kLongRope, "longrope"},
                                                 {RotaryScaling::kDynamicNtk, "dynamic_ntk"}};

}  // namespace

// AttentionSpec::check says what the numbers may be; the C API's options go through it too.

void visit_fields(RotarySpec* rotary, FieldVisitor* fields) {
  fields->integer("dims", &rotary->dims);
  fields->flag("interleaved", &rotary->interleaved);
  fields->number("base", &rotary->base);
  fields->integer("max_positions", &rotary->max_positions);
  fields->choice("scaling", &rotary->scaling, kScalings);
  fields->number("factor", &rotary->factor);
  fields->integer("original_max_positions", &rotary->original_max_positions);
  fields->number("beta_fast", &rotary->beta_fast);
  fields->number("beta_slow", &rotary->beta_slow);
  fields->number("attention_factor", &rotary->attention_factor);
  fields->number("low_freq_factor", &rotary->low_freq_factor);
  fields->number("high_freq_factor", &rotary->high_freq_factor);
  fields->flag("truncate", &rotary->truncate);
  if (rotary->scaling == RotaryScaling::kLongRope) {
    fields->numbers("short_factors", &rotary->short_factors, file_limits::kHeadDim / 2);
    fields->numbers("long_factors", &rotary->long_factors, file_limits::kHeadDim / 2);
  }
}

void visit_fields(RelativeBiasSpec* relative, FieldVisitor* fields) {
  fields->integer("n_buckets", &relative->n_buckets);
  fields->integer("max_distance", &relative->max_distance);
  fields->flag("bidirectional", &relative->bidirectional);
  fields->integer("max_len", &relative->max_len);
}

void visit_fields(KeyAlibiSpec* alibi, FieldVisitor* fields) {
  fields->integer("max_len", &alibi->max_len);
}

void visit_fields(AttentionSpec* spec, FieldVisitor* fields) {
  fields->integer("n_heads", &spec->n_heads);
  fields->integer("n_kv_heads", &spec->n_kv_heads);
  fields->integer("head_dim", &spec->head_dim);
  fields->integer("v_dim", &spec->v_dim);
  fields->choice("score", &spec->score, kScores);
  fields->number("scale", &spec->scale);
  fields->number("softcap", &spec->softcap);
  fields->choice("causal", &spec->causal, kCausals);
  fields->limit("window_left", &spec->window_left, kUnlimited);
  fields->limit("window_right", &spec->window_right, kUnlimited);
  fields->optional("rotary", &spec->rotary, spec->rotary.dims != 0);
  fields->optional("relative_bias", &spec->relative, spec->relative.n_buckets != 0);
  fields->optional("key_alibi", &spec->key_alibi, spec->key_alibi.max_len != 0);
}

}  // namespace headlane
