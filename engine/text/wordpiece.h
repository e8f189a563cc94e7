// The tokenizer of BERT and its kin: added tokens cut out of the text, the rest normalized, split
// at white space and around each punctuation character, each word covered by its longest matching
// pieces from left to right; a word that cannot be covered, or is too long, is the unknown token.
//
// One pass over blocks of about 4 KB, in which a word is looked at three times: normalized, split,
// hashed. Bound by the look-ups' misses of the L1 cache: the table has 512 KB for 30,522 tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/added_tokens.h"
#include "engine/text/bert_normalizer.h"
#include "engine/text/tokenizer.h"
#include "engine/text/vocabulary.h"
#include "engine/text/word_pieces.h"

namespace headlane {

struct WordPieceSpec {
  int64_t n_pieces = 0;  // tokens that words are made of: the first of the vocabulary
  BertNormalizer::Options normalizer;
  std::string unk_token;
  std::string prefix;  // that a piece inside a word bears in the vocabulary
  int64_t max_chars_per_word = 0;
  std::vector<int32_t> ids_before, ids_after;  // of the text's
  struct Added {
    bool normalized = false;  // matched in normalized text, else in the raw
    AddedToken token;         // without its content, which the vocabulary has
  };
  std::vector<Added> added_tokens;
};

class WordPieceTokenizer : public Tokenizer {
 public:
  // Throws Error(kBadFile), whose sentence begins with `where`: "a.headlane: tokenizer".
  WordPieceTokenizer(WordPieceSpec spec, std::span<const std::byte> vocab,
                     const std::string& where);

  bool is_special(int32_t id) const override {
    return is_special_[static_cast<size_t>(id)] || vocabulary_.token(id) == spec_.unk_token;
  }
  int64_t vocab_size() const override { return vocabulary_.size(); }
  std::string_view token(int32_t id) const override { return vocabulary_.token(id); }
  int32_t find(std::string_view token) const override { return vocabulary_.find(token); }
  // Pieces without their prefix, and a blank between words, except before the punctuation that ends
  // a sentence and within an English contraction, as the `tokenizers` library does it.
  std::string decode(std::span<const int32_t> ids) const override;

 protected:
  void append_text(std::string_view text, size_t most_ids,
                   std::vector<int32_t>* ids) const override;

 private:
  struct Encoding;  // the state of one call of encode

  void check_ids(const std::string& where) const;
  void mark_special();
  std::vector<AddedToken> added_tokens(bool normalized, const std::string& where) const;
  void encode_text(std::string_view text, Encoding* encoding) const;
  void encode_normalized(std::string_view text, Encoding* encoding) const;
  void encode_words(std::string_view text, Encoding* encoding) const;

  WordPieceSpec spec_;
  Vocabulary vocabulary_;
  BertNormalizer normalizer_;
  AddedTokens raw_tokens_, normalized_tokens_;
  WordPieces pieces_;
  std::vector<bool> is_special_;  // by id: added tokens, and what stands around the text
};

}  // namespace headlane
