// The vocabulary of a GGUF file: "tokenizer.ggml.tokens" and the fields beside it.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "engine/file/json.h"

namespace headlane {

// Of a token.
enum TokenType {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

// `fields` and `path`, that of the file for messages, must outlive it. All functions throw
// Error(kBadFile) that names a field which is wrong.
class GgufVocabulary {
 public:
  GgufVocabulary(const Json& fields, const std::string& path);

  int64_t size() const { return std::ssize(*tokens_); }
  const std::string& token(int64_t id) const { return (*tokens_)[id].text(); }
  int64_t type(int64_t id) const {
    return types_ == nullptr ? int64_t{kNormal} : (*types_)[id].get<int64_t>();
  }
  // -1: there is no such token.
  int64_t find(const std::string& text) const;
  // Null: the file does not have the field, which is an array of as many values as tokens.
  const Json* array_of_tokens(const char* key) const;
  // The token with a role, "bos" or "unknown"; null if the file has none.
  const std::string* special(const char* role) const;
  // The token for what no other one stands for: the one that the file names, or the one of that
  // type; null if there is none.
  const std::string* unknown() const;
  bool flag(const char* key, bool otherwise) const;

  Json ids() const;  // the tokens' ids by their spellings
  // Tokens that texts are searched for before they are split, as tokenizer.json has them.
  Json added() const;

 private:
  const Json& fields_;
  const std::string& path_;
  const Json* tokens_;
  const Json* types_;
  std::unordered_map<std::string, int64_t> ids_;
};

}  // namespace headlane
