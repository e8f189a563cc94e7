// A small file as one text.
#pragma once

#include <string>

namespace tool {

// `path`: "-" is standard input. Throws std::runtime_error that names it, also where it is larger
// than 256 MiB.
std::string read_whole_file(const std::string& path);

}  // namespace tool
