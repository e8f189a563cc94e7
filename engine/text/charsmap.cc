// SentencePiece's compiled character maps: a double array (Darts-clone) whose values are places in
// a list of texts.
//
// A search stands at `base` of the array. The unit at base ^ byte is the next byte's if its lowest
// byte is that byte and its highest bit is 0; its own place ^ offset is the base behind it. Where
// bit 8 is set, a rule ends there, and the unit at the new base holds its value.
#include "engine/text/charsmap.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "engine/file/limits.h"
#include "engine/text/sentencepiece_model.h"
#include "engine/text/unicode.h"

namespace headlane {
namespace {

constexpr auto kMaxCharsmapBytes = static_cast<size_t>(file_limits::kCharsmapBytes);
constexpr auto kMaxRuleBytes = static_cast<size_t>(file_limits::kRuleBytes);
constexpr auto kMaxReplacementBytes = static_cast<size_t>(file_limits::kReplacementBytes);

uint32_t read_u32(std::string_view bytes, size_t pos) {
  uint32_t value = 0;
  for (size_t i = 4; i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[pos + i]);
  return value;
}

void append_u32(uint32_t value, std::string* out) {
  for (int shift = 0; shift < 32; shift += 8) out->push_back(static_cast<char>(value >> shift));
}

class Checker {
 public:
  Checker(std::string_view charsmap, const std::string& where) : where_(where) {
    if (charsmap.size() < 4 || charsmap.size() > kMaxCharsmapBytes) broken("its size");
    const size_t trie_bytes = read_u32(charsmap, 0);
    charsmap.remove_prefix(4);
    if (trie_bytes > charsmap.size() || trie_bytes % 4 != 0 || trie_bytes == 0) {
      broken("the size of its trie");
    }
    for (size_t pos = 0; pos < trie_bytes; pos += 4) units_.push_back(read_u32(charsmap, pos));
    texts_ = charsmap.substr(trie_bytes);
  }

  void check() const {
    // For each place in the array: whether it is the base behind the first i bytes of some rule.
    std::vector<bool> bases(units_.size()), next(units_.size());
    bases[checked_base(offset(0))] = true;
    for (size_t length = 0; step(bases, &next); ++length) {
      if (length == kMaxRuleBytes) broken("a rule of more than 32 bytes");
      bases.swap(next);
    }
  }

 private:
  [[noreturn]] void broken(const char* what) const {
    fail(Status::kBadFile, "%s: the character map of its normalizer is broken: %s", where_.c_str(),
         what);
  }

  size_t offset(size_t place) const {
    const uint32_t unit = units_[place];
    return static_cast<size_t>(unit >> 10) << ((unit & (1U << 9)) >> 6);
  }
  size_t checked_base(size_t base) const {
    if ((base | 0xFF) >= units_.size()) broken("a unit of its trie points beyond it");
    return base;
  }

  // From the bases of one length to those of the next; false if there are none. A unit has one base
  // that leads to it, so looking at all units finds all steps.
  bool step(const std::vector<bool>& bases, std::vector<bool>* next) const {
    std::fill(next->begin(), next->end(), false);
    bool any = false;
    for (size_t place = 0; place < units_.size(); ++place) {
      const uint32_t unit = units_[place];
      const size_t base = place ^ (unit & 0xFF);
      if (unit >> 31 != 0 || base >= bases.size() || !bases[base]) continue;
      const size_t reached = checked_base(place ^ offset(place));
      if ((unit >> 8 & 1) != 0) check_value(units_[reached] & 0x7FFFFFFF);
      (*next)[reached] = true;
      any = true;
    }
    return any;
  }

  void check_value(size_t value) const {
    if (value >= texts_.size()) broken("a rule's text lies beyond it");
    if (texts_.substr(value, kMaxReplacementBytes + 1).find('\0') == std::string_view::npos) {
      broken("a rule's text has no end, or more than 64 bytes");
    }
    const std::string_view text = texts_.substr(value, texts_.find('\0', value) - value);
    if (valid_utf8_prefix(text) != text.size()) broken("a rule's text is not UTF-8");
  }

  const std::string& where_;
  std::vector<uint32_t> units_;
  std::string_view texts_;
};

}  // namespace

namespace {

// Marks of Unicode 16 and 17, with which a grapheme goes on.
bool is_new_mark(utf8proc_int32_t c) {
  return c == 0x897 || (c >= 0x1ACF && c <= 0x1ADD) || (c >= 0x1AE0 && c <= 0x1AEB);
}

// Whether a grapheme ends behind it, whatever follows.
bool ends_grapheme(utf8proc_int32_t c) {
  const int kind = utf8proc_get_property(c)->boundclass;
  return kind == UTF8PROC_BOUNDCLASS_CONTROL || kind == UTF8PROC_BOUNDCLASS_CR ||
         kind == UTF8PROC_BOUNDCLASS_LF;
}

// The end of the grapheme at text[pos].
size_t grapheme_end(std::string_view text, size_t pos) {
  size_t end = pos;
  utf8proc_int32_t state = 0;
  auto c = static_cast<utf8proc_int32_t>(next_char(text, &end));
  while (end < text.size()) {
    size_t next = end;
    const auto following = static_cast<utf8proc_int32_t>(next_char(text, &next));
    const bool is_break = utf8proc_grapheme_break_stateful(c, following, &state);
    if (is_break && (!is_new_mark(following) || ends_grapheme(c))) break;
    c = following;
    end = next;
  }
  return end;
}

}  // namespace

Charsmap::Charsmap(std::span<const std::byte> bytes, const std::string& where) {
  const std::string_view map(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  check_charsmap(map, where);
  const size_t trie_bytes = read_u32(map, 0);
  for (size_t pos = 4; pos < 4 + trie_bytes; pos += 4) units_.push_back(read_u32(map, pos));
  texts_ = map.substr(4 + trie_bytes);
  for (size_t c = 0; c < is_kept_.size(); ++c) {
    const char byte = static_cast<char>(c);
    is_kept_[c] = byte != '\r' && !replacement({&byte, 1});  // "\r\n" is one grapheme
  }
}

std::optional<std::string_view> Charsmap::replacement(std::string_view part) const {
  const auto offset = [this](size_t place) {
    return static_cast<size_t>(units_[place] >> 10) << ((units_[place] & (1U << 9)) >> 6);
  };
  size_t base = offset(0);
  for (const char byte : part) {
    if (byte == '\0') break;
    const size_t place = base ^ static_cast<uint8_t>(byte);
    const uint32_t unit = units_[place];
    if ((unit & (1U << 31 | 0xFF)) != static_cast<uint8_t>(byte)) break;
    base = place ^ offset(place);
    if ((unit >> 8 & 1) != 0) {
      const size_t begin = units_[base] & 0x7FFFFFFF;
      return std::string_view(texts_).substr(begin, texts_.find('\0', begin) - begin);
    }
  }
  return {};
}

void Charsmap::normalize(const NormalText& in, NormalText* out) const {
  constexpr size_t kGraphemeBytes = 6;  // and more: taken character by character
  const std::string_view text = in.text;
  *out = {};
  out->text.reserve(text.size());
  // The library takes what follows a character that it drops at the beginning for that character.
  size_t first_bytes = in.first_bytes;
  const auto put = [&](size_t begin, size_t end) {
    const std::optional<std::string_view> made = replacement(text.substr(begin, end - begin));
    out->text.append(made ? *made : text.substr(begin, end - begin));
    if (begin < first_bytes) {
      out->first_bytes = out->text.size();
      if (out->text.empty()) first_bytes = end + 1;
    }
  };
  for (size_t pos = 0; pos < text.size();) {
    const size_t start = pos;
    while (pos < text.size() && is_ascii(text[pos]) && is_kept_[static_cast<uint8_t>(text[pos])] &&
           (pos + 1 == text.size() || is_ascii(text[pos + 1]))) {
      ++pos;
    }
    if (pos > start) {
      out->text.append(text.substr(start, pos - start));
      if (start < first_bytes) out->first_bytes = 1;
      continue;
    }
    const size_t end = grapheme_end(text, pos);
    const std::string_view grapheme = text.substr(pos, end - pos);
    if (grapheme.size() < kGraphemeBytes && replacement(grapheme)) {
      put(pos, end);
      pos = end;
      continue;
    }
    while (pos < end) {
      const size_t begin = pos;
      next_char(text, &pos);
      put(begin, pos);
    }
  }
}

void check_charsmap(std::string_view charsmap, const std::string& where) {
  Checker(charsmap, where).check();
}

std::string empty_charsmap() {
  // The first unit points to a block of leaves, which are no byte's.
  constexpr uint32_t kBlock = 256;
  std::string map;
  append_u32(2 * kBlock * 4, &map);
  for (uint32_t i = 0; i < 2 * kBlock; ++i) append_u32(i == 0 ? kBlock << 10 : 1U << 31, &map);
  map.push_back('\0');
  return map;
}

}  // namespace headlane
