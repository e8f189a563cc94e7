// Byte-pair encoding: a piece's characters, or bytes where there is no token of the character, of
// which the pair with the lowest rank is merged again and again. Of pairs of the same rank the
// leftmost comes first. A piece may be a whole text, so the pairs wait in a heap: the time is that
// of sorting.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "engine/text/byte_tokens.h"
#include "engine/text/token_model.h"

namespace headlane {

class Bpe : public TokenModel {
 public:
  // `spec` has "unk_token", "continuing_subword_prefix" and "end_of_word_suffix", which may be
  // null, "fuse_unk", "byte_fallback" and "ignore_merges". The tensor merges has three u32 for each
  // merge, by rank: the ids of the left token, the right one and what they become.
  Bpe(const Json& spec, const TokenizerTensors& tensors, const Vocabulary& vocabulary,
      const std::string& where);

  std::unique_ptr<Scratch> make_scratch() const override;
  void encode(std::string_view piece, Scratch* scratch, std::vector<int32_t>* ids) const override;

 private:
  static constexpr uint32_t kNoRank = UINT32_MAX;
  struct Merge {
    uint64_t pair;  // left id << 32 | right id
    uint32_t rank;  // kNoRank: an empty slot
    int32_t id;
  };
  struct Word;

  void read_merges(std::span<const std::byte> bytes, const std::string& where);
  const Merge& find_merge(int32_t left, int32_t right) const;
  void add_symbols(std::string_view piece, Word* word) const;
  int32_t symbol(std::string_view c, bool first, bool last, Word* word) const;
  void merge(Word* word) const;
  void offer(Word* word, size_t pos) const;
  void add_unknown(Word* word) const;

  const Vocabulary& vocabulary_;
  std::optional<std::string> unk_token_;
  std::string prefix_, suffix_;
  bool fuse_unk_, byte_fallback_, ignore_merges_;
  int32_t unk_id_ = -1;
  ByteTokens byte_ids_;
  std::array<int32_t, 0x800> char_ids_;  // of the characters of one or two bytes, or -1
  std::vector<Merge> merges_;            // open addressing, at most half full
  int shift_ = 0;
};

}  // namespace headlane
