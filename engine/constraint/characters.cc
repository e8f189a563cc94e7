#include "engine/constraint/characters.h"

#include <algorithm>
#include <cstdio>

namespace headlane {
namespace {

constexpr char32_t kLast = 0x10FFFF, kFirstSurrogate = 0xD800, kLastSurrogate = 0xDFFF;

ByteSet byte_range(uint32_t first, uint32_t last) {
  ByteSet set;
  for (uint32_t byte = first; byte <= last; ++byte) set.set(byte);
  return set;
}

ExpressionId byte_of_range(uint32_t first, uint32_t last, Expressions* expressions) {
  return expressions->bytes(byte_range(first, last));
}

// Characters from first to last, all of n bytes: where their first bytes differ, the ones that
// begin and end the range by themselves, and those between, whose other bytes are any.
void add_utf8(char32_t first, char32_t last, int n, Expressions* expressions,
              std::vector<ExpressionId>* before, std::vector<ExpressionId>* out, bool is_lead) {
  const int shift = 6 * (n - 1);
  const uint32_t mark = !is_lead ? 0x80 : n == 1 ? 0 : n == 2 ? 0xC0 : n == 3 ? 0xE0 : 0xF0;
  const auto with = [&](ExpressionId byte, char32_t from, char32_t to) {
    before->push_back(byte);
    if (n == 1) {
      out->push_back(expressions->sequence(*before));
    } else {
      add_utf8(from, to, n - 1, expressions, before, out, false);
    }
    before->pop_back();
  };
  const char32_t rest = (char32_t{1} << shift) - 1;
  char32_t head = first >> shift;
  char32_t tail = last >> shift;
  const bool begins_whole = (first & rest) == 0, ends_whole = (last & rest) == rest;
  if (head == tail) {
    return with(expressions->byte(static_cast<uint8_t>(mark | head)), first & rest, last & rest);
  }
  if (!begins_whole) {
    with(expressions->byte(static_cast<uint8_t>(mark | head)), first & rest, rest);
    ++head;
  }
  const char32_t last_head = tail;
  if (!ends_whole) --tail;
  if (head <= tail) with(byte_of_range(mark | head, mark | tail, expressions), 0, rest);
  if (!ends_whole) {
    with(expressions->byte(static_cast<uint8_t>(mark | last_head)), 0, last & rest);
  }
}

}  // namespace

CharacterSet tidied(const CharacterSet& set) {
  CharacterSet cut;
  for (const CharacterRange range : set) {
    const char32_t last = std::min(range.last, kLast);
    const CharacterRange low = {range.first, std::min<char32_t>(last, kFirstSurrogate - 1)};
    const CharacterRange high = {std::max<char32_t>(range.first, kLastSurrogate + 1), last};
    for (const CharacterRange part : {low, high}) {
      if (part.first <= part.last) cut.push_back(part);
    }
  }
  std::ranges::sort(cut, {}, &CharacterRange::first);
  CharacterSet out;
  for (const CharacterRange range : cut) {
    if (!out.empty() && range.first <= out.back().last + 1) {
      out.back().last = std::max(out.back().last, range.last);
    } else {
      out.push_back(range);
    }
  }
  return out;
}

CharacterSet without(const CharacterSet& set) {
  CharacterSet others;
  char32_t next = 0;
  for (const CharacterRange range : tidied(set)) {
    if (range.first > next) others.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLast) others.push_back({next, kLast});
  return tidied(others);
}

ExpressionId utf8_of(const CharacterSet& set, Expressions* expressions) {
  constexpr CharacterRange kLengths[] = {
      {0, 0x7F}, {0x80, 0x7FF}, {0x800, 0xFFFF}, {0x10000, kLast}};
  ByteSet single;
  std::vector<ExpressionId> choices, before;
  for (const CharacterRange range : tidied(set)) {
    for (int n = 1; n <= 4; ++n) {
      const char32_t first = std::max(range.first, kLengths[n - 1].first);
      const char32_t last = std::min(range.last, kLengths[n - 1].last);
      if (first > last) continue;
      if (n == 1) {
        single |= byte_range(first, last);
      } else {
        add_utf8(first, last, n, expressions, &before, &choices, true);
      }
    }
  }
  if (single.any()) choices.push_back(expressions->bytes(single));
  return expressions->choice(std::move(choices));
}

ExpressionId json_of(const CharacterSet& set, Expressions* expressions) {
  constexpr CharacterRange kControls = {0, 0x1F};
  CharacterSet plain;
  std::vector<ExpressionId> choices;
  const auto is_special = [](char32_t c) { return c <= kControls.last || c == '"' || c == '\\'; };
  for (const CharacterRange range : tidied(set)) {
    for (char32_t c = range.first; c <= std::min<char32_t>(range.last, 0x7F); ++c) {
      if (!is_special(c)) {
        plain.push_back({c, c});
        continue;
      }
      char escape[8];
      constexpr char kShort[] = "\"\"\\\\\bb\ff\nn\rr\tt";
      escape[0] = '\0';
      for (const char* at = kShort; *at != '\0'; at += 2) {
        if (static_cast<char32_t>(*at) == c) std::snprintf(escape, sizeof escape, "\\%c", at[1]);
      }
      if (escape[0] == '\0') {
        std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      }
      choices.push_back(expressions->text(escape));
    }
    if (range.last > 0x7F) plain.push_back({std::max<char32_t>(range.first, 0x80), range.last});
  }
  if (!plain.empty()) choices.push_back(utf8_of(plain, expressions));
  return expressions->choice(std::move(choices));
}

}  // namespace headlane
