// The classes of transformers that language models' tokenizers have: their parts, and what versions
// 4 and 5 of transformers do with them beside a tokenizer.json.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "engine/file/json.h"
#include "engine/import/tokenizers/folder_tokens.h"
#include "engine/import/tokenizers/tokenizer_files.h"

namespace headlane {

// A class that transformers 4 lays over a tokenizer.json where transformers 5 takes the file as it
// is.
struct FileClass {
  std::string_view name;
  std::span<const ClassTokens::Named> tokens;  // special ones that version 4 has if no file says
  bool has_ends = false;  // version 4 sets the tokens around a text, by "add_bos_token"
};

// Null if no such class is known.
const FileClass* find_file_class(std::string_view name);

// Whether transformers 5 takes the folder's tokenizer.json as it is, though a file names another
// class than the ones that always do, or none.
bool obeys_tokenizer_json(const TokenizerFiles& files);

// The class that transformers 5 puts in place of the one that the folder names, or "".
std::string_view class_of_family(const TokenizerFiles& files);

// The "post_processor" that "add_bos_token" and "add_eos_token" say, true and false where they are
// not there.
Json ends_of_settings(const TokenizerFiles& files, const FolderTokens& tokens);

inline constexpr ClassTokens::Named kGpt2Tokens[] = {
    {"unk_token", "<|endoftext|>"}, {"bos_token", "<|endoftext|>"}, {"eos_token", "<|endoftext|>"}};
inline constexpr ClassTokens::Named kLlamaTokens[] = {
    {"unk_token", "<unk>"}, {"bos_token", "<s>"}, {"eos_token", "</s>"}};
inline constexpr ClassTokens::Named kQwen2Tokens[] = {
    {"unk_token", "<|endoftext|>"}, {"eos_token", "<|endoftext|>"}, {"pad_token", "<|endoftext|>"}};
inline constexpr ClassTokens::Named kGemmaTokens[] = {{"unk_token", "<unk>"},
                                                      {"bos_token", "<bos>"},
                                                      {"eos_token", "<eos>"},
                                                      {"pad_token", "<pad>"},
                                                      {"mask_token", "<mask>"}};

// As the member `parts` of TokenizerClass.
Json llama_parts(const TokenizerFiles& files, const FolderTokens& tokens);
Json qwen2_parts(const TokenizerFiles& files, const FolderTokens& tokens);
Json gemma_parts(const TokenizerFiles& files, const FolderTokens& tokens);

// A part of a tokenizer.json without what says nothing of ids and texts, or says it in two ways.
Json plain_part(Json part);

}  // namespace headlane
