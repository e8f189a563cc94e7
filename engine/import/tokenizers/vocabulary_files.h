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

}  // namespace headlane
