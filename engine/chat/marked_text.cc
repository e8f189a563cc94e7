#include "engine/chat/marked_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdio>

#include "engine/base/error.h"
#include "engine/text/unicode.h"

namespace headlane::chat {
namespace {

bool is_of(std::string_view characters, char32_t c) {
  for (size_t pos = 0; pos < characters.size();) {
    if (next_char(characters, &pos) == c) return true;
  }
  return false;
}

template <typename Strips>
MarkedText stripped_where(const MarkedText& text, bool left, bool right, const Strips& strips) {
  const std::vector<size_t> borders = character_borders(text.bytes());
  size_t first = 0, last = borders.size() - 1;
  const auto strips_at = [&](size_t i) {
    size_t pos = borders[i];
    return strips(next_char(text.bytes(), &pos));
  };
  while (left && first < last && strips_at(first)) ++first;
  while (right && last > first && strips_at(last - 1)) --last;
  return text.part(borders[first], borders[last]);
}

// Letters whose upper case has several characters (SpecialCasing of Unicode), and those whose title
// case is another one than their upper case.
bool has_long_upper(char32_t c) {
  constexpr char32_t kRanges[][2] = {{0xDF, 0xDF},     {0x149, 0x149},   {0x1C4, 0x1CC},
                                     {0x1F0, 0x1F3},   {0x390, 0x390},   {0x3B0, 0x3B0},
                                     {0x587, 0x587},   {0x10D0, 0x10FF}, {0x1E96, 0x1E9A},
                                     {0x1F50, 0x1F56}, {0x1F80, 0x1FFC}, {0xFB00, 0xFB17}};
  return std::any_of(std::begin(kRanges), std::end(kRanges),
                     [&](const auto& range) { return range[0] <= c && c <= range[1]; });
}

[[noreturn]] void refuse_case(char32_t c) {
  fail(Status::kUnsupported, "the letter U+%04X changes its case in a way that is not supported",
       static_cast<unsigned>(c));
}

char32_t upper(char32_t c) {
  if (has_long_upper(c)) refuse_case(c);
  return static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
}

char32_t lower(char32_t c) {
  if (c == 0x130 || c == 0x3A3) refuse_case(c);
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

bool is_ascii_letter(char32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Tells whether a character begins a word, by what stands before it.
class WordBegins {
 public:
  explicit WordBegins(LetterCase letter_case) : case_(letter_case) {}

  bool operator()(char32_t c) {
    const bool begins = case_ == LetterCase::kUpper || (case_ != LetterCase::kLower && begins_);
    if (case_ == LetterCase::kTitle && !is_ascii(c)) refuse_case(c);
    if (case_ == LetterCase::kTitle) begins_ = !is_ascii_letter(c);
    if (case_ == LetterCase::kWords) begins_ = is_python_space(c) || is_of("-({[<", c);
    if (case_ == LetterCase::kCapitalized) begins_ = false;
    return begins;
  }

 private:
  const LetterCase case_;
  bool begins_ = true;
};

bool is_printable(char32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return c == ' ' || (category != UTF8PROC_CATEGORY_CC && category != UTF8PROC_CATEGORY_CF &&
                      category != UTF8PROC_CATEGORY_CS && category != UTF8PROC_CATEGORY_CO &&
                      category != UTF8PROC_CATEGORY_CN && category != UTF8PROC_CATEGORY_ZL &&
                      category != UTF8PROC_CATEGORY_ZP && category != UTF8PROC_CATEGORY_ZS);
}

std::string escaped(char32_t c, char quote) {
  if (c == '\n') return "\\n";
  if (c == '\r') return "\\r";
  if (c == '\t') return "\\t";
  std::string text;
  if (c == static_cast<char32_t>(quote) || c == '\\') text = "\\";
  if (is_printable(c)) {
    append_char(c, &text);
    return text;
  }
  char code[16];
  const char* format = c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x";
  std::snprintf(code, sizeof code, format, static_cast<unsigned>(c));
  return code;
}

}  // namespace

MarkedText MarkedText::given(std::string_view text) {
  MarkedText result(text);
  result.marks_.assign(text.size(), 1);
  return result;
}

MarkedText MarkedText::part(size_t begin, size_t end) const {
  MarkedText result(std::string_view(bytes_).substr(begin, end - begin));
  if (!marks_.empty()) result.marks_ = marks_.substr(begin, end - begin);
  return result;
}

void MarkedText::append(const MarkedText& other) {
  if (!other.marks_.empty()) {
    marks_.resize(bytes_.size(), 0);
    marks_ += other.marks_;
  }
  bytes_ += other.bytes_;
  if (!marks_.empty()) marks_.resize(bytes_.size(), 0);
}

void MarkedText::append(std::string_view text) { append_marked(text, false); }

void MarkedText::append_for(std::string_view text, const MarkedText& source, size_t begin,
                            size_t end) {
  append_marked(text, source.any_given(begin, end));
}

bool MarkedText::any_given(size_t begin, size_t end) const {
  return !marks_.empty() && std::find(marks_.begin() + static_cast<ptrdiff_t>(begin),
                                      marks_.begin() + static_cast<ptrdiff_t>(end),
                                      1) != marks_.begin() + static_cast<ptrdiff_t>(end);
}

void MarkedText::append_marked(std::string_view text, bool is_given) {
  if (is_given) marks_.resize(bytes_.size(), 0);
  bytes_ += text;
  if (is_given || !marks_.empty()) marks_.resize(bytes_.size(), is_given ? 1 : 0);
}

std::vector<size_t> character_borders(std::string_view text) {
  std::vector<size_t> borders;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<uint8_t>(text[i]) & 0xC0) != 0x80) borders.push_back(i);
  }
  borders.push_back(text.size());
  return borders;
}

bool is_python_space(char32_t c) { return is_space(c) || (c >= 0x1C && c <= 0x1F); }

MarkedText stripped(const MarkedText& text, bool left, bool right) {
  return stripped_where(text, left, right, is_python_space);
}

MarkedText stripped_of(const MarkedText& text, std::string_view characters, bool left, bool right) {
  return stripped_where(text, left, right, [&](char32_t c) { return is_of(characters, c); });
}

MarkedText with_case(const MarkedText& text, LetterCase letter_case) {
  MarkedText result;
  WordBegins begins_word(letter_case);
  for (size_t pos = 0; pos < text.size();) {
    const size_t begin = pos;
    const char32_t c = next_char(text.bytes(), &pos);
    std::string changed;
    append_char(begins_word(c) ? upper(c) : lower(c), &changed);
    result.append_for(changed, text, begin, pos);
  }
  return result;
}

MarkedText quoted(const MarkedText& text) {
  const bool has_single = text.bytes().find('\'') != std::string::npos;
  const char quote = has_single && text.bytes().find('"') == std::string::npos ? '"' : '\'';
  MarkedText result(std::string_view(&quote, 1));
  for (size_t pos = 0; pos < text.size();) {
    const size_t begin = pos;
    const char32_t c = next_char(text.bytes(), &pos);
    result.append_for(escaped(c, quote), text, begin, pos);
  }
  result.append(std::string_view(&quote, 1));
  return result;
}

}  // namespace headlane::chat
