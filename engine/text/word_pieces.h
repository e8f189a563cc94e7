// The model WordPiece: a word is covered by its longest matching pieces from left to right; one
// that cannot be covered, or is too long, is the unknown token.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/token_model.h"
#include "engine/text/vocabulary.h"

namespace headlane {

class WordPieces : public TokenModel {
 public:
  struct Hashes : Scratch {
    std::vector<uint64_t> of_heads;  // of a word's rest, by their length
  };

  // `unk_token` is for words that cannot be made of pieces, or have more than `max_chars`
  // characters; `prefix` is what pieces bear that do not begin a word. Keeps the vocabulary, which
  // must outlive it. Throws Error(kBadFile) if it lacks `unk_token`.
  WordPieces(const Vocabulary& vocabulary, const std::string& unk_token, std::string prefix,
             int64_t max_chars, const std::string& where);
  // `spec` has "unk_token", "continuing_subword_prefix" and "max_input_chars_per_word".
  WordPieces(const Json& spec, const TokenizerTensors& tensors, const Vocabulary& vocabulary,
             const std::string& where);

  std::unique_ptr<Scratch> make_scratch() const override { return std::make_unique<Hashes>(); }
  void encode(std::string_view word, Scratch* scratch, std::vector<int32_t>* ids) const override {
    encode_word(word, static_cast<Hashes*>(scratch), ids);
  }
  void encode_word(std::string_view word, Hashes* hashes, std::vector<int32_t>* ids) const;

 private:
  bool add_pieces(std::string_view word, Hashes* hashes, std::vector<int32_t>* ids) const;

  const Vocabulary& vocabulary_;
  std::string prefix_;
  size_t max_chars_;
  uint64_t prefix_hash_;
  int32_t unk_id_;
};

}  // namespace headlane
