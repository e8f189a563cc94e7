#include "engine/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <cstring>
#include <iterator>

namespace headlane {
namespace {

struct CharRange {
  char32_t first, last;
};

// utf8proc calls these characters marks, punctuation or control; `tokenizers`, whose tables are
// older, does not: to the latter they are unassigned. Ranges reach over characters of other
// categories, for which nothing is asked.
constexpr CharRange kTooNew[] = {
    {0x61D, 0x61D},     {0x7FD, 0x7FD},     {0x890, 0x8E2},     {0x9FD, 0x9FE},
    {0xA76, 0xA76},     {0xAFA, 0xAFF},     {0xB55, 0xB55},     {0xC04, 0xC3C},
    {0xC77, 0xC77},     {0xC84, 0xC84},     {0xD00, 0xD00},     {0xD3B, 0xD3C},
    {0xD81, 0xD81},     {0xEBA, 0xEBA},     {0xECE, 0xECE},     {0x1715, 0x1715},
    {0x180F, 0x1886},   {0x1ABF, 0x1ACE},   {0x1B7D, 0x1B7E},   {0x1DF6, 0x1DFB},
    {0x2E43, 0x2E5D},   {0xA82C, 0xA82C},   {0xA8C5, 0xA8C5},   {0xA8FF, 0xA8FF},
    {0xA9BD, 0xA9BD},   {0x10D24, 0x10F89}, {0x11070, 0x11074}, {0x110C2, 0x110CD},
    {0x111CF, 0x111CF}, {0x1123E, 0x11241}, {0x1133B, 0x1133B}, {0x11438, 0x1145E},
    {0x11660, 0x1166C}, {0x116B9, 0x116B9}, {0x1182F, 0x11FFF}, {0x12FF1, 0x13455},
    {0x16E97, 0x16F4F}, {0x16FE2, 0x16FF1}, {0x1CF00, 0x1CF46}, {0x1E000, 0x1E4EF},
    {0x1E944, 0x1E95F},
};

// Unicode 9 has these of the characters above as marks.
constexpr CharRange kUnicode9[] = {{0x8D4, 0x8E1},     {0x1885, 0x1886},   {0x1DFB, 0x1DFB},
                                   {0xA8C5, 0xA8C5},   {0xA9BD, 0xA9BD},   {0x1123E, 0x1123E},
                                   {0x11438, 0x11446}, {0x11C2F, 0x11C3F}, {0x11C92, 0x11CB6},
                                   {0x1E000, 0x1E02A}, {0x1E944, 0x1E94A}};

// Spacing marks since Unicode 9.
constexpr CharRange kNewSpacingMarks[] = {{0x1CF7, 0x1CF7},   {0x11145, 0x11146},
                                          {0x111C9, 0x111C9}, {0x111CE, 0x111CE},
                                          {0x1182C, 0x1182E}, {0x16F7F, 0x16F87}};

// Characters that are compatible with others since Unicode 9, and what lies between them.
constexpr CharRange kNewCompatible[] = {{0x32FF, 0x32FF},   {0xA7F2, 0xA7F4},   {0xAB69, 0xAB69},
                                        {0x10781, 0x107BA}, {0x1E030, 0x1E06D}, {0x1F16C, 0x1F16C},
                                        {0x1FBF0, 0x1FBF9}};

// Letters, numbers and marks of Unicode 15.1 and 16.
constexpr CharRange kNewLetters[] = {
    {0x1C89, 0x1C8A},   {0xA7CB, 0xA7CD},   {0xA7DA, 0xA7DC},   {0x105C0, 0x105F3},
    {0x10D4A, 0x10D65}, {0x10D6F, 0x10D85}, {0x10EC2, 0x10EC4}, {0x11380, 0x11389},
    {0x1138B, 0x1138B}, {0x1138E, 0x1138E}, {0x11390, 0x113B5}, {0x113B7, 0x113B7},
    {0x113D1, 0x113D1}, {0x113D3, 0x113D3}, {0x11BC0, 0x11BE0}, {0x13460, 0x143FA},
    {0x16100, 0x1611D}, {0x16D40, 0x16D6C}, {0x18CFF, 0x18CFF}, {0x1E5D0, 0x1E5ED},
    {0x1E5F0, 0x1E5F0}, {0x2EBF0, 0x2EE5D},
};
constexpr CharRange kNewNumbers[] = {
    {0x10D40, 0x10D49}, {0x116D0, 0x116E3}, {0x11BF0, 0x11BF9}, {0x16130, 0x16139},
    {0x16D70, 0x16D79}, {0x1CCF0, 0x1CCF9}, {0x1E5F1, 0x1E5FA},
};
constexpr CharRange kNewMarks[] = {
    {0x897, 0x897},     {0x10D69, 0x10D6D}, {0x10EFC, 0x10EFC}, {0x113B8, 0x113C0},
    {0x113C2, 0x113C2}, {0x113C5, 0x113C5}, {0x113C7, 0x113CA}, {0x113CC, 0x113D0},
    {0x113D2, 0x113D2}, {0x113E1, 0x113E2}, {0x11F5A, 0x11F5A}, {0x1611E, 0x1612F},
    {0x1E5EE, 0x1E5EF},
};

// Pairs (upper, lower) of Unicode 16 and 17, by their distance.
struct CasePair {
  char32_t first, last;
  int32_t distance;
};
constexpr CasePair kNewCasePairs[] = {
    {0x1C89, 0x1C89, 1},      {0xA7CB, 0xA7CB, 0x264 - 0xA7CB},
    {0xA7CC, 0xA7CC, 1},      {0xA7CE, 0xA7CE, 1},
    {0xA7D2, 0xA7D2, 1},      {0xA7D4, 0xA7D4, 1},
    {0xA7DA, 0xA7DA, 1},      {0xA7DC, 0xA7DC, 0x19B - 0xA7DC},
    {0x10D50, 0x10D65, 0x20}, {0x16EA0, 0x16EB8, 0x1B},
};

template <size_t n>
bool contains(const CharRange (&ranges)[n], char32_t c) {
  const CharRange* range =
      std::lower_bound(std::begin(ranges), std::end(ranges), c,
                       [](const CharRange& r, char32_t x) { return r.last < x; });
  return range != std::end(ranges) && range->first <= c;
}

const utf8proc_property_t& property(char32_t c) {
  return *utf8proc_get_property(static_cast<utf8proc_int32_t>(c));
}

bool is_continuation(char byte) { return (static_cast<uint8_t>(byte) & 0xC0) == 0x80; }

// Length of the well-formed character at text[pos], or, negated, of the maximal ill-formed part.
int utf8_step(std::string_view text, size_t pos) {
  const uint8_t lead = static_cast<uint8_t>(text[pos]);
  if (lead < 0x80) return 1;
  if (lead < 0xC2 || lead > 0xF4) return -1;
  const int length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's range excludes overlong forms, surrogates and all above U+10FFFF.
  const uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (int i = 1; i < length; ++i) {
    if (pos + i >= text.size()) return -i;
    const uint8_t byte = static_cast<uint8_t>(text[pos + i]);
    if (i == 1 ? byte < low || byte > high : !is_continuation(text[pos + i])) return -i;
  }
  return length;
}

}  // namespace

size_t valid_utf8_prefix(std::string_view text) {
  size_t pos = 0;
  while (pos < text.size()) {
    uint64_t word;
    while (pos + sizeof word <= text.size()) {
      std::memcpy(&word, text.data() + pos, sizeof word);
      if (word & 0x8080808080808080) break;
      pos += sizeof word;
    }
    if (pos == text.size()) break;
    const int step = utf8_step(text, pos);
    if (step < 0) return pos;
    pos += step;
  }
  return pos;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 16);
  while (!text.empty()) {
    const size_t valid = valid_utf8_prefix(text);
    out.append(text.substr(0, valid));
    text.remove_prefix(valid);
    if (text.empty()) break;
    out.append("\xEF\xBF\xBD");
    text.remove_prefix(-utf8_step(text, 0));
  }
  return out;
}

char32_t next_char(std::string_view text, size_t* pos) {
  assert(*pos < text.size() && utf8_step(text, *pos) > 0);
  const auto byte = [&](size_t i) -> char32_t { return static_cast<uint8_t>(text[*pos + i]); };
  const char32_t lead = byte(0);
  char32_t c = lead;
  size_t length = 1;
  if (lead >= 0xF0) {
    c = (lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
    length = 4;
  } else if (lead >= 0xE0) {
    c = (lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    length = 3;
  } else if (lead >= 0x80) {
    c = (lead & 0x1F) << 6 | (byte(1) & 0x3F);
    length = 2;
  }
  *pos += length;
  return c;
}

void append_char(char32_t c, std::string* out) {
  if (is_ascii(c)) {
    out->push_back(static_cast<char>(c));
    return;
  }
  utf8proc_uint8_t bytes[4];
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes);
  out->append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(length));
}

bool is_space(char32_t c) {
  if (is_ascii(c)) return c == ' ' || (c >= '\t' && c <= '\r');
  const int category = property(c).category;
  return c == 0x85 || category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP;
}

bool is_control(char32_t c) {
  const int category = property(c).category;
  return (category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
          category == UTF8PROC_CATEGORY_CO) &&
         !contains(kTooNew, c);
}

bool is_punctuation(char32_t c) {
  if (is_ascii(c)) {
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
  }
  if (c == 0x166D || c == 0x111C9) return true;  // until Unicode 11 and 13
  const int category = property(c).category;
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO &&
         !contains(kTooNew, c);
}

bool is_mark(char32_t c) {
  if (c == 0x1734) return true;    // until Unicode 13
  if (c == 0x111C9) return false;  // punctuation, see above
  return property(c).category == UTF8PROC_CATEGORY_MN && !contains(kTooNew, c);
}

bool is_combining_mark(char32_t c) {
  if (c == 0x1CF2 || c == 0x1CF3) return true;  // until Unicode 12
  if (c == 0xCF3) return false;                 // since Unicode 15
  const int category = property(c).category;
  return category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME &&
         !contains(kNewSpacingMarks, c) && (!contains(kTooNew, c) || contains(kUnicode9, c));
}

bool is_letter(char32_t c) {
  const int category = property(c).category;
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
         contains(kNewLetters, c);
}

bool is_number(char32_t c) {
  const int category = property(c).category;
  return (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO) ||
         contains(kNewNumbers, c);
}

bool is_numeric(char32_t c) {
  // The last two are Unicode 17's.
  return is_number(c) || (c >= 0x11DE0 && c <= 0x11DE9) || (c >= 0x16FF4 && c <= 0x16FF6);
}

bool is_word(char32_t c) {
  if (is_ascii(c)) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
  }
  const int category = property(c).category;
  if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NL) return true;
  // Joiners; then symbols that are alphabetic: letters in circles and squares.
  return category == UTF8PROC_CATEGORY_PC || c == 0x200C || c == 0x200D ||
         (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
         (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189) ||
         contains(kNewLetters, c) || contains(kNewNumbers, c) || contains(kNewMarks, c);
}

int combining_class(char32_t c) {
  const int ccc = property(c).combining_class;
  return ccc == 0 || (contains(kTooNew, c) && !contains(kUnicode9, c)) ? 0 : ccc;
}

int decompose(char32_t c, bool compatible, char32_t out[kMaxDecomposed]) {
  out[0] = c;
  if (c == 0x11938 || contains(kNewCompatible, c)) return 1;  // they decompose since Unicode 10
  utf8proc_int32_t decomposed[kMaxDecomposed];
  const auto options = static_cast<utf8proc_option_t>(
      compatible ? UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT : UTF8PROC_DECOMPOSE);
  int boundary_class = 0;
  const auto n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), decomposed,
                                         kMaxDecomposed, options, &boundary_class);
  if (n < 1 || n > kMaxDecomposed) return 1;
  for (int i = 0; i < n; ++i) out[i] = static_cast<char32_t>(decomposed[i]);
  return static_cast<int>(n);
}

void append_lower(char32_t c, std::string* out) {
  if (c == 0x130) {  // the only character whose lower case is two
    out->append("i\xCC\x87");
    return;
  }
  char32_t lower = static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
  if (lower == c && c >= kNewCasePairs[0].first) {
    for (const CasePair& pair : kNewCasePairs) {
      if (c >= pair.first && c <= pair.last) lower = c + pair.distance;
    }
  }
  append_char(lower, out);
}

}  // namespace headlane
