// The characters by which byte-level tokenizers write bytes: printable ones stand for themselves,
// the other 68 for U+0100 and on. So every text is a sequence of 256 characters, none of them a
// blank or a control character.
#pragma once

#include <string>
#include <string_view>

namespace headlane {

// Appends the character of each byte.
void append_byte_characters(std::string_view bytes, std::string* out);

// Appends the bytes that the characters of `text` stand for; `text` itself if one stands for none.
void append_bytes_of_characters(std::string_view text, std::string* out);

}  // namespace headlane
