// The vocabulary and the added tokens of a folder's tokenizer, as transformers gathers them from
// all of its files. Everything throws Error naming the file and the token at fault.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/import/tokenizers/tokenizer_files.h"
#include "engine/import/tokenizers/tokens.h"

namespace headlane {

// Special tokens that a class of tokenizers has where no file names them.
struct ClassTokens {
  using Named = std::pair<std::string_view, const char*>;  // "sep_token", "[SEP]"
  std::span<const Named> named;
  std::span<const char* const> more;  // "additional_special_tokens"
  // A mask token that is named by its spelling alone takes the white space before it.
  bool mask_takes_blanks = false;
};

class FolderTokens {
 public:
  // `path` is the file with the vocabulary. `files` and the defaults must outlive this.
  FolderTokens(const TokenizerFiles& files, const std::string& path, const ClassTokens& defaults)
      : files_(files), path_(path), defaults_(defaults), tokens_(path) {}

  Tokens& tokens() { return tokens_; }
  const Tokens& tokens() const { return tokens_; }

  // Reads "padding" of a tokenizer.json: its token is a special one where no file or default names
  // another.
  void read_padding(const Json& file);

  // Adds, behind the vocabulary, tokenizer.json's added tokens and those that the other files name.
  void add_all(const std::vector<NamedToken>& in_file);
  // The same with `more` in the place of the special tokens that have no names.
  void add_all(const std::vector<NamedToken>& in_file, const std::vector<NamedToken>& more);

  // A special token such as "sep_token", which the class needs, by its spelling.
  std::string special(const char* key) const;
  Json named_id(const char* key) const;  // [its spelling, its id]

  // Beside added_tokens_decoder, transformers 4 takes tokenizer.json's added tokens too, 5 does
  // not: what is not in both is refused.
  void check_listed(const std::vector<NamedToken>& in_file) const;

  // Refuses a special token that only this version of transformers has by default, unless a file
  // has it as one.
  void check_default(const ClassTokens::Named& token, const char* version) const;

  // Ids that decoding leaves out: those of added tokens that some file calls special.
  Json special_ids() const;

 private:
  void add(const NamedToken& token);
  bool is_added(const NamedToken& token) const;
  void add_once(const NamedToken& token);
  void add_special(const NamedToken& token);
  void add_listed();
  void add_specials();
  void add_more_specials(const std::vector<NamedToken>& more);
  std::optional<NamedToken> named(const char* key) const;
  std::vector<NamedToken> more_specials() const;
  void refuse_other_flags(const NamedToken& token) const;
  const char* default_of(std::string_view key) const;

  const TokenizerFiles& files_;
  std::string path_;
  ClassTokens defaults_;
  std::string padding_token_;  // of tokenizer.json; "": none
  Tokens tokens_;
  std::set<std::string> named_alone_;  // the added tokens that only fields of special tokens name
  std::set<int64_t> special_ids_;
  std::set<int64_t> listed_ids_;  // of these, the ones that a file lists with its added tokens
};

}  // namespace headlane
