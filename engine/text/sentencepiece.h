// The tokenizer of translation models: added tokens cut out of the text, the rest given to
// SentencePiece, whose pieces the vocabulary turns into ids.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/text/added_tokens.h"
#include "engine/text/sentencepiece_processor.h"
#include "engine/text/tokenizer.h"
#include "engine/text/vocabulary.h"

namespace headlane {

// The fields of the header's "tokenizer", which tokenizer.h documents.
struct SentencePieceSpec {
  std::string unk_token;
  std::vector<int32_t> ids_before, ids_after;
  std::vector<AddedToken> added_tokens;  // without their contents, which the vocabulary has
  std::vector<int32_t> special_ids;
  LanguageUse language_use = LanguageUse::kNone;
  struct Language {
    std::string name;
    int32_t id = 0;
  };
  std::vector<Language> languages;
  std::optional<std::string> source_language;
  bool language_after = false;
  bool text_languages = false;
};

class SentencePieceTokenizer : public Tokenizer {
 public:
  // Throws Error, whose sentence begins with `where`: "a.headlane: tokenizer".
  SentencePieceTokenizer(SentencePieceSpec spec, const TokenizerTensors& tensors,
                         const std::string& where);

  void encode_target(std::string_view text, int64_t max_len,
                     std::vector<int32_t>* ids) const override;
  bool is_special(int32_t id) const override {
    const auto at = static_cast<size_t>(id);
    return at < is_special_.size() && is_special_[at];
  }
  int64_t vocab_size() const override { return vocabulary_.size(); }
  std::string_view token(int32_t id) const override { return vocabulary_.token(id); }
  int32_t find(std::string_view token) const override { return vocabulary_.find(token); }
  std::string decode(std::span<const int32_t> ids) const override;
  int64_t target_vocab_size() const override { return target_vocabulary().size(); }
  std::string_view target_token(int32_t id) const override { return target_vocabulary().token(id); }
  int32_t find_target(std::string_view token) const override {
    return target_vocabulary().find(token);
  }
  LanguageUse language_use() const override { return spec_.language_use; }
  std::vector<std::string_view> languages() const override;
  int32_t language_id(std::string_view name) const override;

 protected:
  void append_text(std::string_view text, size_t most_ids,
                   std::vector<int32_t>* ids) const override;
  int32_t default_language_id() const override { return source_language_id_; }
  bool language_is_after() const override { return spec_.language_after; }

 private:
  void check_ids(const std::string& where) const;
  void index_languages(const std::string& where);
  std::vector<AddedToken> added_tokens(const std::string& where) const;
  void encode_text(std::string_view text, size_t max_ids, std::vector<int32_t>* ids) const;
  std::string_view encode_text_language(std::string_view text, std::vector<int32_t>* ids) const;
  // In the pieces and with the ids of either side.
  void encode_pieces(std::string_view text, size_t max_ids, const SentencePieceProcessor& processor,
                     const Vocabulary& vocabulary, std::vector<int32_t>* ids) const;
  int32_t id_of(std::string_view piece, const Vocabulary& vocabulary) const;
  const Vocabulary& target_vocabulary() const {
    return target_vocabulary_ ? *target_vocabulary_ : vocabulary_;
  }

  SentencePieceSpec spec_;
  Vocabulary vocabulary_;
  std::optional<Vocabulary> target_vocabulary_;
  SentencePieceProcessor source_;
  std::optional<SentencePieceProcessor> target_;
  AddedTokens added_tokens_;
  std::unordered_map<std::string_view, int32_t> language_ids_;  // by spec_.languages' names
  std::vector<bool> is_special_;                                // by id
  int32_t unk_id_;
  int32_t source_language_id_ = -1;
};

}  // namespace headlane
