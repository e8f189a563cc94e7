#include "engine/import/gguf/gguf_vocabulary.h"

#include <utility>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"

namespace headlane {

using ll = long long;

GgufVocabulary::GgufVocabulary(const Json& fields, const std::string& path)
    : fields_(fields), path_(path) {
  tokens_ = &json_field(fields, "tokenizer.ggml.tokens", path);
  if (!tokens_->is_array()) {
    fail(Status::kBadFile, "%s field \"tokenizer.ggml.tokens\" is no array", path.c_str());
  }
  for (int64_t i = 0; i < std::ssize(*tokens_); ++i) {
    if (ids_.emplace(token(i), i).second) continue;
    fail(Status::kBadFile, "%s field \"tokenizer.ggml.tokens\" has \"%s\" twice", path.c_str(),
         printable(token(i)).c_str());
  }
  types_ = array_of_tokens("tokenizer.ggml.token_type");
}

int64_t GgufVocabulary::find(const std::string& text) const {
  const auto found = ids_.find(text);
  return found == ids_.end() ? -1 : found->second;
}

const Json* GgufVocabulary::array_of_tokens(const char* key) const {
  if (!json_has(fields_, key, path_)) return nullptr;
  const Json& values = fields_[key];
  if (!values.is_array() || std::ssize(values) != size()) {
    fail(Status::kBadFile, "%s field \"%s\" is not an array of %lld values, one of each token",
         path_.c_str(), key, ll{size()});
  }
  for (const Json& value : values) {
    if (value.is_number()) continue;
    fail(Status::kBadFile, "%s field \"%s\" has a value that is no number", path_.c_str(), key);
  }
  return &values;
}

const std::string* GgufVocabulary::special(const char* role) const {
  const std::string key = std::string("tokenizer.ggml.") + role + "_token_id";
  const int64_t id = json_int(fields_, key.c_str(), path_, -1);
  if (id < 0) return nullptr;
  if (id >= size()) {
    fail(Status::kBadFile, "%s field \"%s\" is %lld, and there are %lld tokens", path_.c_str(),
         key.c_str(), ll{id}, ll{size()});
  }
  return &token(id);
}

const std::string* GgufVocabulary::unknown() const {
  const std::string* named = special("unknown");
  for (int64_t i = 0; named == nullptr && i < size(); ++i) {
    if (type(i) == kUnknown) named = &token(i);
  }
  return named;
}

bool GgufVocabulary::flag(const char* key, bool otherwise) const {
  return json_bool(fields_, (std::string("tokenizer.ggml.") + key).c_str(), path_, otherwise);
}

Json GgufVocabulary::ids() const {
  Json vocab = Json::object();
  for (int64_t i = 0; i < size(); ++i) vocab[token(i)] = static_cast<uint64_t>(i);
  return vocab;
}

Json GgufVocabulary::added() const {
  Json tokens = Json::array();
  for (int64_t i = 0; i < size(); ++i) {
    if (type(i) != kControl && type(i) != kUserDefined && type(i) != kUnknown) continue;
    tokens.push_back({{"id", i},
                      {"content", token(i)},
                      {"single_word", false},
                      {"lstrip", false},
                      {"rstrip", false},
                      {"normalized", false},
                      {"special", type(i) != kUserDefined}});
  }
  return tokens;
}

}  // namespace headlane
