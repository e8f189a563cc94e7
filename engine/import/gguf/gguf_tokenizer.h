// The tokenizer of a GGUF file as the tokenizer.json that it was made from.
#pragma once

#include <string>

#include "engine/file/json.h"

namespace headlane {

// From the fields "tokenizer.ggml.*" of a file at `path`; null if there is no tokenizer. Throws
// Error: kUnsupported naming a model or a way to split texts that Headlane does not know; kBadFile.
Json read_gguf_tokenizer(const Json& fields, const std::string& path);

// The same of the model "t5" alone.
Json read_gguf_unigram(const Json& fields, const std::string& path);

}  // namespace headlane
