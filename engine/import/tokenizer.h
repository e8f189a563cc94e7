// The tokenizers of model folders, in the form that engine/text/tokenizer.h documents.
#pragma once

#include <optional>
#include <string>

#include "engine/model/json.h"
#include "engine/text/tokenizer.h"

namespace headlane {

// What a folder says of its tokenizer: what make_tokenizer reads, and its tensors' bytes, which are
// empty where there is no such tensor. spec is null if the folder has no tokenizer.
struct ImportedTokenizer {
  Json spec;
  std::string vocab, target_vocab;  // tokens by id, each ended by '\n'
  std::string source, target;       // SentencePiece model files

  TokenizerTensors tensors() const;  // views of the strings
};

// Reads SentencePiece's files of the families below if there are any, else tokenizer.json, else
// vocab.txt with tokenizer_config.json. Throws Error naming the file and field at fault.
ImportedTokenizer import_tokenizer(const std::string& hf_dir);

// Nothing if the folder has no SentencePiece model. Told apart by their files, whose class
// tokenizer_config.json must confirm if it names one:
//   Marian   source.spm, target.spm, vocab.json; with separate_vocabs target_vocab.json too
//   M2M100   sentencepiece.bpe.model, vocab.json
//   NLLB     sentencepiece.bpe.model; languages from tokenizer.json or the lists of special tokens
//   T5, mT5  spiece.model
std::optional<ImportedTokenizer> import_sentencepiece(const std::string& hf_dir);

// The tokenizer, after the checks of who will read it: better now than when the file is opened.
ImportedTokenizer checked(ImportedTokenizer tokenizer, const std::string& where);

}  // namespace headlane
