// Text to token ids. One interface for all tokenizers; make_tokenizer picks by the header's "type".
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace headlane {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Appends the ids of `text`, special tokens ([CLS], [SEP]) included, at most `max_len` in all:
  // what is over is cut from the end of the text, never from the special tokens. `text` may be any
  // bytes: invalid UTF-8 reads as U+FFFD. max_len must be at least n_special(). Safe to call from
  // several threads.
  virtual void encode(std::string_view text, int64_t max_len, std::vector<int32_t>* ids) const = 0;

  virtual int64_t n_special() const = 0;                 // tokens that encode adds to any text
  virtual int64_t vocab_size() const = 0;                // ids are in [0, vocab_size)
  virtual std::string_view token(int32_t id) const = 0;  // its spelling in the vocabulary
};

// Makes the tokenizer that a .headlane file describes: `spec` is the header's "tokenizer" object,
// `vocab` the bytes of the u8 tensor "tokenizer.vocab" (tokens by id, each ended by '\n').
// Throws Error(kBadFile) naming the field at fault; `where` is the file for the message.
//
// All fields of `spec` must be there:
//   "type": "wordpiece"
//   "n_pieces": 30522              tokens that words are made of: the first of the vocabulary
//   "clean_text": true             drop control characters, make all white space ' '
//   "handle_chinese_chars": true   set spaces around each Chinese character
//   "strip_accents": null          decompose and drop accents; null: as "lowercase"
//   "lowercase": true
//   "unk_token": "[UNK]"           for words that cannot be made of pieces, or are too long
//   "prefix": "##"                 of pieces that do not begin a word
//   "max_chars_per_word": 100      in [1, 4096]
//   "ids_before": [101], "ids_after": [102]    special tokens around the text, at most 64 each
//   "added_tokens": [{"id": 103,   found in the text as a whole; spelled as in the vocabulary
//                     "normalized": false,     in normalized text, spelling normalized too; else
//                     raw "single_word": false,    not beside a word character "lstrip": false,
//                     "rstrip": false}]   with the white space before, behind it
std::unique_ptr<Tokenizer> make_tokenizer(const nlohmann::json& spec,
                                          std::span<const std::byte> vocab,
                                          const std::string& where);

}  // namespace headlane
