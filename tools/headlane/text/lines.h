// The lines of a file, or of standard input.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace tool {

// Calls body(line, bytes read so far) for each line, without its end. `path` is a file's name; ""
// or
// "-" is standard input. Throws std::runtime_error that names it if it cannot be read, also in the
// middle.
void for_each_line(const std::string& path,
                   const std::function<void(const std::string&, int64_t)>& body);

// All of it as it is. `path` and errors are as above.
std::string read_all(const std::string& path);

// The name that messages use for it.
std::string shown_name(const std::string& path);

}  // namespace tool
