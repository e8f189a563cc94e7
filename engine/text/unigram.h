// A unigram language model: of all ways to make a piece of tokens, the one whose scores have the
// largest sum, found by one pass over the lattice. Characters without a token cost ten more than
// the worst token; runs of them are one unknown token, or their bytes' tokens.
#pragma once

#include <vector>

#include "engine/text/byte_tokens.h"
#include "engine/text/prefix_trie.h"
#include "engine/text/token_model.h"

namespace headlane {

class Unigram : public TokenModel {
 public:
  // `spec` has "unk_id" and "byte_fallback"; the tensor scores one f64 for each token that can be
  // found in the vocabulary.
  Unigram(const Json& spec, const TokenizerTensors& tensors, const Vocabulary& vocabulary,
          const std::string& where);

  std::unique_ptr<Scratch> make_scratch() const override;
  void encode(std::string_view piece, Scratch* scratch, std::vector<int32_t>* ids) const override;

 private:
  struct Lattice;

  void find_best(std::string_view piece, Lattice* lattice) const;
  void add_unknown(std::string_view text, std::vector<int32_t>* ids) const;

  const Vocabulary& vocabulary_;
  PrefixTrie trie_;
  std::vector<double> scores_;
  double unk_score_ = 0;
  int32_t unk_id_ = -1;
  ByteTokens byte_ids_;
  bool byte_fallback_ = false;
};

}  // namespace headlane
