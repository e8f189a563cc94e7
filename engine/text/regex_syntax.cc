#include "engine/text/regex_syntax.h"

#include <algorithm>
#include <cstdio>
#include <initializer_list>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/text/regex_properties.h"
#include "engine/text/unicode.h"

namespace headlane {
namespace {

constexpr int kMaxRepeats = 1000;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_ascii_letter(char32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

std::string joined(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const std::string_view part : parts) text.append(part);
  return text;
}
std::string one_of(std::string_view items) { return joined({"[", items, "]"}); }
std::string none_of(std::string_view items) { return joined({"[^", items, "]"}); }

class Translator {
 public:
  Translator(std::string_view regex, const std::string& where) : text_(regex), where_(where) {}

  std::string translate() {
    if (text_.starts_with("(?i)")) {
      pos_ = 4;
      out_ = "(?i)";
      folds_ = true;
    }
    alternatives();
    if (pos_ < text_.size()) broken("a ) without its (");
    return out_;
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    fail(Status::kUnsupported,
         "%s field \"Regex\": Headlane does not support the regular expression \"%s\": %s",
         where_.c_str(), printable(text_).c_str(), printable(what).c_str());
  }
  [[noreturn]] void broken(std::string_view what) const {
    fail(Status::kBadFile, "%s field \"Regex\": \"%s\" is no regular expression: %s",
         where_.c_str(), printable(text_).c_str(), printable(what).c_str());
  }

  bool at_end() const { return pos_ >= text_.size(); }
  bool starts(std::string_view what) const { return text_.substr(pos_).starts_with(what); }
  bool take(std::string_view what) {
    if (!starts(what)) return false;
    pos_ += what.size();
    return true;
  }

  // PCRE2 takes at most 250 groups within each other, so this does not go deep.
  void alternatives() {
    if (++depth_ > 200) refuse("more than 200 groups within each other");
    while (!at_end() && text_[pos_] != ')') {
      if (take("|")) {
        out_ += '|';
        last_letter_ = 0;
        continue;
      }
      const bool repeats = atom();
      if (repeats) quantifier();
    }
    --depth_;
  }

  // Returns whether it may be repeated.
  bool atom() {
    const char c = text_[pos_];
    if (c == '(') return group();
    const char32_t before = std::exchange(last_letter_, 0);
    if (c == '[') {
      character_class();
    } else if (c == '\\') {
      return escape();
    } else if (take(".")) {
      out_ += "[^\\x{A}]";
    } else if (take("^")) {
      out_ += "(?m:^)";
      return false;
    } else if (take("$")) {
      out_ += "(?m:$)";
      return false;
    } else if (c == '*' || c == '+' || c == '?') {
      refuse("a repetition of nothing, or of one");
    } else {
      last_letter_ = before;
      literal(next_char(text_, &pos_));
    }
    return true;
  }

  bool group() {
    last_letter_ = 0;
    bool repeats = true;
    const bool folded = folds_;
    if (take("(?i:")) {
      folds_ = true;
      out_ += "(?i:";
    } else {
      bool known = false;
      for (const char* begin : {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"}) {
        if (!take(begin)) continue;
        out_ += begin;
        repeats = begin[2] == ':' || begin[2] == '>';
        known = true;
        break;
      }
      if (!known) {
        if (starts("(?") || starts("(*")) refuse(joined({"the group ", text_.substr(pos_, 4)}));
        take("(");
        out_ += "(?:";
      }
    }
    alternatives();
    if (!take(")")) broken("a ( without its )");
    out_ += ')';
    folds_ = folded;
    last_letter_ = 0;
    return repeats;
  }

  // Oniguruma also folds several letters into one, such as ss, and PCRE2 does not.
  void literal(char32_t c) {
    if (folds_) {
      if (c >= 0x80) refuse("a character beyond ASCII where case does not matter");
      if (is_ascii_letter(c)) {
        const char32_t lower = c | 0x20, before = last_letter_;
        const bool together = (before == 's' && (lower == 's' || lower == 't')) ||
                              (before == 'f' && (lower == 'f' || lower == 'i' || lower == 'l'));
        if (together) refuse("letters that are one character where case does not matter");
        last_letter_ = lower;
      } else {
        last_letter_ = 0;
      }
    }
    put(c);
  }

  void put(char32_t c) {
    char code[16];
    std::snprintf(code, sizeof code, "\\x{%X}", static_cast<unsigned>(c));
    out_ += code;
  }

  int number() {
    int value = 0;
    if (at_end() || !is_digit(text_[pos_])) return -1;
    for (; !at_end() && is_digit(text_[pos_]); ++pos_) {
      value = value * 10 + (text_[pos_] - '0');
      if (value > kMaxRepeats) refuse("more than 1000 repetitions");
    }
    return value;
  }

  void quantifier() {
    if (at_end()) return;
    const size_t begin = pos_;
    if (take("*") || take("+") || take("?")) {
      out_ += text_[begin];
      if (starts("?") || starts("+")) out_ += text_[pos_++];
    } else if (starts("{")) {
      if (!interval()) return;
    } else {
      return;
    }
    last_letter_ = 0;
    if (starts("*") || starts("+") || starts("?")) refuse("a repetition of a repetition");
    if (starts("{") && interval()) refuse("a repetition of a repetition");
  }

  // {2}, {2,}, {2,3}, {,3}; false if it is none, so that the brace is a character.
  bool interval() {
    const size_t begin = pos_++;
    const int least = number();
    int most = least;
    const bool range = take(",");
    if (range) most = number();
    if (!take("}") || (least < 0 && most < 0)) {
      pos_ = begin;
      return false;
    }
    if (range && most >= 0 && least > most) refuse("a repetition with its larger number first");
    out_.append("{").append(std::to_string(std::max(least, 0)));
    if (range) out_.append(",");
    if (range && most >= 0) out_.append(std::to_string(most));
    out_.append("}");
    if (starts("?")) {
      if (!range) refuse("a question mark behind {n}");
      out_ += text_[pos_++];
    }
    if (starts("+")) refuse("a plus sign behind {n,m}");
    return true;
  }

  // The items of \d, \w, \s, \h and \p{...} at the place behind a backslash; "" if it is none of
  // them. `negated` becomes whether it is all except these.
  std::string set_items(bool in_class, bool* negated) {
    const char c = text_[pos_];
    *negated = c >= 'A' && c <= 'Z';
    std::string items;
    switch (c | 0x20) {
      case 'd':
        items = property_items("Nd");
        break;
      case 'w':
        items = word_items(in_class);
        break;
      case 's':
        items = kSpaceItems;
        break;
      case 'h':
        items = R"(\x{30}-\x{39}\x{41}-\x{46}\x{61}-\x{66})";
        break;
      case 'p':
        return property(negated);
      default:
        return {};
    }
    ++pos_;
    return items;
  }

  std::string property(bool* negated) {
    const size_t end = text_.find('}', pos_);
    if (text_.substr(pos_ + 1, 1) != "{" || end == std::string_view::npos) {
      refuse("\\p without {...}");
    }
    std::string_view name = text_.substr(pos_ + 2, end - pos_ - 2);
    if (name.starts_with('^')) {
      *negated = !*negated;
      name.remove_prefix(1);
    }
    std::string items = property_items(name);
    if (items.empty()) refuse(joined({"the property \\p{", name, "}"}));
    pos_ = end + 1;
    return items;
  }

  void refuse_folded_set() const {
    if (folds_) refuse("a set of characters where case does not matter");
  }

  bool escape() {
    ++pos_;
    if (at_end()) broken("a backslash at its end");
    bool negated = false;
    const std::string items = set_items(false, &negated);
    if (!items.empty()) {
      refuse_folded_set();
      out_ += negated ? none_of(items) : one_of(items);
      return true;
    }
    const std::string word = one_of(word_items(false));
    if (take("b")) {
      out_ += joined({"(?:(?<=", word, ")(?!", word, ")|(?<!", word, ")(?=", word, "))"});
      return false;
    }
    if (take("B")) {
      out_ += joined({"(?:(?<=", word, ")(?=", word, ")|(?<!", word, ")(?!", word, "))"});
      return false;
    }
    for (const char* anchor : {"A", "z", "Z"}) {
      if (!take(anchor)) continue;
      out_.append("\\").append(anchor);
      return false;
    }
    literal(escaped_char());
    return true;
  }

  int hex_digit(char c) const {
    if (is_digit(c)) return c - '0';
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
  }

  // A number of `least` to `most` hexadecimal digits.
  char32_t hex(int least, int most) {
    char32_t value = 0;
    int n = 0;
    for (; n < most && !at_end() && hex_digit(text_[pos_]) >= 0; ++n) {
      value = value << 4 | static_cast<char32_t>(hex_digit(text_[pos_++]));
    }
    if (n < least || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
      refuse("a number of a character that is none");
    }
    return value;
  }

  // The character at the place behind a backslash.
  char32_t escaped_char() {
    const char c = text_[pos_];
    constexpr std::pair<char, char32_t> kControls[] = {{'n', '\n'},  {'r', '\r'},   {'t', '\t'},
                                                       {'f', '\f'},  {'v', '\x0B'}, {'a', '\x07'},
                                                       {'e', '\x1B'}};
    for (const auto& [letter, control] : kControls) {
      if (c != letter) continue;
      ++pos_;
      return control;
    }
    if (take("x{")) {
      const char32_t value = hex(1, 6);
      if (!take("}")) refuse("\\x{ without its }");
      return value;
    }
    if (take("u")) return hex(4, 4);
    if (take("x")) {
      const char32_t value = hex(2, 2);
      if (value >= 0x80) refuse("a byte that is no ASCII character");
      return value;
    }
    if (is_digit(c) || is_ascii_letter(static_cast<uint8_t>(c))) {
      refuse(joined({"\\", {&c, 1}}));
    }
    return next_char(text_, &pos_);
  }

  void character_class() {
    ++pos_;
    const bool negated = take("^");
    if (starts("]")) refuse("a class that begins with ]");
    if (negated) refuse_folded_set();
    const size_t begin = out_.size();
    out_ += negated ? "[^" : "[";
    int n_items = 0;
    bool only_negated = false;  // its only item so far is all except something
    while (!starts("]")) {
      if (at_end()) broken("a [ without its ]");
      if (only_negated) refuse("a class with \\P, \\W, \\D or \\H and something else");
      ++n_items;
      only_negated = class_item(n_items == 1);
    }
    ++pos_;
    out_ += ']';
    if (!only_negated) return;
    // Written as a class of its own.
    std::string items = out_.substr(begin + (negated ? 2 : 1));
    items.pop_back();
    out_.resize(begin);
    out_ += negated ? one_of(items) : none_of(items);
  }

  // Returns whether it is all except what was written, which only a first item may be.
  bool class_item(bool is_first) {
    if (starts("[") || starts("&&")) refuse("a class within a class");
    if (starts("\\")) {
      ++pos_;
      if (at_end()) broken("a backslash at its end");
      const size_t begin = pos_;
      bool negated = false;
      const std::string items = set_items(true, &negated);
      if (!items.empty()) {
        refuse_folded_set();
        if (starts("-") && !text_.substr(pos_).starts_with("-]")) refuse("a range from a set");
        if (text_[begin] == 'S') {
          out_ += kNoSpaceItems;
          return false;
        }
        if (negated && !is_first) refuse("a class with \\P, \\W, \\D or \\H and something else");
        out_ += items;
        return negated;
      }
      pos_ = begin - 1;
    }
    const char32_t first = class_char();
    if (!starts("-") || text_.substr(pos_).starts_with("-]")) {
      put(first);
      return false;
    }
    ++pos_;
    if (starts("[")) refuse("a class within a class");
    const char32_t last = class_char();
    if (last < first) broken("a range with its larger end first");
    put(first);
    out_ += '-';
    put(last);
    return false;
  }

  char32_t class_char() {
    if (at_end()) broken("a [ without its ]");
    if (!take("\\")) {
      const char32_t c = next_char(text_, &pos_);
      if (folds_ && c >= 0x80) refuse("a character beyond ASCII where case does not matter");
      return c;
    }
    if (at_end()) broken("a backslash at its end");
    if (take("b")) return '\b';
    const char32_t c = escaped_char();
    if (folds_ && c >= 0x80) refuse("a character beyond ASCII where case does not matter");
    return c;
  }

  std::string_view text_;
  const std::string& where_;
  size_t pos_ = 0;
  std::string out_;
  bool folds_ = false;        // case does not matter
  char32_t last_letter_ = 0;  // the letter just before, in lower case, where case does not matter
  int depth_ = 0;
};

}  // namespace

std::string pcre_of(std::string_view regex, const std::string& where) {
  return Translator(regex, where).translate();
}

}  // namespace headlane
