#include "engine/import/tokenizers/tokens.h"

#include <algorithm>
#include <cinttypes>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/text/unicode.h"

namespace headlane {

using json = Json;

void unsupported(const std::string& where, const char* key, const std::string& found) {
  fail(Status::kUnsupported, "%s field \"%s\": Headlane does not support %s", where.c_str(), key,
       printable(found).c_str());
}

int64_t Tokens::id(const std::string& token) const {
  const auto it = ids_.find(token);
  if (it == ids_.end()) {
    fail(Status::kBadFile, "%s: the token \"%s\" is not in the vocabulary", where_.c_str(),
         printable(token).c_str());
  }
  return it->second;
}

int64_t Tokens::first_id(const std::string& token) const {
  const auto it = std::find(spellings_.begin(), spellings_.end(), token);
  return it == spellings_.end() ? 0 : it - spellings_.begin();
}

void Tokens::append(std::string token) {
  if (valid_utf8_prefix(token) != token.size()) {
    fail(Status::kBadFile, "%s: token %" PRId64 " is not UTF-8", where_.c_str(), size());
  }
  ids_[token] = size();
  spellings_.push_back(std::move(token));
}

void Tokens::append_all(const json& vocab, const std::string& vocab_where, bool gaps) {
  if (!vocab.is_object() || vocab.empty()) {
    fail(Status::kBadFile, "%s is no object, or empty", vocab_where.c_str());
  }
  std::vector<const std::string*> by_id(vocab.size() * (gaps ? 2 : 1), nullptr);
  for (auto it = vocab.begin(); it != vocab.end(); ++it) {
    const bool in_range = it->is_number_unsigned() && it->get<uint64_t>() < by_id.size();
    if (!in_range || by_id[it->get<size_t>()] != nullptr) {
      fail(Status::kBadFile, "%s: \"%s\" is %s, but ids must be 0 to %zu, each once",
           vocab_where.c_str(), printable(it.key()).c_str(), printable(it->dump()).c_str(),
           by_id.size() - 1);
    }
    by_id[it->get<size_t>()] = &it.key();
  }
  while (by_id.back() == nullptr) by_id.pop_back();
  for (const std::string* token : by_id) {
    if (token != nullptr) {
      append(*token);
    } else {
      spellings_.emplace_back();  // an id that no text gives
    }
  }
}

void Tokens::add(const std::string& token, int64_t id, const json& flags) {
  const std::string added_where = where_ + " added token \"" + printable(token) + "\"";
  if (!has(token) && id == size()) append(token);
  if (this->id(token) != id) {
    fail(Status::kBadFile, "%s has the id %" PRId64 ", in the vocabulary %" PRId64,
         added_where.c_str(), id, this->id(token));
  }
  json entry = json::object({{"id", id}});
  for (const char* key : {"single_word", "lstrip", "rstrip", "normalized"}) {
    entry[key] = json_bool(flags, key, added_where);
  }
  added_[id] = std::move(entry);  // one that is there twice has the flags of the last
}

json Tokens::added() const {
  json added = json::array();
  for (const auto& [id, entry] : added_) added.push_back(entry);
  return added;
}

std::string Tokens::text() const {
  const auto any_has = [&](char c) {
    return std::any_of(spellings_.begin(), spellings_.end(), [&](const std::string& spelling) {
      return spelling.find(c) != std::string::npos;
    });
  };
  // Versions that do not know zero bytes open files without them.
  const char end = any_has('\n') ? '\0' : '\n';
  if (any_has(end)) {
    fail(Status::kUnsupported,
         "%s has a token with a newline and one with a zero byte, of which "
         "Headlane supports one at a time",
         where_.c_str());
  }
  std::string text;
  for (const std::string& spelling : spellings_) text.append(spelling).push_back(end);
  return text;
}

}  // namespace headlane
