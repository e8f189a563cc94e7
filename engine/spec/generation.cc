#include "engine/spec/generation.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/limits.h"
#include "engine/spec/enum_names.h"
#include "engine/spec/fields.h"

namespace headlane {
namespace {

using ll = long long;

constexpr EnumName<EarlyStopping> kEarlyStoppings[] = {{EarlyStopping::kHeuristic, "heuristic"},
                                                       {EarlyStopping::kFirst, "first"},
                                                       {EarlyStopping::kNever, "never"}};

void check_ids(const std::vector<int32_t>& ids, const char* field, int64_t vocab_size,
               const std::string& where) {
  for (const int32_t id : ids) {
    if (id >= 0 && id < vocab_size) continue;
    fail(Status::kBadFile, "%s field \"%s\" has the id %d; ids are from 0 to %lld", where.c_str(),
         field, id, ll{vocab_size - 1});
  }
}

void check_sampling(const SamplingDefaults& sampling, const std::string& where) {
  const auto check = [&](const char* field, float value, bool right, const char* range) {
    if (right) return;
    fail(Status::kBadFile, "%s field \"sampling\": \"%s\" is %g; it must be %s", where.c_str(),
         field, double{value}, range);
  };
  const float t = sampling.temperature, top = sampling.top_p, min = sampling.min_p;
  check("temperature", t, t > 0 && std::isfinite(t), "positive and finite");
  check("top_p", top, top > 0 && top <= 1, "above 0 and no more than 1");
  check("min_p", min, min >= 0 && min <= 1, "from 0 to 1");
}

}  // namespace

void check_generation(const GenerationDefaults& generation, int64_t vocab_size,
                      int64_t max_positions, const std::string& where) {
  const std::pair<const char*, int32_t> optional[] = {
      {"start_id", generation.start_id},
      {"pad_id", generation.pad_id},
      {"forced_first_id", generation.forced_first_id},
      {"forced_last_id", generation.forced_last_id}};
  for (const auto& [field, id] : optional) {
    if (id != -1) check_ids({id}, field, vocab_size, where);
  }
  check_ids(generation.end_ids, "end_ids", vocab_size, where);
  check_ids(generation.suppressed_ids, "suppressed_ids", vocab_size, where);
  constexpr int64_t kMostIds = file_limits::kTokenIds;
  if (std::ssize(generation.end_ids) > kMostIds ||
      std::ssize(generation.suppressed_ids) > kMostIds) {
    fail(Status::kBadFile, "%s more than %lld ids in a list", where.c_str(), ll{kMostIds});
  }
  if (generation.max_new_tokens < 1 || generation.max_new_tokens > max_positions) {
    fail(Status::kBadFile, "%s field \"max_new_tokens\" is %lld, outside [1, %lld]", where.c_str(),
         ll{generation.max_new_tokens}, ll{max_positions});
  }
  if (generation.min_new_tokens < 0 || generation.min_new_tokens > generation.max_new_tokens) {
    fail(Status::kBadFile, "%s field \"min_new_tokens\" is %lld, outside [0, %lld]", where.c_str(),
         ll{generation.min_new_tokens}, ll{generation.max_new_tokens});
  }
  const int64_t most_beams = std::min(vocab_size, file_limits::kBeams);
  if (generation.n_beams < 1 || generation.n_beams > most_beams) {
    fail(Status::kBadFile, "%s field \"n_beams\" is %lld, outside [1, %lld]", where.c_str(),
         ll{generation.n_beams}, ll{most_beams});
  }
  std::set<int32_t> barred(generation.end_ids.begin(), generation.end_ids.end());
  barred.insert(generation.suppressed_ids.begin(), generation.suppressed_ids.end());
  const int64_t n_free = vocab_size - std::ssize(barred);
  if (generation.n_beams > n_free) {
    fail(Status::kBadFile,
         "%s field \"n_beams\" is %lld, but of the vocabulary's %lld tokens only %lld are neither "
         "suppressed nor an end",
         where.c_str(), ll{generation.n_beams}, ll{vocab_size}, ll{n_free});
  }
  if (!std::isfinite(generation.length_penalty)) {
    fail(Status::kBadFile, "%s field \"length_penalty\" is %g; it must be a finite number",
         where.c_str(), generation.length_penalty);
  }
  check_sampling(generation.sampling, where);
  // Logits are floats, and so is what they are divided by.
  const auto penalty = static_cast<float>(generation.repetition_penalty);
  if (!(penalty > 0) || !std::isfinite(penalty)) {
    fail(Status::kBadFile,
         "%s field \"repetition_penalty\" is %g; it must be positive and finite, as a float",
         where.c_str(), generation.repetition_penalty);
  }
}

void visit_fields(SamplingDefaults* sampling, FieldVisitor* fields) {
  sampling->samples = true;  // visited where it is there
  fields->number("temperature", &sampling->temperature);
  fields->integer("top_k", &sampling->top_k, 0, INT64_MAX);
  fields->number("top_p", &sampling->top_p);
  fields->number("min_p", &sampling->min_p);
}

void visit_fields(GenerationDefaults* generation, FieldVisitor* fields) {
  fields->id("start_id", &generation->start_id);
  fields->id("pad_id", &generation->pad_id);
  fields->ids("end_ids", &generation->end_ids);
  fields->id("forced_first_id", &generation->forced_first_id);
  fields->id("forced_last_id", &generation->forced_last_id);
  fields->ids("suppressed_ids", &generation->suppressed_ids);
  fields->integer("max_new_tokens", &generation->max_new_tokens);
  fields->integer("min_new_tokens", &generation->min_new_tokens);
  fields->integer("n_beams", &generation->n_beams);
  fields->number("length_penalty", &generation->length_penalty);
  fields->choice("early_stopping", &generation->early_stopping, kEarlyStoppings);
  fields->number("repetition_penalty", &generation->repetition_penalty);
  fields->flag("renormalize", &generation->renormalize);
  fields->optional("sampling", &generation->sampling, generation->sampling.samples);
}

}  // namespace headlane
