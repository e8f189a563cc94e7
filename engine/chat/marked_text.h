// Text of which each byte knows whether it came with the messages of a conversation or was written
// by the template's maker. Only the latter may spell tokens with a role of their own.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace headlane::chat {

class MarkedText {
 public:
  MarkedText() = default;
  // Text of the template. Well-formed UTF-8, as all texts here.
  explicit MarkedText(std::string_view text) : bytes_(text) {}
  // Text that came with the conversation.
  static MarkedText given(std::string_view text);

  const std::string& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  // One for each byte: 1 where it was given. Empty where none was.
  const std::string& marks() const { return marks_; }

  MarkedText part(size_t begin, size_t end) const;
  void append(const MarkedText& other);
  void append(std::string_view text);  // of the template
  // Appends text that stands for bytes [begin, end) of `source`, and is given where any of them is.
  void append_for(std::string_view text, const MarkedText& source, size_t begin, size_t end);

 private:
  bool any_given(size_t begin, size_t end) const;
  void append_marked(std::string_view text, bool is_given);

  std::string bytes_, marks_;
};

// Returns where the characters of a text begin, and its end: one more than there are characters.
std::vector<size_t> character_borders(std::string_view text);

// White space as Python's str.isspace has it.
bool is_python_space(char32_t c);
// The text without white space at its beginning, its end, or both.
MarkedText stripped(const MarkedText& text, bool left, bool right);
// This does the same with the characters of `characters` in the place of white space.
MarkedText stripped_of(const MarkedText& text, std::string_view characters, bool left, bool right);

enum class LetterCase {
  kUpper,
  kLower,
  kCapitalized,
  kTitle,  // Python's: each letter that no letter stands before; of ASCII alone
  kWords,  // Jinja's: the first character behind blanks and some brackets
};
// Throws Error(kUnsupported) for a letter that becomes several, or depends on its place.
MarkedText with_case(const MarkedText& text, LetterCase letter_case);

// Returns the string as Python's repr writes it.
MarkedText quoted(const MarkedText& text);

}  // namespace headlane::chat
