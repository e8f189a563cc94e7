#include "engine/spec/generation.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "engine/file/enum_names.h"
#include "engine/file/json.h"
#include "engine/file/limits.h"

namespace headlane {
namespace {

using json = Json;
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

// Larger than an id can be is none of the vocabulary's either, nor is what is no number:
// check_generation says so.
int32_t read_id(const json& value) {
  if (!value.is_number_integer()) return INT32_MAX;
  const bool too_large = value.is_number_unsigned() && value.get<uint64_t>() > INT32_MAX;
  const int64_t id = too_large ? INT32_MAX : value.get<int64_t>();
  return id >= -1 && id < INT32_MAX ? static_cast<int32_t>(id) : INT32_MAX;
}

std::vector<int32_t> read_ids(const json& object, const char* key, const std::string& where) {
  const json& array = json_field(object, key, where);
  if (!array.is_array()) {
    fail(Status::kBadFile, "%s field \"%s\" is not an array", where.c_str(), key);
  }
  std::vector<int32_t> ids;
  for (const json& id : array) ids.push_back(read_id(id));
  return ids;
}

}  // namespace

void check_generation(const GenerationDefaults& generation, int64_t vocab_size,
                      int64_t max_positions, const std::string& where) {
  check_ids({generation.start_id}, "start_id", vocab_size, where);
  const std::pair<const char*, int32_t> optional[] = {
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
  // Logits are floats, and so is what they are divided by.
  const auto penalty = static_cast<float>(generation.repetition_penalty);
  if (!(penalty > 0) || !std::isfinite(penalty)) {
    fail(Status::kBadFile,
         "%s field \"repetition_penalty\" is %g; it must be positive and finite, as a float",
         where.c_str(), generation.repetition_penalty);
  }
}

json to_json_of(const GenerationDefaults& generation) {
  return {{"start_id", generation.start_id},
          {"pad_id", generation.pad_id},
          {"end_ids", generation.end_ids},
          {"forced_first_id", generation.forced_first_id},
          {"forced_last_id", generation.forced_last_id},
          {"suppressed_ids", generation.suppressed_ids},
          {"max_new_tokens", generation.max_new_tokens},
          {"min_new_tokens", generation.min_new_tokens},
          {"n_beams", generation.n_beams},
          {"length_penalty", generation.length_penalty},
          {"early_stopping", find_name(kEarlyStoppings, generation.early_stopping)},
          {"repetition_penalty", generation.repetition_penalty},
          {"renormalize", generation.renormalize}};
}

GenerationDefaults generation_from_json(const json& object, const std::string& where) {
  GenerationDefaults result;
  result.start_id = read_id(json_field(object, "start_id", where));
  result.pad_id = read_id(json_field(object, "pad_id", where));
  result.end_ids = read_ids(object, "end_ids", where);
  result.forced_first_id = read_id(json_field(object, "forced_first_id", where));
  result.forced_last_id = read_id(json_field(object, "forced_last_id", where));
  result.suppressed_ids = read_ids(object, "suppressed_ids", where);
  result.max_new_tokens = json_int(object, "max_new_tokens", where);
  result.min_new_tokens = json_int(object, "min_new_tokens", where);
  result.n_beams = json_int(object, "n_beams", where);
  result.length_penalty = json_number(object, "length_penalty", where);
  result.early_stopping = parse_name(kEarlyStoppings, object, "early_stopping", where);
  result.repetition_penalty = json_number(object, "repetition_penalty", where);
  result.renormalize = json_bool(object, "renormalize", where);
  return result;
}

}  // namespace headlane
