#include "engine/text/spec_fields.h"

#include <cinttypes>
#include <iterator>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"

namespace headlane {

int64_t read_int(const Json& object, const char* key, const std::string& where, int64_t min,
                 int64_t max) {
  const int64_t value = json_int(object, key, where);
  if (value < min || value > max) {
    fail(Status::kBadFile, "%s field \"%s\" is %" PRId64 ", not in [%" PRId64 ", %" PRId64 "]",
         where.c_str(), key, value, min, max);
  }
  return value;
}

std::string read_step_text(const Json& object, const char* key, const std::string& where) {
  std::string text = json_string(object, key, where);
  if (std::ssize(text) > file_limits::kStepTextBytes) {
    fail(Status::kBadFile, "%s field \"%s\" has %zu bytes; %d is the limit", where.c_str(), key,
         text.size(), static_cast<int>(file_limits::kStepTextBytes));
  }
  return text;
}

void check_growth(size_t text_bytes, size_t bytes) {
  constexpr size_t kAnyText = 4096;
  if (bytes / static_cast<size_t>(file_limits::kTextGrowth) <= text_bytes + kAnyText) return;
  fail(Status::kBadFile, "the tokenizer's steps make %zu bytes of a text of %zu", bytes,
       text_bytes);
}

int32_t read_id(const Json& object, const std::string& where) {
  return static_cast<int32_t>(read_int(object, "id", where, 0, kMaxTokenId));
}

const Json& read_array(const Json& object, const char* key, const std::string& where,
                       int64_t max_size) {
  const Json& array = json_field(object, key, where);
  if (!array.is_array() || std::ssize(array) > max_size) {
    fail(Status::kBadFile, "%s field \"%s\" is not an array of at most %" PRId64 " elements",
         where.c_str(), key, max_size);
  }
  return array;
}

std::vector<int32_t> read_ids(const Json& object, const char* key, const std::string& where,
                              int64_t max_size) {
  std::vector<int32_t> ids;
  for (const Json& id : read_array(object, key, where, max_size)) {
    // An object of one field, for the getter to check.
    ids.push_back(read_id(Json::object({{"id", id}}), where + " field \"" + key + "\":"));
  }
  return ids;
}

AddedToken read_added_token(const Json& added, const std::string& where, bool* normalized) {
  AddedToken token;
  token.id = read_id(added, where);
  token.single_word = json_bool(added, "single_word", where);
  token.lstrip = json_bool(added, "lstrip", where);
  token.rstrip = json_bool(added, "rstrip", where);
  *normalized = json_bool(added, "normalized", where);
  return token;
}

}  // namespace headlane
