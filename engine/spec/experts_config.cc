#include "engine/spec/experts_config.h"

#include "engine/base/error.h"
#include "engine/file/limits.h"
#include "engine/spec/fields.h"

namespace headlane {
namespace {

using ll = long long;

constexpr EnumName<ExpertScore> kExpertScores[] = {{ExpertScore::kSoftmax, "softmax"},
                                                   {ExpertScore::kSigmoid, "sigmoid"}};
constexpr EnumName<GroupScore> kGroupScores[] = {{GroupScore::kBest, "best"},
                                                 {GroupScore::kBestTwo, "best_two"}};

}  // namespace

void visit_fields(ExpertGroups* groups, FieldVisitor* fields) {
  fields->integer("n", &groups->n, 2, file_limits::kExperts);
  fields->integer("chosen", &groups->chosen, 1, groups->n);
  fields->choice("score", &groups->score, kGroupScores);
}

void visit_fields(ExpertClamp* clamp, FieldVisitor* fields) {
  fields->number("limit", &clamp->limit, 0, 65536);
  fields->number("slope", &clamp->slope, 0, 65536);
}

void visit_fields(SharedExpert* shared, FieldVisitor* fields) {
  fields->integer("d_ff", &shared->d_ff, 1, file_limits::kDFf);
  fields->flag("gated", &shared->gated);
}

void visit_fields(LayerExperts* layer, FieldVisitor* fields) {
  fields->flag("experts", &layer->experts);
}

void visit_fields(ExpertsConfig* experts, FieldVisitor* fields) {
  fields->integer("n", &experts->n, 1, file_limits::kExperts);
  fields->integer("chosen", &experts->chosen, 1, experts->n);
  fields->integer("d_ff", &experts->d_ff, 1, file_limits::kDFf);
  fields->choice("score", &experts->score, kExpertScores);
  fields->flag("choice_bias", &experts->choice_bias);
  fields->optional("groups", &experts->groups, experts->groups.n > 1);
  fields->flag("normalized", &experts->normalized);
  fields->number("scale", &experts->scale, 0, 65536);
  fields->optional("clamp", &experts->clamp, experts->clamp.limit != 0);
  fields->optional("shared", &experts->shared, experts->shared.d_ff != 0);
  fields->list("layers", &experts->layers, file_limits::kLayers);
}

void ExpertsConfig::check(const std::string& where) const {
  if (n % groups.n != 0) {
    fail(Status::kBadFile,
         "%s field \"groups\" has %lld of them, which does not divide \"n\" (%lld)", where.c_str(),
         ll{groups.n}, ll{n});
  }
  const int64_t size = n / groups.n;
  if (groups.chosen * size < chosen) {
    fail(Status::kBadFile,
         "%s field \"chosen\" is %lld, but the chosen groups have %lld experts together",
         where.c_str(), ll{chosen}, ll{groups.chosen * size});
  }
  if (groups.n == 1 || groups.score != GroupScore::kBestTwo || size >= 2) return;
  fail(Status::kBadFile, "%s field \"groups\" ranks groups of one expert by their two best",
       where.c_str());
}

}  // namespace headlane
