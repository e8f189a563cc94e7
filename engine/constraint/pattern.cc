#include "engine/constraint/pattern.h"

#include <optional>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/constraint/limits.h"
#include "engine/text/unicode.h"

namespace headlane {
namespace {

using ll = long long;

const CharacterSet kDigits = {{'0', '9'}};
const CharacterSet kWords = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
const CharacterSet kSpaces = {{'\t', '\r'}, {' ', ' '}};
// What is white space to Python or to JavaScript. Who reads the texts may be either, so that \s
// stands for those of both alone (of ASCII), and its opposite has none of these.
const CharacterSet kAnyonesSpaces = {{'\t', '\r'},     {0x1C, ' '},      {0x85, 0x85},
                                     {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
                                     {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                                     {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};

class PatternParser {
 public:
  PatternParser(std::string_view pattern, const PatternUse& use, const std::string& where,
                Expressions* expressions)
      : pattern_(pattern), use_(use), where_(where), expressions_(*expressions) {}

  ExpressionId parse() {
    if (pattern_.size() > constraint_limits::kTextBytes) {
      fail(Status::kTooLarge, "%s has %zu bytes; it must have at most %zu", where_.c_str(),
           pattern_.size(), constraint_limits::kTextBytes);
    }
    if (valid_utf8_prefix(pattern_) != pattern_.size()) refuse("is not UTF-8");
    const ExpressionId whole = choice(true);
    if (pos_ < pattern_.size()) refuse_at("has a \")\" without its \"(\"", pos_);
    return whole;
  }

 private:
  [[noreturn]] void refuse(const char* what) const {
    fail(Status::kInvalidArgument, "%s %s", where_.c_str(), what);
  }
  [[noreturn]] void refuse_at(const char* what, size_t pos) const {
    fail(Status::kInvalidArgument, "%s %s at byte %zu", where_.c_str(), what, pos);
  }
  [[noreturn]] void lacks(const char* what, size_t pos) const {
    fail(Status::kUnsupported, "%s has %s at byte %zu, which Headlane does not have",
         where_.c_str(), what, pos);
  }

  bool ends() const { return pos_ == pattern_.size(); }
  bool sees(std::string_view text) const { return pattern_.substr(pos_).starts_with(text); }
  bool takes(std::string_view text) {
    if (!sees(text)) return false;
    pos_ += text.size();
    return true;
  }

  // All alternatives. Anchors are at the ends of the outermost ones alone.
  ExpressionId choice(bool outermost) {
    std::vector<ExpressionId> parts;
    do {
      parts.push_back(sequence(outermost));
    } while (takes("|"));
    return expressions_.choice(std::move(parts));
  }

  ExpressionId sequence(bool outermost) {
    std::vector<ExpressionId> parts;
    const bool anchored = outermost && takes("^");
    if (outermost && use_.searches && !anchored) parts.push_back(anything());
    bool ended = false;
    while (!ends() && !sees("|") && !sees(")")) {
      if (outermost && sees("$") && at_end_of_alternative(pos_ + 1)) {
        ended = takes("$");
        break;
      }
      parts.push_back(repeated());
    }
    if (outermost && use_.searches && !ended) parts.push_back(anything());
    return parts.size() == 1 ? parts[0] : expressions_.sequence(std::move(parts));
  }

  bool at_end_of_alternative(size_t pos) const {
    return pos == pattern_.size() || pattern_[pos] == '|';
  }

  ExpressionId anything() {
    return expressions_.repeat(use_.spell(without({}), &expressions_), 0,
                               ByteExpression::kUnlimited);
  }

  ExpressionId repeated() {
    ExpressionId part = atom();
    const size_t begin = pos_;
    std::optional<std::pair<int64_t, int64_t>> times = quantifier();
    if (!times) return part;
    part = expressions_.repeat(part, times->first, times->second);
    takes("?");  // which of the fits is taken makes no difference to the texts that fit
    if (sees("+")) lacks("a possessive repetition", begin);
    if (sees("*") || sees("?") || quantifier()) refuse_at("repeats a repetition", begin);
    return part;
  }

  std::optional<std::pair<int64_t, int64_t>> quantifier() {
    if (takes("*")) return std::pair(int64_t{0}, ByteExpression::kUnlimited);
    if (takes("+")) return std::pair(int64_t{1}, ByteExpression::kUnlimited);
    if (takes("?")) return std::pair(int64_t{0}, int64_t{1});
    const size_t begin = pos_;
    if (!takes("{")) return std::nullopt;
    const std::optional<int64_t> least = number();
    std::optional<int64_t> most = least;
    if (takes(",")) most = number().value_or(ByteExpression::kUnlimited);
    if (!takes("}") || !least)
      refuse_at("has a \"{\" that is no repetition; \\{ is the sign", begin);
    if (*most != ByteExpression::kUnlimited && *most < *least) {
      refuse_at("has a repetition whose end is before its beginning", begin);
    }
    return std::pair(*least, *most);
  }

  std::optional<int64_t> number() {
    const size_t begin = pos_;
    int64_t value = 0;
    for (; !ends() && pattern_[pos_] >= '0' && pattern_[pos_] <= '9'; ++pos_) {
      value = value * 10 + (pattern_[pos_] - '0');
      if (value <= constraint_limits::kRepeats) continue;
      fail(Status::kTooLarge, "%s repeats something more than %lld times, at byte %zu",
           where_.c_str(), ll{constraint_limits::kRepeats}, begin);
    }
    if (pos_ == begin) return std::nullopt;
    return value;
  }

  ExpressionId atom() {
    const size_t begin = pos_;
    if (takes("(")) return group(begin);
    if (takes("[")) return spelled(char_class(begin));
    if (takes(".")) return spelled(without(use_.line_ends));
    if (takes("\\")) return spelled(escape(begin, false, false));
    if (sees("^") || sees("$")) lacks("an anchor that is not at an end", begin);
    if (sees("*") || sees("+") || sees("?")) refuse_at("has a repetition of nothing", begin);
    if (sees("{")) refuse_at("has a \"{\" that repeats nothing; \\{ is the sign", begin);
    const char32_t c = next_char(pattern_, &pos_);
    return spelled({{c, c}});
  }

  ExpressionId spelled(const CharacterSet& set) { return use_.spell(set, &expressions_); }

  ExpressionId group(size_t begin) {
    if (++depth_ > kMostGroups) {
      fail(Status::kTooLarge, "%s nests groups more than %d deep", where_.c_str(), kMostGroups);
    }
    if (takes("?")) group_kind(begin);
    const ExpressionId inner = choice(false);
    if (!takes(")")) refuse_at("has a \"(\" without its \")\"", begin);
    --depth_;
    return inner;
  }

  // Groups are told apart by what follows their question mark; only those that group are known.
  void group_kind(size_t begin) {
    if (takes(":")) return;
    const bool named = takes("P<") || (sees("<") && !sees("<=") && !sees("<!") && takes("<"));
    if (!named) lacks("a group of the kind \"(?\"", begin);
    const size_t end = pattern_.find('>', pos_);
    if (end == std::string_view::npos) refuse_at("has a group whose name does not end", begin);
    pos_ = end + 1;
  }

  CharacterSet char_class(size_t begin) {
    const bool negated = takes("^");
    CharacterSet set;
    for (bool first = true;; first = false) {
      if (ends()) refuse_at("has a \"[\" without its \"]\"", begin);
      if (!first && takes("]")) break;
      if (first && sees("]")) lacks("a \"]\" at the beginning of a class", begin);
      if (sees("[:") || sees("[.") || sees("[=")) lacks("a POSIX class", pos_);
      if (sees("&&") || sees("--")) lacks("an operation on classes", pos_);
      add_members(&set, negated);
    }
    return negated ? without(set) : tidied(set);
  }

  // A character, a range of them, or a class that an escape names.
  void add_members(CharacterSet* set, bool negated) {
    const size_t begin = pos_;
    const CharacterSet from = member(negated);
    const bool is_range = sees("-") && pos_ + 1 < pattern_.size() && pattern_[pos_ + 1] != ']';
    if (!is_range) {
      set->insert(set->end(), from.begin(), from.end());
      return;
    }
    takes("-");
    const CharacterSet to = member(negated);
    if (!is_single(from) || !is_single(to) || to[0].first < from[0].first) {
      refuse_at("has a range in a class that is none", begin);
    }
    set->push_back({from[0].first, to[0].last});
  }

  static bool is_single(const CharacterSet& set) {
    return set.size() == 1 && set[0].first == set[0].last;
  }

  CharacterSet member(bool negated) {
    const size_t begin = pos_;
    if (takes("\\")) return escape(begin, true, negated);
    const char32_t c = next_char(pattern_, &pos_);
    return {{c, c}};
  }

  // `negated`: the set says which characters do not fit.
  CharacterSet escape(size_t begin, bool in_class, bool negated) {
    if (ends()) refuse_at("ends within an escape", begin);
    const char32_t c = next_char(pattern_, &pos_);
    switch (c) {
      case 'd':
        return kDigits;
      case 'D':
        return without(kDigits);
      case 'w':
        return kWords;
      case 'W':
        return without(kWords);
      case 's':
        return negated ? kAnyonesSpaces : kSpaces;
      case 'S':
        return without(negated ? kSpaces : kAnyonesSpaces);
      case 'n':
        return {{'\n', '\n'}};
      case 't':
        return {{'\t', '\t'}};
      case 'r':
        return {{'\r', '\r'}};
      case 'f':
        return {{'\f', '\f'}};
      case 'v':
        return {{'\v', '\v'}};
      case 'x':
        return hex(begin, 2);
      case 'u':
        return hex(begin, 4);
      case 'b':
        if (in_class) return {{'\b', '\b'}};
        break;
      case '0':
        if (ends() || pattern_[pos_] < '0' || pattern_[pos_] > '9') return {{0, 0}};
        break;
      default:
        if (c >= 0x80 || is_sign(c)) return {{c, c}};
    }
    lacks("an escape of this kind", begin);
  }

  static bool is_sign(char32_t c) {
    const bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    return c < 0x80 && !is_letter && !(c >= '0' && c <= '9');
  }

  CharacterSet hex(size_t begin, int n_digits) {
    char32_t value = 0;
    for (int i = 0; i < n_digits; ++i) {
      const char c = ends() ? '\0' : pattern_[pos_++];
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) refuse_at("has an escape whose hexadecimal digits are not there", begin);
      value = value * 16 + static_cast<char32_t>(digit);
    }
    if (value >= 0xD800 && value <= 0xDFFF)
      refuse_at("has a surrogate, which is no character,", begin);
    return {{value, value}};
  }

  static constexpr int kMostGroups = 100;

  std::string_view pattern_;
  const PatternUse& use_;
  const std::string& where_;
  Expressions& expressions_;
  size_t pos_ = 0;
  int depth_ = 0;
};

}  // namespace

ExpressionId parse_pattern(std::string_view pattern, const PatternUse& use,
                           const std::string& where, Expressions* expressions) {
  return PatternParser(pattern, use, where, expressions).parse();
}

}  // namespace headlane
