#include "engine/text/tokenizer.h"

#include <cinttypes>
#include <limits>
#include <utility>

#include "engine/error.h"
#include "engine/model/json_fields.h"
#include "engine/text/wordpiece.h"

namespace headlane {
namespace {

using nlohmann::json;

constexpr int64_t kMaxId = std::numeric_limits<int32_t>::max() - 1;
constexpr int64_t kMaxCharsPerWord = 4096;  // bounds the work, which grows with its square
constexpr size_t kMaxTemplateIds = 64;

int64_t int_in_range(const json& object, const char* key, const std::string& where, int64_t min,
                     int64_t max) {
  const int64_t value = json_int(object, key, where);
  if (value < min || value > max) {
    fail(Status::kBadFile, "%s field \"%s\" is %" PRId64 ", not in [%" PRId64 ", %" PRId64 "]",
         where.c_str(), key, value, min, max);
  }
  return value;
}

int32_t read_id(const json& object, const std::string& where) {
  return static_cast<int32_t>(int_in_range(object, "id", where, 0, kMaxId));
}

const json& read_array(const json& object, const char* key, const std::string& where,
                       size_t max_size) {
  const json& array = json_field(object, key, where);
  if (!array.is_array() || array.size() > max_size) {
    fail(Status::kBadFile, "%s field \"%s\" is not an array of at most %zu elements", where.c_str(),
         key, max_size);
  }
  return array;
}

std::vector<int32_t> read_ids(const json& object, const char* key, const std::string& where) {
  std::vector<int32_t> ids;
  for (const json& id : read_array(object, key, where, kMaxTemplateIds)) {
    // An object of one field, for the getter to check.
    ids.push_back(read_id(json::object({{"id", id}}), where + " field \"" + key + "\":"));
  }
  return ids;
}

WordPieceSpec read_wordpiece(const json& spec, const std::string& where) {
  WordPieceSpec out;
  out.n_pieces = int_in_range(spec, "n_pieces", where, 1, kMaxId);
  out.normalizer.clean_text = json_bool(spec, "clean_text", where);
  out.normalizer.handle_chinese_chars = json_bool(spec, "handle_chinese_chars", where);
  out.normalizer.lowercase = json_bool(spec, "lowercase", where);
  json_field(spec, "strip_accents", where);  // null is a value, but must be there
  out.normalizer.strip_accents = json_bool(spec, "strip_accents", where, out.normalizer.lowercase);
  out.unk_token = json_string(spec, "unk_token", where);
  out.prefix = json_string(spec, "prefix", where);
  out.max_chars_per_word = int_in_range(spec, "max_chars_per_word", where, 1, kMaxCharsPerWord);
  out.ids_before = read_ids(spec, "ids_before", where);
  out.ids_after = read_ids(spec, "ids_after", where);
  const std::string added_where = where + " field \"added_tokens\":";
  for (const json& added : read_array(spec, "added_tokens", where, static_cast<size_t>(kMaxId))) {
    AddedToken token;
    token.id = read_id(added, added_where);
    token.single_word = json_bool(added, "single_word", added_where);
    token.lstrip = json_bool(added, "lstrip", added_where);
    token.rstrip = json_bool(added, "rstrip", added_where);
    out.added_tokens.push_back({json_bool(added, "normalized", added_where), std::move(token)});
  }
  return out;
}

}  // namespace

std::unique_ptr<Tokenizer> make_tokenizer(const json& spec, std::span<const std::byte> vocab,
                                          const std::string& where) {
  const std::string tokenizer = where + ": tokenizer";
  const std::string type = json_string(spec, "type", tokenizer);
  if (type != "wordpiece") {
    fail(Status::kBadFile, "%s field \"type\" is \"%s\", not \"wordpiece\"", tokenizer.c_str(),
         printable(type).c_str());
  }
  return std::make_unique<WordPieceTokenizer>(read_wordpiece(spec, tokenizer), vocab, tokenizer);
}

}  // namespace headlane
