// The streams that the command reads and writes without a file's name. A write that fails is never
// silent: on a full disk or a closed stream the command ends with status 1 and says why.
#pragma once

#include <string>
#include <string_view>

namespace tool {

// Gives descriptors 0 to 2 that the command was started without to a file that can neither be read
// nor written. Otherwise the next file that is opened, such as an output, would get their numbers,
// and what is printed would go into it.
void hold_standard_descriptors();

// Prints to standard output at once. Throws std::runtime_error. What is printed by printf is
// checked at the end, by close_standard_output.
void print(std::string_view text);

// Writes what is left, and throws std::runtime_error if anything could not be written.
void close_standard_output();

}  // namespace tool
