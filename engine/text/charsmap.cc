// SentencePiece's compiled character maps: a double array (Darts-clone) whose values are places in
// a list of texts.
//
// A search stands at `base` of the array. The unit at base ^ byte is the next byte's if its lowest
// byte is that byte and its highest bit is 0; its own place ^ offset is the base behind it. Where
// bit 8 is set, a rule ends there, and the unit at the new base holds its value.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "engine/file/limits.h"
#include "engine/text/sentencepiece_model.h"

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
  }

  const std::string& where_;
  std::vector<uint32_t> units_;
  std::string_view texts_;
};

}  // namespace

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
