#include "engine/text/tokenizer.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "engine/text/wordpiece.h"

namespace headlane {
namespace {

using nlohmann::json;

constexpr int64_t kMaxId = std::numeric_limits<int32_t>::max() - 1;
constexpr int64_t kMaxCharsPerWord = 4096;  // bounds the work, which grows with its square
constexpr size_t kMaxTemplateIds = 64;

// Reads the fields of one JSON object, of which each must be there.
class Fields {
 public:
  Fields(const json& object, std::string name, const std::string& where)
      : object_(object), name_(std::move(name)), where_(where) {
    if (!object.is_object()) {
      fail(Status::kBadFile, "%s: %s is not an object", where.c_str(), name_.c_str());
    }
  }

  const json& get(const char* field) const {
    const auto it = object_.find(field);
    if (it == object_.end()) bad(field, "is missing");
    return *it;
  }
  bool boolean(const char* field) const {
    if (!get(field).is_boolean()) bad(field, "is not true or false");
    return get(field).get<bool>();
  }
  std::string string(const char* field) const {
    if (!get(field).is_string()) bad(field, "is not a string");
    return get(field).get<std::string>();
  }
  const json& array(const char* field, size_t max_size) const {
    if (!get(field).is_array()) bad(field, "is not an array");
    if (get(field).size() > max_size) bad(field, "has too many elements");
    return get(field);
  }
  int64_t integer(const char* field, int64_t min, int64_t max) const {
    return integer(get(field), field, min, max);
  }
  std::vector<int32_t> ids(const char* field) const {
    std::vector<int32_t> ids;
    for (const json& id : array(field, kMaxTemplateIds)) {
      ids.push_back(static_cast<int32_t>(integer(id, field, 0, kMaxId)));
    }
    return ids;
  }
  [[noreturn]] void bad(const char* field, const char* what) const {
    fail(Status::kBadFile, "%s: %s.%s %s", where_.c_str(), name_.c_str(), field, what);
  }

 private:
  int64_t integer(const json& value, const char* field, int64_t min, int64_t max) const {
    if (!value.is_number_integer()) bad(field, "is not an integer");
    // Unsigned values beyond int64 would come out negative.
    const bool huge =
        value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(max);
    const int64_t integer = huge ? max : value.get<int64_t>();
    if (huge || integer < min || integer > max) bad(field, "is out of range");
    return integer;
  }

  const json& object_;
  std::string name_;
  const std::string& where_;
};

WordPieceSpec read_wordpiece(const Fields& fields, const std::string& where) {
  WordPieceSpec spec;
  spec.n_pieces = fields.integer("n_pieces", 1, kMaxId);
  spec.normalizer.clean_text = fields.boolean("clean_text");
  spec.normalizer.handle_chinese_chars = fields.boolean("handle_chinese_chars");
  spec.normalizer.lowercase = fields.boolean("lowercase");
  spec.normalizer.strip_accents = fields.get("strip_accents").is_null()
                                      ? spec.normalizer.lowercase
                                      : fields.boolean("strip_accents");
  spec.unk_token = fields.string("unk_token");
  spec.prefix = fields.string("prefix");
  spec.max_chars_per_word = fields.integer("max_chars_per_word", 1, kMaxCharsPerWord);
  spec.ids_before = fields.ids("ids_before");
  spec.ids_after = fields.ids("ids_after");
  for (const json& element : fields.array("added_tokens", static_cast<size_t>(kMaxId))) {
    const Fields added(
        element, "tokenizer.added_tokens[" + std::to_string(spec.added_tokens.size()) + "]", where);
    AddedToken token;
    token.id = static_cast<int32_t>(added.integer("id", 0, kMaxId));
    token.single_word = added.boolean("single_word");
    token.lstrip = added.boolean("lstrip");
    token.rstrip = added.boolean("rstrip");
    spec.added_tokens.push_back({added.boolean("normalized"), std::move(token)});
  }
  return spec;
}

}  // namespace

std::unique_ptr<Tokenizer> make_tokenizer(const json& spec, std::span<const std::byte> vocab,
                                          const std::string& where) {
  const Fields fields(spec, "tokenizer", where);
  if (fields.string("type") != "wordpiece") fields.bad("type", "is not \"wordpiece\"");
  return std::make_unique<WordPieceTokenizer>(read_wordpiece(fields, where), vocab, where);
}

}  // namespace headlane
