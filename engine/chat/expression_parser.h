// Expressions of a template. Statements are in template_parser.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/chat/lexer.h"
#include "engine/chat/syntax.h"

namespace headlane::chat {

class ExpressionParser {
 public:
  ExpressionParser(std::vector<Token> tokens, std::vector<std::string>* literals)
      : tokens_(std::move(tokens)), literals_(literals) {}

  // These throw Error that names the line.
  ExpressionPtr expression(bool may_have_condition = true);
  // Expressions with commas between them are one tuple.
  ExpressionPtr tuple(bool may_have_condition = true);
  // The filters that stand next, over `operand`.
  ExpressionPtr filters(ExpressionPtr operand);
  // One filter, without the sign "|".
  ExpressionPtr filter_without_sign(ExpressionPtr operand);

  const Token& token() const { return tokens_[at_]; }
  const Token& next_token() const { return tokens_[at_ + 1]; }  // token() is not the end
  Token take() { return tokens_[token().kind == TokenKind::kEnd ? at_ : at_++]; }
  bool is_operator(std::string_view text) const;
  bool is_name(std::string_view text) const;
  bool skip_operator(std::string_view text);
  bool skip_name(std::string_view text);
  void expect_operator(std::string_view text);
  std::string expect_name();
  [[noreturn]] void fail_here(const std::string& what) const { fail_at(token().line, what); }
  [[noreturn]] void fail_unexpected(const std::string& wanted) const;

 protected:
  std::vector<std::string>* literals() { return literals_; }

 private:
  class Level;  // of brackets and signs in each other

  ExpressionPtr make(Expression::Kind kind, std::string name = "");
  ExpressionPtr over(Expression::Kind kind, ExpressionPtr first, ExpressionPtr second = nullptr,
                     std::string name = "");
  void add(Expression* to, ExpressionPtr operand);
  ExpressionPtr checked(ExpressionPtr expression) const;
  ExpressionPtr any_of();
  ExpressionPtr all_of();
  ExpressionPtr negation();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr signed_value(bool with_filters);
  ExpressionPtr primary();
  ExpressionPtr name_or_constant();
  ExpressionPtr number();
  ExpressionPtr text();
  ExpressionPtr list();
  ExpressionPtr map();
  ExpressionPtr postfix(ExpressionPtr value);
  ExpressionPtr attribute(ExpressionPtr value);
  ExpressionPtr item(ExpressionPtr value);
  ExpressionPtr call(ExpressionPtr value);
  ExpressionPtr test(ExpressionPtr value);
  void arguments(Expression* call);
  bool begins_argument() const;
  std::string dotted_name();

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int64_t level_ = 0;
  std::vector<std::string>* literals_;
};

}  // namespace headlane::chat
