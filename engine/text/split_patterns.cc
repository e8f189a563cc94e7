#include "engine/text/split_patterns.h"

#include <array>
#include <iterator>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/text/regex.h"
#include "engine/text/spec_fields.h"
#include "engine/text/unicode.h"

namespace headlane {
namespace {

using json = Json;

enum CharClass : uint8_t { kLetter, kNumber, kSpace, kOther, kNotAscii };

constexpr std::array<CharClass, 256> make_classes() {
  std::array<CharClass, 256> classes = {};
  for (int c = 0; c < 256; ++c) {
    const bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    classes[c] = c >= 0x80                              ? kNotAscii
                 : letter                               ? kLetter
                 : c >= '0' && c <= '9'                 ? kNumber
                 : c == ' ' || (c >= '\t' && c <= '\r') ? kSpace
                                                        : kOther;
  }
  return classes;
}
constexpr std::array<CharClass, 256> kClasses = make_classes();

// The class of the character at text[*pos], which is stepped over.
CharClass next_class(std::string_view text, size_t* pos) {
  const CharClass ascii = kClasses[static_cast<uint8_t>(text[*pos])];
  if (ascii != kNotAscii) {
    ++*pos;
    return ascii;
  }
  const char32_t c = next_char(text, pos);
  return is_letter(c) ? kLetter : is_number(c) ? kNumber : is_space(c) ? kSpace : kOther;
}

// Where the run of a class that goes on at text[pos] ends.
size_t run_end(std::string_view text, size_t pos, CharClass of) {
  while (pos < text.size()) {
    size_t next = pos;
    if (next_class(text, &next) != of) break;
    pos = next;
  }
  return pos;
}

bool is_newline(char c) { return c == '\r' || c == '\n'; }

// The length of the contraction that `text` begins with: 's 't 're 've 'm 'll 'd; 0 if none.
// Where case does not matter, U+017F is an s too.
size_t contraction(std::string_view text, bool any_case) {
  constexpr std::string_view kContractions[] = {"s", "t", "re", "ve", "m", "ll", "d"};
  if (!text.starts_with('\'')) return 0;
  text.remove_prefix(1);
  for (const std::string_view letters : kContractions) {
    size_t i = 0;
    while (i < letters.size() && i < text.size() &&
           (any_case && text[i] >= 'A' && text[i] <= 'Z' ? text[i] + ('a' - 'A') : text[i]) ==
               letters[i]) {
      ++i;
    }
    if (i == letters.size()) return 1 + i;
  }
  return any_case && text.starts_with("\xC5\xBF") ? 3 : 0;
}

// The end of what \s+(?!\S)|\s+ matches at text[pos], where a run of white space begins: all of it
// at the end of the text, else all except its last character, if that leaves any.
size_t space_end(std::string_view text, size_t pos) {
  size_t end = pos, last = pos;
  while (end < text.size()) {
    size_t next = end;
    if (next_class(text, &next) != kSpace) return last > pos ? last : end;
    last = end;
    end = next;
  }
  return end;
}

// Patterns that match everywhere: each match begins where the last one ended.
class WordPattern : public SplitPattern {
 public:
  void find_all(std::string_view text, std::vector<TextMatch>* matches) const final {
    for (size_t pos = 0; pos < text.size(); pos = matches->back().end) {
      matches->push_back({pos, match_end(text, pos)});
    }
  }

 private:
  virtual size_t match_end(std::string_view text, size_t pos) const = 0;
};

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
class Gpt2Pattern : public WordPattern {
 private:
  size_t match_end(std::string_view text, size_t pos) const override {
    const size_t short_form = contraction(text.substr(pos), false);
    if (short_form > 0) return pos + short_form;
    size_t next = pos;
    CharClass of = next_class(text, &next);
    if (text[pos] == ' ' && next < text.size()) of = next_class(text, &next);
    return of == kSpace ? space_end(text, pos) : run_end(text, next, of);
  }
};

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
// \s*[\r\n]+|\s+(?!\S)|\s+, with another number of digits.
class Cl100kPattern : public WordPattern {
 public:
  explicit Cl100kPattern(int max_digits) : max_digits_(max_digits) {}

 private:
  size_t match_end(std::string_view text, size_t pos) const override {
    const size_t short_form = contraction(text.substr(pos), true);
    if (short_form > 0) return pos + short_form;
    size_t next = pos;
    const CharClass of = next_class(text, &next);
    if (of == kLetter) return run_end(text, next, kLetter);
    if (of == kNumber) return digits_end(text, next);
    size_t second = next;
    const CharClass follows = next < text.size() ? next_class(text, &second) : kSpace;
    if (follows == kLetter && !is_newline(text[pos])) return run_end(text, second, kLetter);
    if (of == kOther) return other_end(text, next);
    if (text[pos] == ' ' && follows == kOther) return other_end(text, second);
    return white_end(text, pos);
  }

  size_t digits_end(std::string_view text, size_t pos) const {
    for (int n = 1; n < max_digits_ && pos < text.size(); ++n) {
      size_t next = pos;
      if (next_class(text, &next) != kNumber) break;
      pos = next;
    }
    return pos;
  }

  static size_t other_end(std::string_view text, size_t pos) {
    pos = run_end(text, pos, kOther);
    while (pos < text.size() && is_newline(text[pos])) ++pos;
    return pos;
  }

  static size_t white_end(std::string_view text, size_t pos) {
    const size_t end = run_end(text, pos, kSpace);
    const size_t newline = text.substr(pos, end - pos).find_last_of("\r\n");
    return newline == std::string_view::npos ? space_end(text, pos) : pos + newline + 1;
  }

  int max_digits_;
};

class StringPattern : public SplitPattern {
 public:
  explicit StringPattern(std::string what) : what_(std::move(what)) {}
  void find_all(std::string_view text, std::vector<TextMatch>* matches) const override {
    for (size_t pos = text.find(what_); pos != std::string_view::npos;
         pos = text.find(what_, matches->back().end)) {
      matches->push_back({pos, pos + what_.size()});
    }
  }

 private:
  std::string what_;
};

// A run of at least `least` characters of one kind.
class RunPattern : public SplitPattern {
 public:
  RunPattern(bool (*is_in)(char32_t), int least) : is_in_(is_in), least_(least) {}
  void find_all(std::string_view text, std::vector<TextMatch>* matches) const override {
    for (size_t pos = 0; pos < text.size();) {
      const size_t begin = pos;
      int n = 0;
      while (pos < text.size()) {
        size_t next = pos;
        if (!is_in_(next_char(text, &next))) break;
        pos = next;
        n += n < least_;
      }
      if (n >= least_) matches->push_back({begin, pos});
      if (n == 0) next_char(text, &pos);
    }
  }

 private:
  bool (*is_in_)(char32_t);
  int least_;
};

bool is_blank(char32_t c) { return c == ' '; }
bool is_ascii_newline(char32_t c) { return c == '\r' || c == '\n'; }

template <typename Pattern, auto... args>
std::unique_ptr<SplitPattern> make() {
  return std::make_unique<Pattern>(args...);
}

struct Known {
  std::string_view regex;
  std::unique_ptr<SplitPattern> (*make)();
};

constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr Known kKnown[] = {
    {kGpt2, make<Gpt2Pattern>},
    {R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
     make<Gpt2Pattern>},
    // GPT-4 (cl100k) and Llama 3.
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
     R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     make<Cl100kPattern, 3>},
    {R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
     R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     make<Cl100kPattern, 3>},
    // Qwen 2 and 3.
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
     R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     make<Cl100kPattern, 1>},
    {R"( {2,})", make<RunPattern, is_blank, 2>},
    {R"( +)", make<RunPattern, is_blank, 1>},
    {R"(\s+)", make<RunPattern, is_space, 1>},
    {R"([\r\n]+)", make<RunPattern, is_ascii_newline, 1>},
    {R"(\p{N}+)", make<RunPattern, is_number, 1>},
};

}  // namespace

std::unique_ptr<SplitPattern> gpt2_pattern() { return std::make_unique<Gpt2Pattern>(); }

std::unique_ptr<SplitPattern> read_pattern(const json& pattern, const std::string& where) {
  if (json_has(pattern, "String", where)) {
    const std::string what = read_step_text(pattern, "String", where);
    if (!what.empty()) return std::make_unique<StringPattern>(what);
    fail(Status::kBadFile, "%s field \"String\" is empty", where.c_str());
  }
  const std::string regex = json_string(pattern, "Regex", where);
  for (const Known& known : kKnown) {
    if (regex == known.regex) return known.make();
  }
  return make_regex(regex, where);
}

}  // namespace headlane
