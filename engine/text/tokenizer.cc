#include "engine/text/tokenizer.h"

#include <cinttypes>
#include <limits>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"
#include "engine/text/sentencepiece.h"
#include "engine/text/wordpiece.h"

namespace headlane {
namespace {

using json = Json;

constexpr int64_t kMaxId = std::numeric_limits<int32_t>::max() - 1;

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
                       int64_t max_size) {
  const json& array = json_field(object, key, where);
  if (!array.is_array() || std::ssize(array) > max_size) {
    fail(Status::kBadFile, "%s field \"%s\" is not an array of at most %" PRId64 " elements",
         where.c_str(), key, max_size);
  }
  return array;
}

std::vector<int32_t> read_ids(const json& object, const char* key, const std::string& where,
                              int64_t max_size) {
  std::vector<int32_t> ids;
  for (const json& id : read_array(object, key, where, max_size)) {
    // An object of one field, for the getter to check.
    ids.push_back(read_id(json::object({{"id", id}}), where + " field \"" + key + "\":"));
  }
  return ids;
}

// An element of "added_tokens"; `normalized` becomes whether it is found in normalized text.
AddedToken read_added_token(const json& added, const std::string& where, bool* normalized) {
  AddedToken token;
  token.id = read_id(added, where);
  token.single_word = json_bool(added, "single_word", where);
  token.lstrip = json_bool(added, "lstrip", where);
  token.rstrip = json_bool(added, "rstrip", where);
  *normalized = json_bool(added, "normalized", where);
  return token;
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
  out.max_chars_per_word =
      int_in_range(spec, "max_chars_per_word", where, 1, file_limits::kCharsPerWord);
  out.ids_before = read_ids(spec, "ids_before", where, file_limits::kTemplateIds);
  out.ids_after = read_ids(spec, "ids_after", where, file_limits::kTemplateIds);
  const std::string added_where = where + " field \"added_tokens\":";
  for (const json& added : read_array(spec, "added_tokens", where, kMaxId)) {
    WordPieceSpec::Added read;
    read.token = read_added_token(added, added_where, &read.normalized);
    out.added_tokens.push_back(std::move(read));
  }
  return out;
}

LanguageUse read_language_use(const json& spec, const std::string& where) {
  const std::string use = json_string(spec, "language_use", where);
  if (use == "none") return LanguageUse::kNone;
  if (use == "source") return LanguageUse::kSource;
  if (use == "target_in_text") return LanguageUse::kTargetInText;
  fail(Status::kBadFile,
       "%s field \"language_use\" is \"%s\", not \"none\", \"source\" or \"target_in_text\"",
       where.c_str(), printable(use).c_str());
}

SentencePieceSpec read_sentencepiece(const json& spec, const std::string& where) {
  SentencePieceSpec out;
  out.unk_token = json_string(spec, "unk_token", where);
  out.ids_before = read_ids(spec, "ids_before", where, file_limits::kTemplateIds);
  out.ids_after = read_ids(spec, "ids_after", where, file_limits::kTemplateIds);
  const std::string added_where = where + " field \"added_tokens\":";
  for (const json& added : read_array(spec, "added_tokens", where, kMaxId)) {
    bool normalized = false;
    out.added_tokens.push_back(read_added_token(added, added_where, &normalized));
    if (normalized) {
      fail(Status::kBadFile, "%s \"normalized\" is true, which SentencePiece has no tokens for",
           added_where.c_str());
    }
  }
  out.special_ids = read_ids(spec, "special_ids", where, kMaxId);
  out.language_use = read_language_use(spec, where);
  const std::string languages_where = where + " field \"languages\":";
  for (const json& language : read_array(spec, "languages", where, file_limits::kLanguages)) {
    out.languages.push_back(
        {json_string(language, "name", languages_where), read_id(language, languages_where)});
  }
  json_field(spec, "source_language", where);  // null is a value, but must be there
  if (json_has(spec, "source_language", where)) {
    out.source_language = json_string(spec, "source_language", where);
  }
  out.language_after = json_bool(spec, "language_after", where);
  out.text_languages = json_bool(spec, "text_languages", where);
  return out;
}

}  // namespace

void Tokenizer::encode_with(std::string_view text, int64_t max_len, const TextLanguages& languages,
                            std::vector<int32_t>* ids) const {
  encode_in_language(text, max_len, id_of_text(languages), ids);
}

void Tokenizer::encode_target(std::string_view /*text*/, int64_t /*max_len*/,
                              std::vector<int32_t>* /*ids*/) const {
  fail(Status::kUnsupported, "the model's tokenizer has no targets");
}

int64_t Tokenizer::n_special_with(const TextLanguages& languages) const {
  const int32_t id = id_of_text(languages);
  return n_special() + (language_use() == LanguageUse::kTargetInText && id >= 0 ? 1 : 0);
}

int64_t Tokenizer::encode_pair(std::string_view /*first*/, std::string_view /*second*/,
                               int64_t /*max_len*/, std::vector<int32_t>* /*ids*/) const {
  return n_special_of_pair();
}

int64_t Tokenizer::n_special_of_pair() const {
  fail(Status::kUnsupported, "the model's tokenizer does not take pairs of texts; BERT's do");
}

// The token that the text gets for them; -1: none, or the default's.
int32_t Tokenizer::id_of_text(const TextLanguages& languages) const {
  const auto id_of = [&](std::string_view name) {
    const int32_t id = name.empty() ? -1 : language_id(name);
    if (id < 0 && !name.empty()) {
      fail(Status::kInvalidArgument, "the language \"%s\" is none of the model's",
           printable(name).c_str());
    }
    return id;
  };
  const LanguageUse use = language_use();
  const bool useless = use == LanguageUse::kNone
                           ? !languages.source.empty() || !languages.target.empty()
                           : use == LanguageUse::kTargetInText && !languages.source.empty();
  if (useless) {
    fail(Status::kUnsupported, "the model has no tokens for %s languages",
         use == LanguageUse::kNone ? "any" : "source");
  }
  const int32_t source = id_of(languages.source), target = id_of(languages.target);
  return use == LanguageUse::kSource ? source : target;
}

std::unique_ptr<Tokenizer> make_tokenizer(const json& spec, const TokenizerTensors& tensors,
                                          const std::string& where) {
  const std::string tokenizer = where + ": tokenizer";
  const std::string type = json_string(spec, "type", tokenizer);
  if (type == "wordpiece") {
    return std::make_unique<WordPieceTokenizer>(read_wordpiece(spec, tokenizer), tensors.vocab,
                                                tokenizer);
  }
  if (type == "sentencepiece") {
    return std::make_unique<SentencePieceTokenizer>(read_sentencepiece(spec, tokenizer), tensors,
                                                    tokenizer);
  }
  fail(Status::kBadFile, "%s field \"type\" is \"%s\", not \"wordpiece\" or \"sentencepiece\"",
       tokenizer.c_str(), printable(type).c_str());
}

}  // namespace headlane
