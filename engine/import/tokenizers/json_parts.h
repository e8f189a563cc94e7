// The parts of a tokenizer.json that all models share. Everything throws Error naming the field at
// fault.
#pragma once

#include <string>
#include <vector>

#include "engine/file/json.h"
#include "engine/import/tokenizers/tokenizer_files.h"

namespace headlane {

// The "type" of an object such as "normalizer"; "null" for null.
std::string type_of(const Json& file, const char* key, const std::string& where);

// Sets "ids_before" and "ids_after" of the spec, the special tokens around one text, from
// "post_processor".
void read_post_processor(const Json& file, const std::string& path, Json* spec);

// The elements of "added_tokens", by their ids.
std::vector<NamedToken> read_added_tokens(const Json& file, const std::string& path);

// Refuses a tokenizer that cuts its texts at the beginning.
void check_truncation(const TokenizerFiles& files, const Json& file, const std::string& path);

}  // namespace headlane
