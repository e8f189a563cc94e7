// Sets of characters of regular expressions, as the `tokenizers` library has them, in PCRE2's
// notation, which has older tables: items of a character class.
#pragma once

#include <string>
#include <string_view>

namespace headlane {

// A general category or a script, such as "L", "Nd", "Han"; "" if it is not a known one.
std::string property_items(std::string_view name);

// The items of \w, which has some characters of Latin-1 only where it stands alone.
std::string word_items(bool in_class);

// White space, which is \s, and all else.
inline constexpr std::string_view kSpaceItems =
    R"(\x{9}-\x{D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
inline constexpr std::string_view kNoSpaceItems =
    R"(\x{0}-\x{8}\x{E}-\x{1F}\x{21}-\x{84}\x{86}-\x{9F}\x{A1}-\x{167F}\x{1681}-\x{1FFF})"
    R"(\x{200B}-\x{2027}\x{202A}-\x{202E}\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{10FFFF})";

}  // namespace headlane
