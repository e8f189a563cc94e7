// The tokenizers of tokenizer.json files as the `tokenizers` library runs them: added tokens cut
// out of the text, the rest normalized, added tokens cut out of that, the rest split into pieces,
// each encoded by a model. WordPiece with BERT's own steps has a class of its own, which does all
// of it in one pass.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/added_tokens.h"
#include "engine/text/decoders.h"
#include "engine/text/normalizers.h"
#include "engine/text/pre_tokenizers.h"
#include "engine/text/token_model.h"
#include "engine/text/tokenizer.h"
#include "engine/text/vocabulary.h"

namespace headlane {

class PipelineTokenizer : public Tokenizer {
 public:
  // `spec` is the header's "tokenizer", which tokenizer.h documents. Throws Error, whose sentence
  // begins with `where`: kBadFile, or kUnsupported for a step that Headlane does not have.
  PipelineTokenizer(const Json& spec, const TokenizerTensors& tensors, const std::string& where);

  bool is_special(int32_t id) const override {
    return is_special_[static_cast<size_t>(id)] || (!ids_after_.empty() && id == ids_after_.back());
  }
  int64_t vocab_size() const override { return vocabulary_.size(); }
  std::string_view token(int32_t id) const override { return vocabulary_.token(id); }
  int32_t find(std::string_view token) const override;
  std::string decode(std::span<const int32_t> ids) const override;
  bool token_bytes(int32_t id, std::string* bytes) const override;
  void encode_guarded(const GuardedText& text, std::vector<int32_t>* ids) const override;

 protected:
  void append_text(std::string_view text, size_t most_ids,
                   std::vector<int32_t>* ids) const override;

 private:
  struct Encoding;  // the state of one call of encode

  void check_id(int32_t id, const char* field, const std::string& where) const;
  std::vector<AddedToken> read_added(const Json& spec, bool normalized,
                                     const std::string& where) const;
  void read_specials(const Json& spec, const std::string& where);
  void encode_text(std::string_view text, Encoding* encoding) const;
  void encode_part(std::string_view text, bool is_first, Encoding* encoding) const;
  void encode_normalized(std::string_view text, size_t first_bytes, Encoding* encoding) const;
  void encode_piece(std::string_view piece, Encoding* encoding) const;
  bool is_guarded(int32_t id, const GuardedText& guard) const;
  AddedTokens::MayStand guard_of(const Encoding& encoding) const;
  void check_normalized(int32_t id, std::string_view part, Encoding* encoding) const;

  Vocabulary vocabulary_;
  Normalizers normalizers_;
  PreTokenizers pre_tokenizers_;
  std::unique_ptr<TokenModel> model_;
  std::optional<TokenDecoders> decoders_;  // none: tokens with blanks between them
  AddedTokens raw_tokens_, normalized_tokens_;
  std::vector<int32_t> added_ids_;
  std::vector<int32_t> ids_before_, ids_after_;
  std::vector<bool> is_special_, is_added_;  // by id
};

}  // namespace headlane
