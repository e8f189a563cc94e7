// Settings of tokenizer_config.json that transformers 4 and 5 obey in different ways: ids are those
// of both, or the folder is refused. Everything throws Error(kUnsupported) that names the field.
#pragma once

#include <string>

#include "engine/file/json.h"
#include "engine/import/tokenizers/decoder_classes.h"
#include "engine/import/tokenizers/folder_tokens.h"
#include "engine/import/tokenizers/tokenizer_files.h"

namespace headlane {

struct CheckedFolder {
  const TokenizerFiles& files;
  const FolderTokens& tokens;  // all of them
  const std::string& path;     // of the file with the vocabulary
};

// Where tokenizer.json is taken as it is, by version 5 at least: `file_class` is what version 4
// lays over it, or null. `spec` has the file's parts; its "pair" may be lost.
void check_file_settings(const CheckedFolder& folder, const FileClass* file_class, Json* spec);

// Where version 4 sets the tokens around a text by the settings and version 5 takes the file's.
void check_ends(const CheckedFolder& folder, Json* spec);

// Where SentencePiece's file is alone, with a class that has ends.
void check_pieces_alone(const CheckedFolder& folder, bool has_all_bytes);

}  // namespace headlane
