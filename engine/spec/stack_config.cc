#include "engine/spec/stack_config.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/file/limits.h"
#include "engine/spec/enum_names.h"
#include "engine/spec/fields.h"

namespace headlane {
namespace {

using ll = long long;

constexpr EnumName<NormPlacement> kNormPlacements[] = {
    {NormPlacement::kNone, "none"},   {NormPlacement::kPost, "post"},
    {NormPlacement::kPre, "pre"},     {NormPlacement::kBoth, "both"},
    {NormPlacement::kAfter, "after"}, {NormPlacement::kParallel, "parallel"}};
// "none" is said by leaving the object out.
constexpr EnumName<QkNorm> kQkNorms[] = {{QkNorm::kHeads, "heads"}, {QkNorm::kRows, "rows"}};
constexpr EnumName<NormKind> kNormKinds[] = {{NormKind::kLayer, "layer"}, {NormKind::kRms, "rms"}};
constexpr EnumName<Positions> kPositionNames[] = {
    {Positions::kNone, "none"},
    {Positions::kLearned, "learned"},
    {Positions::kSinusoidal, "sinusoidal"},
    {Positions::kSinusoidalHalves, "sinusoidal_halves"},
    {Positions::kSinusoidalInclusive, "sinusoidal_inclusive"},
    {Positions::kLearnedButPadding, "learned_but_padding"}};

void check_attention(const AttentionSpec& spec, const char* field, int64_t max_positions,
                     const std::string& where) {
  try {
    spec.check();
  } catch (const Error& error) {
    fail(Status::kBadFile, "%s field \"%s\": %s", where.c_str(), field, error.what());
  }
  if (max_positions <= spec.max_len()) return;
  fail(Status::kBadFile,
       "%s field \"max_positions\" is %lld, but the position tables of \"%s\" end at %lld",
       where.c_str(), ll{max_positions}, field, ll{spec.max_len()});
}

// What a step makes of latents: keys of which some columns turn and others do not, as many for each
// head, and scores that are dot products alone.
void check_latents(const StackConfig& stack, const std::string& where) {
  const AttentionSpec& spec = stack.attention;
  const bool parts = spec.rotary.dims != 0 && spec.rotary.dims < spec.head_dim;
  const bool plain = spec.n_kv_heads == spec.n_heads && spec.score == Score::kScaledDot &&
                     spec.relative.n_buckets == 0 && spec.key_alibi.max_len == 0;
  const bool alone = stack.rotaries.empty() && stack.qk_norms.of == QkNorm::kNone &&
                     stack.turns_alike(0, file_limits::kPositions) && !stack.has_cross();
  // Queries are as wide as they could be without latents.
  constexpr int64_t kMostColumns = file_limits::kHeads * file_limits::kHeadDim;
  if (spec.n_heads * (spec.rotary.dims + stack.latent.width) > kMostColumns) {
    fail(Status::kBadFile,
         "%s field \"latent\" has a \"width\" of %lld, so that %lld heads have more than %lld "
         "columns",
         where.c_str(), ll{stack.latent.width}, ll{spec.n_heads}, ll{kMostColumns});
  }
  if (parts && plain && alone) return;
  fail(Status::kBadFile,
       "%s field \"latent\" is there; with it, a part of each head turns, alike in all layers, "
       "there are as many heads of keys as of queries, and scores are dot products without "
       "biases, norms, and choices by the room of a sequence",
       where.c_str());
}

}  // namespace

const char* name_of(Activation activation) { return find_name(kActivations, activation); }

const char* name_of(NormPlacement placement) { return find_name(kNormPlacements, placement); }

void visit_fields(LayerWindow* window, FieldVisitor* fields) {
  fields->limit("left", &window->left, kUnlimited);
  fields->limit("right", &window->right, kUnlimited);
}

void visit_fields(QkNorms* norms, FieldVisitor* fields) {
  fields->choice("of", &norms->of, kQkNorms);
}

void visit_fields(FirstLayer* layer, FieldVisitor* fields) {
  fields->flag("attention_norm", &layer->attention_norm);
}

void visit_fields(LatentConfig* latent, FieldVisitor* fields) {
  fields->integer("width", &latent->width, 1, file_limits::kDModel);
  fields->integer("q_width", &latent->q_width, 0, file_limits::kDModel);
  fields->number("norm_eps", &latent->norm_eps, 0, 1);
}

void visit_fields(EmbeddingProjection* projection, FieldVisitor* fields) {
  fields->integer("width", &projection->width, 1, file_limits::kDModel);
}

void visit_fields(StackConfig* stack, FieldVisitor* fields, bool tokens) {
  fields->integer("n_layers", &stack->n_layers, 1, file_limits::kLayers);
  if (tokens) {
    fields->integer("vocab_size", &stack->vocab_size, 1, file_limits::kVocabSize);
    fields->integer("n_types", &stack->n_types, 0, file_limits::kTypes);
    fields->number("embedding_scale", &stack->embedding_scale, -65536, 65536);
    fields->optional("embedding_projection", &stack->projection, stack->projection.width != 0);
  }
  fields->flag("embedding_norm", &stack->embedding_norm);
  fields->integer("max_positions", &stack->max_positions, 1, file_limits::kPositions);
  fields->choice("positions", &stack->positions, kPositionNames);
  fields->integer("position_offset", &stack->position_offset, 0, file_limits::kPositions);
  if (stack->skips_padding()) {
    fields->integer("padding_id", &stack->padding_id, 0, file_limits::kVocabSize - 1);
  }
  fields->object("attention", &stack->attention);
  fields->list("windows", &stack->windows, file_limits::kLayers);
  fields->list("rotaries", &stack->rotaries, file_limits::kLayers);
  fields->optional("qk_norms", &stack->qk_norms, stack->qk_norms.of != QkNorm::kNone);
  fields->optional("latent", &stack->latent, stack->latent.width != 0);
  fields->optional("cross", &stack->cross, stack->has_cross());
  fields->integer("d_ff", &stack->d_ff, 0, file_limits::kDFf);
  fields->choice("activation", &stack->activation, kActivations);
  fields->flag("gated", &stack->gated);
  fields->optional("experts", &stack->experts, stack->experts.n != 0);
  fields->choice("norm_kind", &stack->norm_kind, kNormKinds);
  fields->choice("norm", &stack->norm, kNormPlacements);
  fields->optional("first_layer", &stack->first_layer, !stack->first_layer.attention_norm);
  fields->number("norm_eps", &stack->norm_eps, 0, 1);
  fields->flag("final_norm", &stack->final_norm);
  fields->flag("residual", &stack->residual);
  fields->flag("biases", &stack->biases);
}

AttentionSpec StackConfig::attention_of(int64_t layer) const {
  AttentionSpec spec = attention;
  const auto at = static_cast<size_t>(layer);
  if (!windows.empty()) {
    const LayerWindow& window = windows[at % windows.size()];
    spec.window_left = window.left;
    spec.window_right = window.right;
  }
  if (!rotaries.empty()) spec.rotary = rotaries[at % rotaries.size()];
  return spec;
}

AttentionSpec StackConfig::cached_attention_of(int64_t layer) const {
  AttentionSpec spec = attention_of(layer);
  if (latent.width == 0) return spec;
  spec.n_kv_heads = 1;
  spec.head_dim = spec.rotary.dims + latent.width;
  spec.v_dim = latent.width;
  return spec;
}

bool StackConfig::turns_alike(int64_t room, int64_t other_room) const {
  const auto alike = [&](const RotarySpec& spec) {
    return spec.choice(room) == spec.choice(other_room);
  };
  return alike(attention.rotary) && std::ranges::all_of(rotaries, alike);
}

void StackConfig::check(int64_t d_model, const std::string& where) const {
  if (norm == NormPlacement::kParallel && (has_cross() || d_ff == 0 || !residual)) {
    fail(Status::kBadFile,
         "%s field \"norm\" is \"parallel\", which is for layers of attention to themselves and a "
         "feed-forward, with residuals",
         where.c_str());
  }
  if (!first_layer.attention_norm && norm != NormPlacement::kPre) {
    fail(Status::kBadFile,
         "%s field \"first_layer\" has no norm before attention, which only layers with \"norm\" "
         "\"pre\" may lack",
         where.c_str());
  }
  if (experts.n != 0) {
    if (!gated || d_ff == 0) {
      fail(Status::kBadFile,
           "%s field \"experts\" stands for feed-forwards that are not there or not gated",
           where.c_str());
    }
    experts.check(where + " field \"experts\":");
    if (experts.clamp.limit != 0 && activation != Activation::kSilu) {
      fail(Status::kBadFile,
           "%s field \"experts\" has a clamp, which goes with the activation \"silu\" alone",
           where.c_str());
    }
  }
  check_attention(attention, "attention", max_positions, where);
  if (latent.width != 0) check_latents(*this, where);
  for (size_t i = 0; i < rotaries.size(); ++i) {
    AttentionSpec spec = attention;
    spec.rotary = rotaries[i];
    check_attention(spec, "rotaries", max_positions, where);
  }
  if (has_cross()) check_attention(cross, "cross", max_positions, where);
  // The sinusoids are computed: their table must not be larger than what a file could reasonably
  // be.
  constexpr int64_t kMostTableFloats = int64_t{1} << 30;
  if (!has_sinusoids() || max_positions + position_offset <= kMostTableFloats / d_model) return;
  fail(Status::kBadFile,
       "%s field \"max_positions\" is %lld: with \"d_model\" %lld the table of sinusoids would "
       "have more than %lld numbers",
       where.c_str(), ll{max_positions}, ll{d_model}, ll{kMostTableFloats});
}

}  // namespace headlane
