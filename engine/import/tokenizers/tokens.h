// The vocabulary of a tokenizer that is being imported.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/file/json.h"

namespace headlane {

inline constexpr const char* kSign = "\xE2\x96\x81";  // SentencePiece's, for a blank

// Throws Error(kUnsupported): WHERE field "KEY": Headlane does not support FOUND.
[[noreturn]] void unsupported(const std::string& where, const char* key, const std::string& found);

// The tokens by id, and the spec's "added_tokens". Everything throws Error, whose sentence begins
// with `where`.
class Tokens {
 public:
  explicit Tokens(std::string where) : where_(std::move(where)) {}

  int64_t size() const { return static_cast<int64_t>(spellings_.size()); }
  // Tokens that differ: fewer than size() where ids are missing, or a token is there twice.
  int64_t n_different() const { return static_cast<int64_t>(ids_.size()); }
  bool has(const std::string& token) const { return ids_.contains(token); }
  int64_t id(const std::string& token) const;        // which must be there
  int64_t first_id(const std::string& token) const;  // of equal ones; 0 if it is not there
  const std::string& token(int64_t id) const { return spellings_[static_cast<size_t>(id)]; }

  // Among equal tokens the last one counts, as where a vocab.txt is read into a map.
  void append(std::string token);

  // All tokens of an object of ids, which must be 0 to n - 1, each once; with gaps they may be up
  // to 2 n, and those that are not there become tokens without a spelling.
  void append_all(const Json& vocab, const std::string& vocab_where, bool gaps);

  // `flags` has the fields of an element of tokenizer.json's "added_tokens". A token that is not
  // there is appended if its id is the next.
  void add(const std::string& token, int64_t id, const Json& flags);

  bool is_added(int64_t id) const { return added_.contains(id); }
  // The entry of an added token, which must be there: its id and its flags.
  const Json& added_entry(int64_t id) const { return added_.at(id); }

  Json added() const;        // by their ids
  std::string text() const;  // of the tensor "tokenizer.vocab"

 private:
  std::string where_;
  std::vector<std::string> spellings_;
  std::unordered_map<std::string, int64_t> ids_;
  std::map<int64_t, Json> added_;
};

}  // namespace headlane
