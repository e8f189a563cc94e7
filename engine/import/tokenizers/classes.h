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
  // Except of WordPiece: the file that the vocabulary comes from where there is no tokenizer.json;
  // null: there must be one.
  const char* vocabulary = nullptr;
  // transformers 5 takes the post-processor of a tokenizer.json, as 4 does.
  bool takes_ends = false;
  // transformers 4 sets it by "add_bos_token" and "add_eos_token" whatever the file has.
  bool has_ends_of_4 = false;
  const char* only_in_5 = nullptr;  // a special token by default that transformers 4 does not have
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
  bool has_all_bytes;  // the vocabulary has a token of the model's kind for each of 256 bytes
};

// Whether the file has the steps that transformers 4 made of Llama's SentencePiece model. Nearly
// all folders of that class have them, and transformers 5 puts the class's own in their place.
bool has_llama_steps_of_4(const ClassAndFile& parts);

// Throws Error(kUnsupported) if the two would give other ids, except with those steps.
void check_same_parts(const ClassAndFile& parts, const std::string& path);

}  // namespace headlane
