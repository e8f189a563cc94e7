// The tokenizers of model folders, in the form that engine/text/tokenizer.h documents.
#pragma once

#include <optional>
#include <string>

#include "engine/file/json.h"
#include "engine/import/tokenizers/classes.h"
#include "engine/import/tokenizers/decoder_classes.h"
#include "engine/import/tokenizers/tokenizer_files.h"
#include "engine/text/tokenizer.h"

namespace headlane {

// The tokenizer of a folder: the spec that make_tokenizer reads, and its tensors' bytes, which are
// empty where there is no such tensor. spec is null if the folder has no tokenizer.
struct ImportedTokenizer : TokenizerBytes {
  Json spec;
  std::string left_out;  // why a tokenizer that the folder has was not read, a sentence
  std::string note;      // what its owner should know of its ids, a sentence
};

// Reads the tokenizer of the class that the folder names. Without one it is that of the family or,
// if there is no config.json, what the files tell: SentencePiece's, else tokenizer.json, else
// vocab.txt. mBART's own is left out. Throws Error naming the file and field at fault,
// and what of a tokenizer is not supported.
//
// `listed`: modules.json lists the folder, so that its sentence_bert_config.json counts.
ImportedTokenizer import_tokenizer(const std::string& hf_dir, bool listed = true);

// Nothing if the folder has no SentencePiece model. Told apart by their files, whose class
// tokenizer_config.json must confirm if it names one:
//   Marian   source.spm, target.spm, vocab.json; with separate_vocabs target_vocab.json too
//   M2M100   sentencepiece.bpe.model, vocab.json
//   NLLB     sentencepiece.bpe.model; languages from tokenizer.json or the lists of special tokens
//   T5, mT5  spiece.model
std::optional<ImportedTokenizer> import_sentencepiece(const TokenizerFiles& files);

// From tokenizer.json if it is there, else from vocab.txt. The settings of a class are in
// tokenizer_config.json; null: tokenizer.json is taken as it is.
ImportedTokenizer import_wordpiece(const TokenizerFiles& files,
                                   const TokenizerClass* tokenizer_class);

// From tokenizer.json, whatever its model, or, of a class, from its
// vocabulary if there is no tokenizer.json. null: tokenizer.json is taken as it is; then
// `file_class` is what transformers 4 lays over it, or null.
ImportedTokenizer import_pipeline(const TokenizerFiles& files,
                                  const TokenizerClass* tokenizer_class,
                                  const FileClass* file_class = nullptr);

// From what would be a tokenizer.json, of a model that is the file `path` alone.
ImportedTokenizer import_tokenizer_json(const Json& file, const std::string& path);

// The type of a tokenizer.json's model, such as "WordPiece", also where it has no "type".
std::string tokenizer_json_model(const Json& file, const std::string& path);

// Whether a tokenizer.json has BERT's normalizer, or none, and BERT's pre-tokenizer.
bool has_bert_steps(const Json& file, const std::string& path);

// Throws Error(kUnsupported) if a tokenizer.json's model is not WordPiece.
void refuse_other_models(const TokenizerFiles& files, const Json& file);

// The tokenizer, after the checks of who will read it: better now than when the file is opened.
ImportedTokenizer checked(ImportedTokenizer tokenizer, const std::string& where);

}  // namespace headlane
