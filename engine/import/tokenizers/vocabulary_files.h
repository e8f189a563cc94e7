// Vocabularies of folders without a tokenizer.json, as the field "model" of one. Everything throws
// Error naming the file at fault.
#pragma once

#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/tokenizers/folder_tokens.h"
#include "engine/import/tokenizers/tokenizer_files.h"

namespace headlane {

// BPE's, from vocab.json and merges.txt. Refuses a merges.txt that versions of transformers read in
// different ways.
Json read_bpe_files(const TokenizerFiles& files);

struct SentencePieceVocabulary {
  Json model;
  std::string charsmap;
  std::vector<NamedToken> added;  // control and user-defined pieces
};

// A unigram model's, from sentencepiece.bpe.model, with fairseq's ids: those of XLM-RoBERTa, or,
// `camembert`, those of CamemBERT.
SentencePieceVocabulary read_fairseq_pieces(const TokenizerFiles& files, const FolderTokens& tokens,
                                            bool camembert);

// BPE's, from SentencePiece's tokenizer.model, with merges in the order of the pieces, as
// transformers makes them. Refuses a model for which its versions order them differently.
SentencePieceVocabulary read_bpe_pieces(const TokenizerFiles& files);

}  // namespace headlane
