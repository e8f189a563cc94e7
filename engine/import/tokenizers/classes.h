// The classes of transformers that take a vocabulary from a folder's files and have the other parts
// of a tokenizer.json of their own. transformers 4 obeys tokenizer.json where there is one, and
// transformers 5 the class.
#pragma once

#include <string>
#include <string_view>

#include "engine/file/json.h"
#include "engine/import/tokenizers/folder_tokens.h"
#include "engine/import/tokenizers/tokenizer_files.h"

namespace headlane {

struct TokenizerClass {
  std::string_view name;  // without its ending "Fast"
  ClassTokens tokens;
  std::string_view model;  // "WordPiece", "BPE", "Unigram"
  // The parts of a tokenizer.json except the vocabulary and the character map, which
  // {"type": "Precompiled"} stands for; null for WordPiece, whose parts are BERT's.
  Json (*parts)(const TokenizerFiles& files, const FolderTokens& tokens);
  bool roberta_pairs = false;  // of WordPiece: two texts stand with two tokens between them
};

// Null if it is no such class.
const TokenizerClass* find_tokenizer_class(std::string_view name);

// The names of all, with commas between them.
std::string tokenizer_class_names();

// A folder's tokenizer is made of these, by a class and by its tokenizer.json.
struct ClassAndFile {
  const TokenizerClass& tokenizer_class;
  const Json& own;   // spec's fields "model", "normalizer", "pre_tokenizer", ids around a text
  const Json& file;  // likewise
  std::string_view charsmap;
  bool has_all_bytes;  // the vocabulary has each of the 256 characters that stand for bytes
};

// Throws Error(kUnsupported) if the two would give other ids.
void check_same_parts(const ClassAndFile& parts, const std::string& path);

}  // namespace headlane
