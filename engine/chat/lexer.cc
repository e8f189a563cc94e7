#include "engine/chat/lexer.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <iterator>

#include "engine/base/error.h"
#include "engine/chat/marked_text.h"
#include "engine/text/unicode.h"

namespace headlane::chat {
namespace {

bool is_name_begin(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name(char c) { return is_name_begin(c) || is_digit(c); }

// Line breaks of all kinds become "\n", and one at the end goes.
std::string with_plain_lines(std::string_view source) {
  std::string text;
  for (size_t i = 0; i < source.size(); ++i) {
    const bool is_return = source[i] == '\r';
    text += is_return ? '\n' : source[i];
    if (is_return && i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

size_t skip_space(std::string_view text, size_t pos) {
  while (pos < text.size()) {
    size_t next = pos;
    if (!is_python_space(next_char(text, &next))) break;
    pos = next;
  }
  return pos;
}

bool is_blank(std::string_view text) { return skip_space(text, 0) == text.size(); }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(with_plain_lines(source)) {}

  std::vector<Token> read() {
    while (pos_ < source_.size()) read_text();
    add(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  char at(size_t pos) const { return pos < source_.size() ? source_[pos] : '\0'; }
  bool is_at(size_t pos, std::string_view text) const {
    return source_.compare(pos, text.size(), text) == 0;
  }
  std::string_view rest() const { return std::string_view(source_).substr(pos_); }
  [[noreturn]] void fail_here(const std::string& what) const { fail_at(line_, what); }

  void add(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }

  void step_to(size_t pos) {
    line_ += std::count(source_.begin() + static_cast<ptrdiff_t>(pos_),
                        source_.begin() + static_cast<ptrdiff_t>(pos), '\n');
    pos_ = pos;
  }

  size_t find_tag(size_t pos) const {
    for (pos = source_.find('{', pos); pos != std::string::npos; pos = source_.find('{', pos + 1)) {
      const char next = at(pos + 1);
      if (next == '{' || next == '%' || next == '#') return pos;
    }
    return source_.size();
  }

  // Text before a tag, without what the tag's sign and the options take.
  void add_text(size_t end, bool is_print) {
    std::string text = source_.substr(pos_, end - pos_);
    const char sign = at(end + 2);
    if (end < source_.size() && sign == '-') {
      text = stripped(MarkedText(text), false, true).bytes();
    } else if (end < source_.size() && sign != '+' && !is_print) {
      const size_t line_begin = text.rfind('\n') + 1;
      const bool begins_line = line_begin > 0 || pos_ == 0 || source_[pos_ - 1] == '\n';
      const std::string_view line = std::string_view(text).substr(line_begin);
      if (begins_line && !line.empty() && is_blank(line)) text.resize(line_begin);
    }
    if (!text.empty()) add(TokenKind::kText, text);
  }

  void read_text() {
    const size_t tag = find_tag(pos_);
    const char kind = at(tag + 1);
    add_text(tag, kind == '{');
    step_to(tag);
    if (tag == source_.size()) return;
    if (kind == '#') return skip_comment();
    const bool signs = at(tag + 2) == '-' || at(tag + 2) == '+';
    if (kind == '%' && read_raw(tag + 2 + (signs ? 1 : 0))) return;
    add(kind == '{' ? TokenKind::kPrintBegin : TokenKind::kBlockBegin, "");
    step_to(tag + 2 + (signs ? 1 : 0));
    read_tag(kind == '{' ? "}}" : "%}", kind == '{');
  }

  // What follows a tag that ended, or a comment: "-" takes white space, nothing a line break.
  void end_tag(size_t end, char sign, bool trims) {
    if (sign == '-') {
      end = skip_space(source_, end);
    } else if (sign != '+' && trims && at(end) == '\n') {
      ++end;
    }
    step_to(end);
  }

  void skip_comment() {
    const size_t begin = pos_ + (at(pos_ + 2) == '-' || at(pos_ + 2) == '+' ? 3 : 2);
    const size_t end = source_.find("#}", begin);
    if (end == std::string::npos) fail_here("a comment does not end");
    const char sign = end > begin ? source_[end - 1] : '\0';
    end_tag(end + 2, sign, true);
  }

  // {% raw %}, if it is that.
  bool read_raw(size_t pos) {
    pos = skip_space(source_, pos);
    if (!is_at(pos, "raw")) return false;
    pos = skip_space(source_, pos + 3);
    const bool strips = at(pos) == '-' && is_at(pos + 1, "%}");
    if (!strips && !is_at(pos, "%}")) return false;
    step_to(pos + (strips ? 3 : 2));
    if (strips) step_to(skip_space(source_, pos_));
    for (size_t tag = find_tag(pos_); tag < source_.size(); tag = find_tag(tag + 1)) {
      if (read_raw_end(tag)) return true;
    }
    fail_here("a block raw does not end");
  }

  bool read_raw_end(size_t tag) {
    if (at(tag + 1) != '%') return false;
    const bool signs = at(tag + 2) == '-' || at(tag + 2) == '+';
    size_t pos = skip_space(source_, tag + 2 + (signs ? 1 : 0));
    if (!is_at(pos, "endraw")) return false;
    pos = skip_space(source_, pos + 6);
    const char sign = at(pos) == '-' || at(pos) == '+' ? source_[pos++] : '\0';
    if (!is_at(pos, "%}")) return false;
    add_text(tag, false);
    end_tag(pos + 2, sign, true);
    return true;
  }

  void read_tag(const char* end, bool is_print) {
    std::string open;  // the brackets that have not been closed, in which no tag ends
    while (true) {
      step_to(skip_space(source_, pos_));
      if (pos_ == source_.size()) fail_here("a tag does not end");
      const char sign = source_[pos_];
      const bool signs = sign == '-' || (sign == '+' && !is_print);
      const size_t end_pos = pos_ + (signs ? 1 : 0);
      if (open.empty() && is_at(end_pos, end)) {
        add(is_print ? TokenKind::kPrintEnd : TokenKind::kBlockEnd, "");
        return end_tag(end_pos + 2, signs ? sign : '\0', !is_print);
      }
      read_token(&open);
    }
  }

  void read_token(std::string* open) {
    const char c = source_[pos_];
    if (is_name_begin(c)) {
      size_t end = pos_;
      while (is_name(at(end))) ++end;
      add(TokenKind::kName, source_.substr(pos_, end - pos_));
      return step_to(end);
    }
    if (is_digit(c)) return read_number();
    if (c == '"' || c == '\'') return read_string(c);
    read_operator(open);
  }

  size_t digits_end(size_t pos) const {
    while (is_digit(at(pos)) || (at(pos) == '_' && is_digit(at(pos + 1)))) ++pos;
    return pos;
  }

  void read_number() {
    size_t end = digits_end(pos_);
    bool is_float = false;
    const bool after_dot = !tokens_.empty() && tokens_.back().text == "." &&
                           tokens_.back().kind == TokenKind::kOperator;
    if (!after_dot && at(end) == '.' && is_digit(at(end + 1))) {
      is_float = true;
      end = digits_end(end + 1);
    }
    const size_t sign = at(end + 1) == '+' || at(end + 1) == '-' ? 1 : 0;
    if (!after_dot && (at(end) == 'e' || at(end) == 'E') && is_digit(at(end + 1 + sign))) {
      is_float = true;
      end = digits_end(end + 1 + sign);
    }
    if (is_name(at(end))) fail_here("a number is written in a way that is not supported");
    std::string digits = source_.substr(pos_, end - pos_);
    std::erase(digits, '_');
    add(is_float ? TokenKind::kFloat : TokenKind::kInteger, digits);
    step_to(end);
  }

  void read_string(char quote) {
    std::string text;
    size_t pos = pos_ + 1;
    while (at(pos) != quote || pos >= source_.size()) {
      if (pos >= source_.size()) fail_here("a string does not end");
      if (source_[pos] == '\\') {
        pos = read_escape(pos + 1, &text);
      } else {
        text += source_[pos++];
      }
    }
    add(TokenKind::kString, text);
    step_to(pos + 1);
  }

  // This is as in a string of Python.
  size_t read_escape(size_t pos, std::string* text) {
    constexpr char kFrom[] = "\\'\"abfnrtv", kTo[] = "\\'\"\a\b\f\n\r\t\v";
    const char c = at(pos);
    if (c == '\n') return pos + 1;
    if (const char* found = std::find(kFrom, std::end(kFrom) - 1, c);
        found != std::end(kFrom) - 1) {
      *text += kTo[found - kFrom];
      return pos + 1;
    }
    const size_t n_digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (n_digits > 0) return read_code(pos + 1, n_digits, 16, text);
    if (c >= '0' && c <= '7') {
      size_t n_octal = 1;
      while (n_octal < 3 && at(pos + n_octal) >= '0' && at(pos + n_octal) <= '7') ++n_octal;
      return read_code(pos, n_octal, 8, text);
    }
    if (c == 'N') fail_here("a string has \\N, which is not supported");
    *text += '\\';  // it stands for itself
    return pos;
  }

  size_t read_code(size_t pos, size_t n_digits, int base, std::string* text) {
    const std::string digits = source_.substr(pos, n_digits);
    size_t n_read = 0;
    const bool fits = digits.size() == n_digits &&
                      std::all_of(digits.begin(), digits.end(),
                                  [](unsigned char digit) { return std::isxdigit(digit) != 0; });
    const unsigned long code = fits ? std::stoul(digits, &n_read, base) : 0x110000;
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
      fail_here("a string has an escape of no character");
    }
    append_char(static_cast<char32_t>(code), text);
    return pos + n_digits;
  }

  void read_operator(std::string* open) {
    constexpr std::array<std::string_view, 26> kOperators = {
        "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  "<",  ">", "=", ".", ":", "|", ",", ";"};
    const auto found = std::find_if(kOperators.begin(), kOperators.end(),
                                    [&](std::string_view op) { return rest().starts_with(op); });
    if (found == kOperators.end()) fail_here("a tag has a character that no expression has");
    const char c = (*found)[0];
    if (c == '(' || c == '[' || c == '{') *open += c;
    if (c == ')' || c == ']' || c == '}') {
      const char opening = c == ')' ? '(' : c == ']' ? '[' : '{';
      if (open->empty() || open->back() != opening) fail_here("a bracket closes that is not open");
      open->pop_back();
    }
    add(TokenKind::kOperator, std::string(*found));
    step_to(pos_ + found->size());
  }

  const std::string source_;
  std::vector<Token> tokens_;
  size_t pos_ = 0;
  int64_t line_ = 1;
};

}  // namespace

void fail_at(int64_t line, const std::string& what) {
  fail(Status::kInvalidArgument, "line %lld: %s", static_cast<long long>(line), what.c_str());
}

std::vector<Token> read_tokens(std::string_view source) { return Lexer(source).read(); }

}  // namespace headlane::chat
