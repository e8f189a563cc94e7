// The files of a Hugging Face folder that say how its tokenizer is, taken together as transformers
// takes them: tokenizer_config.json, special_tokens_map.json, added_tokens.json, tokenizer.json,
// and of config.json "model_type", "tokenizer_class" and "vocab_size".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/file/json.h"

namespace headlane {

// The vocabulary of fairseq's models: XLM-RoBERTa and CamemBERT.
inline constexpr const char* kFairseqModel = "sentencepiece.bpe.model";

// A token that a file names.
struct NamedToken {
  std::string content;
  Json flags;       // "single_word", "lstrip", "rstrip", "normalized"
  int64_t id = -1;  // -1: the file does not say
  bool special = false;
  bool plain = false;  // the file has its spelling alone
};

class TokenizerFiles {
 public:
  // The special tokens with names of their own, in the order in which transformers adds them.
  static constexpr const char* kNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                           "pad_token", "cls_token", "mask_token"};

  // Reads the files, except tokenizer.json. Throws Error naming the file and field at fault, also
  // for a field that transformers obeys and Headlane does not.
  explicit TokenizerFiles(const std::string& dir);

  std::string path(const char* file) const { return dir_ + "/" + file; }
  bool has_file(const char* file) const;
  // Whether there is a file that a tokenizer can be made from, or that describes one.
  bool has_any_file() const;
  const std::string& dir() const { return dir_; }

  const Json& config() const { return config_; }  // tokenizer_config.json, or {}
  const std::string& config_path() const { return config_path_; }
  const std::string& model_type() const { return model_type_; }   // "" without config.json
  int64_t model_vocab_size() const { return model_vocab_size_; }  // -1: config.json does not say

  // The tokenizer's class without its ending "Fast": that of config.json's "model_type" if no file
  // names one, or "" if Headlane knows none.
  const std::string& tokenizer_class() const { return class_; }
  bool names_class() const { return !is_of_family_; }  // a file names the class
  // Throws Error(kUnsupported): the class is not read, and the rest of the sentence.
  [[noreturn]] void refuse_class(const std::string& rest) const;

  // Whether transformers gives the model the types of tokens; if not, all are of type 0.
  enum class Types { kGiven, kNotGiven, kVersionsDiffer };
  Types types() const;

  // A special token such as "eos_token"; nothing if a file says null. Where no file names it, it is
  // `otherwise`; null: nothing.
  std::optional<NamedToken> special(const char* key, const char* otherwise) const;
  // Whether a file says something of such a token, if only that there is none.
  bool says_special(const char* key) const;
  // The special tokens without such a name, in their order.
  std::vector<NamedToken> more_specials() const;
  // Tokens under other names ("image_token"), which transformers 5 adds and transformers 4 does
  // not.
  std::vector<NamedToken> other_names() const;

  // Whether tokenizer_config.json has "added_tokens_decoder", beside which transformers reads
  // neither special_tokens_map.json nor added_tokens.json.
  bool lists_added() const { return lists_added_; }
  // The tokens of that list, or of added_tokens.json, by their ids.
  std::vector<NamedToken> added() const;

 private:
  void read_class(const Json& model_config);
  void refuse_fields() const;
  bool is_named_special(const std::string& content) const;
  std::vector<NamedToken> list(const Json& file, const char* key, const std::string& where) const;

  std::string dir_, config_path_, map_path_;
  Json config_, map_;
  std::string model_type_, class_, class_where_;
  int64_t model_vocab_size_ = -1;
  bool is_of_family_ = false;  // no file names the class
  bool lists_added_ = false;
};

// A token as a file writes it: its spelling, or an object with "content" and flags. A missing
// "normalized" is false for a token that is special, which it is if it does not say and `special`.
NamedToken read_named_token(const Json& value, const std::string& where, bool special);

}  // namespace headlane
