// A Jinja template as tokens, cut as Jinja cuts it with the options of transformers: the first line
// break behind a block goes (trim_blocks), and so do blanks of a line before a block
// (lstrip_blocks).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace headlane::chat {

enum class TokenKind {
  kText,        // between the tags
  kPrintBegin,  // {{
  kPrintEnd,    // }}
  kBlockBegin,  // {%
  kBlockEnd,    // %}
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,  // of the template
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;  // of a string, what it stands for
  int64_t line = 1;
};

// Throws Error(kInvalidArgument) whose sentence names the line. The last token is kEnd, and no
// other one is.
std::vector<Token> read_tokens(std::string_view source);

// Throws Error(kInvalidArgument): "line 3: ...".
[[noreturn]] void fail_at(int64_t line, const std::string& what);

}  // namespace headlane::chat
