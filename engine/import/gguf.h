// GGUF files of llama.cpp into .headlane files.
#pragma once

#include <string>

#include "engine/import/write/convert_options.h"

namespace headlane {

// Whether it is a file that begins as GGUF files do, or whose name says that it is one. Throws
// Error if it cannot be read.
bool is_gguf_file(const std::string& path);

// Reads a GGUF file, or the first of several with the others beside it, and writes `out_path`.
void convert_gguf(const std::string& path, const std::string& out_path,
                  const ConvertOptions& options);

}  // namespace headlane
