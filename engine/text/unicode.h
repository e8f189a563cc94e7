// Characters as the `tokenizers` library (0.23) sees them, on top of utf8proc.
//
// That library's tables are of several Unicode versions at once: categories of Unicode 8, combining
// classes of Unicode 9, those of regular expressions of Unicode 16, lower case of Unicode 17.
// utf8proc 2.8 is Unicode 15. unicode.cc lists where the two part, found by comparing all 1,112,064
// characters; nothing else is a table of our own.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace headlane {

// Number of leading bytes of `text` that are well-formed UTF-8.
size_t valid_utf8_prefix(std::string_view text);

// `text` with each maximal ill-formed part replaced by U+FFFD, as Python's errors="replace" does.
std::string replace_invalid_utf8(std::string_view text);

// The character at text[*pos], which is stepped over. `text` is well-formed and *pos within it.
char32_t next_char(std::string_view text, size_t* pos);
void append_char(char32_t c, std::string* out);

inline bool is_ascii(char byte) { return static_cast<unsigned char>(byte) < 0x80; }
inline bool is_ascii(char32_t c) { return c < 0x80; }
bool is_space(char32_t c);           // White_Space
bool is_control(char32_t c);         // Cc, Cf, Co
bool is_punctuation(char32_t c);     // P*, and the ASCII symbols
bool is_mark(char32_t c);            // Mn
bool is_combining_mark(char32_t c);  // M*
bool is_letter(char32_t c);          // \p{L} of a regular expression
bool is_number(char32_t c);          // \p{N} of a regular expression
bool is_numeric(char32_t c);         // N*, as the step Digits sees it
bool is_word(char32_t c);            // \w of a regular expression
int combining_class(char32_t c);

constexpr int kMaxDecomposed = 18;  // of one character, as of U+FDFA

// Canonical decomposition, or the compatible one, not yet reordered. Returns the number of
// characters written to `out`.
int decompose(char32_t c, bool compatible, char32_t out[kMaxDecomposed]);

// Appends the full lower case of `c`.
void append_lower(char32_t c, std::string* out);

}  // namespace headlane
