#include "engine/import/tokenizers/folder_tokens.h"

#include <algorithm>
#include <cinttypes>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"

namespace headlane {

using json = Json;

void FolderTokens::read_padding(const json& file) {
  if (!json_has(file, "padding", path_)) return;
  padding_token_ = json_string(file["padding"], "pad_token", path_ + " padding", "");
}

void FolderTokens::add_all(const std::vector<NamedToken>& in_file) {
  add_all(in_file, more_specials());
}

void FolderTokens::add_all(const std::vector<NamedToken>& in_file,
                           const std::vector<NamedToken>& more) {
  for (const NamedToken& token : in_file) {
    add(token);
    if (token.special) special_ids_.insert(tokens_.id(token.content));
  }
  add_listed();
  listed_ids_ = special_ids_;
  add_specials();
  add_more_specials(more);
  for (const NamedToken& token : files_.other_names()) {
    if (is_added(token)) continue;
    fail(Status::kUnsupported,
         "%s names the special token \"%s\" in a field that only transformers 5 obeys; list it in "
         "\"additional_special_tokens\" or remove it",
         files_.config_path().c_str(), printable(token.content).c_str());
  }
}

// A token that is in the vocabulary keeps its id there; another one gets the id that follows.
void FolderTokens::add(const NamedToken& token) {
  if (tokens_.has(token.content)) {
    const int64_t id = tokens_.id(token.content);
    tokens_.add(token.content, token.id < 0 ? id : token.id, token.flags);
    return;
  }
  if (tokens_.n_different() != tokens_.size()) {
    fail(Status::kUnsupported,
         "%s: the vocabulary lacks ids or has a token twice, so that the added token \"%s\" would "
         "get the id of another token in transformers",
         path_.c_str(), printable(token.content).c_str());
  }
  if (token.id >= 0 && token.id != tokens_.size()) {
    fail(Status::kBadFile,
         "%s: the added token \"%s\" has the id %" PRId64 ", but the next id is %" PRId64,
         path_.c_str(), printable(token.content).c_str(), token.id, tokens_.size());
  }
  tokens_.add(token.content, tokens_.size(), token.flags);
}

bool FolderTokens::is_added(const NamedToken& token) const {
  return tokens_.has(token.content) && tokens_.is_added(tokens_.id(token.content));
}

void FolderTokens::add_once(const NamedToken& token) {
  if (!is_added(token)) add(token);
}

// One that tokenizer.json or a list of added tokens has keeps the flags that it has there.
void FolderTokens::add_special(const NamedToken& token) {
  const bool is_new = !is_added(token);
  add_once(token);
  special_ids_.insert(tokens_.id(token.content));
  if (is_new) {
    named_alone_.insert(token.content);
  } else if (named_alone_.contains(token.content)) {
    refuse_other_flags(token);
  }
}

// Adds those of added_tokens_decoder or added_tokens.json.
void FolderTokens::add_listed() {
  for (const NamedToken& token : files_.added()) {
    if (is_added(token) && files_.lists_added()) refuse_other_flags(token);
    add_once(token);
    if (token.special) special_ids_.insert(tokens_.id(token.content));
  }
}

void FolderTokens::refuse_other_flags(const NamedToken& token) const {
  const json& entry = tokens_.added_entry(tokens_.id(token.content));
  for (const auto& [key, flag] : token.flags.items()) {
    if (entry[key] == flag) continue;
    fail(Status::kUnsupported,
         "%s: two of the folder's files or fields name the token \"%s\", with another \"%s\": "
         "versions of transformers differ in which they take; make them equal",
         files_.dir().c_str(), printable(token.content).c_str(), key.c_str());
  }
}

void FolderTokens::add_specials() {
  for (const char* key : TokenizerFiles::kNames) {
    const std::optional<NamedToken> token = named(key);
    // One that the table of words has no row for cannot be meant: transformers fails at it.
    const bool has_row =
        files_.model_vocab_size() < 0 || tokens_.size() < files_.model_vocab_size();
    if (token && (has_row || tokens_.has(token->content))) add_special(*token);
  }
}

std::optional<NamedToken> FolderTokens::named(const char* key) const {
  std::optional<NamedToken> token = files_.special(key, default_of(key));
  if (token && token->plain && defaults_.mask_takes_blanks &&
      key == std::string_view("mask_token")) {
    token->flags["lstrip"] = true;
  }
  return token;
}

std::vector<NamedToken> FolderTokens::more_specials() const {
  std::vector<NamedToken> more = files_.more_specials();
  if (!more.empty() || files_.config().contains("additional_special_tokens") ||
      files_.config().contains("extra_special_tokens")) {
    return more;
  }
  for (const char* token : defaults_.more) more.push_back(read_named_token(token, token, true));
  return more;
}

void FolderTokens::add_more_specials(const std::vector<NamedToken>& more) {
  const json& config = files_.config();
  const bool named = config.contains("extra_special_tokens") &&
                     config["extra_special_tokens"].is_object();  // has no order here
  int64_t n_new = 0;
  for (const NamedToken& token : more) {
    n_new += !tokens_.has(token.content);
    if (named && n_new > 1) {
      unsupported(files_.config_path(), "extra_special_tokens",
                  "more than one token by name that is not in the vocabulary");
    }
    add_special(token);
  }
}

void FolderTokens::check_listed(const std::vector<NamedToken>& in_file) const {
  if (!files_.lists_added()) return;
  std::vector<NamedToken> named = files_.added();
  for (const char* key : TokenizerFiles::kNames) {
    const std::optional<NamedToken> token = files_.special(key, default_of(key));
    if (token) named.push_back(*token);
  }
  for (NamedToken& token : more_specials()) named.push_back(std::move(token));
  for (const NamedToken& token : in_file) {
    if (std::any_of(named.begin(), named.end(),
                    [&](const NamedToken& other) { return other.content == token.content; })) {
      continue;
    }
    fail(Status::kUnsupported,
         "%s: the added token \"%s\" is not in \"added_tokens_decoder\" of %s: transformers 4 "
         "takes it and transformers 5 does not; list it in both files or in neither",
         path_.c_str(), printable(token.content).c_str(), files_.config_path().c_str());
  }
}

void FolderTokens::check_default(const ClassTokens::Named& token, const char* version) const {
  const auto& [key, content] = token;
  const std::string name(key);
  if (files_.says_special(name.c_str())) return;
  const bool in_words = tokens_.has(content);
  if (in_words && listed_ids_.contains(tokens_.id(content))) return;
  if (!in_words && files_.model_vocab_size() >= 0 && tokens_.size() >= files_.model_vocab_size()) {
    return;  // transformers fails at it
  }
  fail(Status::kUnsupported,
       "%s has no field \"%s\": by default it is \"%s\" in transformers %s alone; write it there, "
       "or null if there is no such token",
       files_.config_path().c_str(), name.c_str(), content, version);
}

const char* FolderTokens::default_of(std::string_view key) const {
  for (const auto& [name, token] : defaults_.named) {
    if (key == name) return token;
  }
  return key == "pad_token" && !padding_token_.empty() ? padding_token_.c_str() : nullptr;
}

std::string FolderTokens::special(const char* key) const {
  const std::optional<NamedToken> token = files_.special(key, default_of(key));
  if (token) return token->content;
  fail(Status::kUnsupported, "%s: \"%s\" is null, but the tokenizer needs it", files_.dir().c_str(),
       key);
}

Json FolderTokens::named_id(const char* key) const {
  const std::string token = special(key);
  return json::array({token, tokens_.id(token)});
}

Json FolderTokens::special_ids() const {
  json ids = json::array();
  for (const int64_t id : special_ids_) ids.push_back(id);
  return ids;
}

}  // namespace headlane
