// Text of users and tokens, made fit to be shown.
#pragma once

#include <string>

namespace tool {

// `text` as a terminal shows it in at most `columns` columns: control characters and invalid bytes,
// which would upset the columns, become "?", what is too long ends in "...". *width: its columns,
// of which CJK characters take two.
std::string label(const std::string& text, int columns, int* width);

// The same, filled up with spaces.
std::string padded_label(const std::string& text, int columns);

// `text` with each byte that is not UTF-8 replaced by U+FFFD.
std::string valid_utf8(const std::string& text);

}  // namespace tool
