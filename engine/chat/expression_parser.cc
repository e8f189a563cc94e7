#include "engine/chat/expression_parser.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"

namespace headlane::chat {
namespace {

using ExpressionKind = Expression::Kind;

[[noreturn]] void fail_deep(int64_t line) {
  fail(Status::kTooLarge, "line %lld: an expression nests deeper than %lld levels",
       static_cast<long long>(line), static_cast<long long>(file_limits::kChatDepth));
}

}  // namespace

// The parser calls itself for brackets and signs in each other alone.
class ExpressionParser::Level {
 public:
  explicit Level(ExpressionParser* parser) : parser_(parser) {
    if (++parser_->level_ > file_limits::kChatDepth) fail_deep(parser_->token().line);
  }
  ~Level() { --parser_->level_; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;

 private:
  ExpressionParser* parser_;
};

bool ExpressionParser::is_operator(std::string_view text) const {
  return token().kind == TokenKind::kOperator && token().text == text;
}

bool ExpressionParser::is_name(std::string_view text) const {
  return token().kind == TokenKind::kName && token().text == text;
}

bool ExpressionParser::skip_operator(std::string_view text) {
  if (!is_operator(text)) return false;
  take();
  return true;
}

bool ExpressionParser::skip_name(std::string_view text) {
  if (!is_name(text)) return false;
  take();
  return true;
}

void ExpressionParser::fail_unexpected(const std::string& wanted) const {
  const std::string found = token().text.empty() ? "the end of the tag" : printable(token().text);
  fail_here("there is \"" + found + "\" where " + wanted + " should be");
}

void ExpressionParser::expect_operator(std::string_view text) {
  if (!skip_operator(text)) fail_unexpected("\"" + std::string(text) + "\"");
}

std::string ExpressionParser::expect_name() {
  if (token().kind != TokenKind::kName) fail_unexpected("a name");
  return take().text;
}

ExpressionPtr ExpressionParser::make(ExpressionKind kind, std::string name) {
  auto expression = std::make_unique<Expression>();
  expression->kind = kind;
  expression->line = token().line;
  expression->name = std::move(name);
  return expression;
}

void ExpressionParser::add(Expression* to, ExpressionPtr operand) {
  if (operand) to->depth = std::max(to->depth, 1 + operand->depth);
  if (to->depth > file_limits::kChatDepth) fail_deep(to->line);
  to->operands.push_back(std::move(operand));
}

ExpressionPtr ExpressionParser::over(ExpressionKind kind, ExpressionPtr first, ExpressionPtr second,
                                     std::string name) {
  ExpressionPtr expression = make(kind, std::move(name));
  add(expression.get(), std::move(first));
  if (second) add(expression.get(), std::move(second));
  return expression;
}

ExpressionPtr ExpressionParser::expression(bool may_have_condition) {
  const Level level(this);
  ExpressionPtr value = any_of();
  while (may_have_condition && skip_name("if")) {
    ExpressionPtr condition = any_of();
    ExpressionPtr otherwise = skip_name("else") ? expression() : nullptr;
    value = over(ExpressionKind::kCondition, std::move(value), std::move(condition));
    add(value.get(), std::move(otherwise));
  }
  return value;
}

ExpressionPtr ExpressionParser::tuple(bool may_have_condition) {
  ExpressionPtr first = expression(may_have_condition);
  if (!is_operator(",")) return first;
  ExpressionPtr tuple = make(ExpressionKind::kTuple);
  add(tuple.get(), std::move(first));
  while (skip_operator(",")) {
    const bool ends = token().kind == TokenKind::kBlockEnd ||
                      token().kind == TokenKind::kPrintEnd || is_operator(")") || is_name("in");
    if (ends) break;
    add(tuple.get(), expression(may_have_condition));
  }
  return tuple;
}

ExpressionPtr ExpressionParser::any_of() {
  ExpressionPtr value = all_of();
  while (skip_name("or")) value = over(ExpressionKind::kOr, std::move(value), all_of());
  return value;
}

ExpressionPtr ExpressionParser::all_of() {
  ExpressionPtr value = negation();
  while (skip_name("and")) value = over(ExpressionKind::kAnd, std::move(value), negation());
  return value;
}

ExpressionPtr ExpressionParser::negation() {
  if (!skip_name("not")) return comparison();
  const Level level(this);
  return over(ExpressionKind::kNot, negation());
}

ExpressionPtr ExpressionParser::comparison() {
  ExpressionPtr first = sum();
  ExpressionPtr all;
  while (true) {
    std::string name;
    for (const char* other : {"==", "!=", "<=", ">=", "<", ">"}) {
      if (is_operator(other)) name = other;
    }
    if (is_name("in")) name = "in";
    const bool negated =
        is_name("not") && next_token().kind == TokenKind::kName && next_token().text == "in";
    if (negated) name = "not in";
    if (name.empty()) return all ? std::move(all) : std::move(first);
    take();
    if (negated) take();
    if (!all) all = over(ExpressionKind::kCompare, std::move(first));
    all->operators.push_back(name);
    add(all.get(), sum());
  }
}

ExpressionPtr ExpressionParser::sum() {
  ExpressionPtr value = concatenation();
  while (is_operator("+") || is_operator("-")) {
    const std::string name = take().text;
    value = over(ExpressionKind::kBinary, std::move(value), concatenation(), name);
  }
  return value;
}

ExpressionPtr ExpressionParser::concatenation() {
  ExpressionPtr first = product();
  if (!is_operator("~")) return first;
  ExpressionPtr all = over(ExpressionKind::kConcat, std::move(first));
  while (skip_operator("~")) add(all.get(), product());
  return all;
}

ExpressionPtr ExpressionParser::product() {
  ExpressionPtr value = power();
  while (is_operator("*") || is_operator("/") || is_operator("//") || is_operator("%")) {
    const std::string name = take().text;
    value = over(ExpressionKind::kBinary, std::move(value), power(), name);
  }
  return value;
}

ExpressionPtr ExpressionParser::power() {
  ExpressionPtr value = signed_value(true);
  while (skip_operator("**")) {
    value = over(ExpressionKind::kBinary, std::move(value), signed_value(true), "**");
  }
  return value;
}

ExpressionPtr ExpressionParser::signed_value(bool with_filters) {
  ExpressionPtr value;
  if (is_operator("-") || is_operator("+")) {
    const Level level(this);
    const ExpressionKind kind =
        take().text == "-" ? ExpressionKind::kNegative : ExpressionKind::kPositive;
    value = over(kind, signed_value(false));
  } else {
    value = primary();
  }
  value = postfix(std::move(value));
  while (with_filters) {
    if (skip_operator("|")) {
      value = filter_without_sign(std::move(value));
    } else if (is_name("is")) {
      value = test(std::move(value));
    } else if (is_operator("(")) {
      value = call(std::move(value));
    } else {
      break;
    }
  }
  return value;
}

ExpressionPtr ExpressionParser::primary() {
  switch (token().kind) {
    case TokenKind::kName:
      return name_or_constant();
    case TokenKind::kString:
      return text();
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return number();
    default:
      break;
  }
  if (is_operator("[")) return list();
  if (is_operator("{")) return map();
  if (!skip_operator("(")) fail_unexpected("a value");
  if (skip_operator(")")) return make(ExpressionKind::kTuple);
  ExpressionPtr value = tuple();
  expect_operator(")");
  return value;
}

ExpressionPtr ExpressionParser::name_or_constant() {
  const std::string name = take().text;
  ExpressionPtr value = make(ExpressionKind::kConstant);
  if (name == "true" || name == "True") {
    value->constant = true;
  } else if (name == "false" || name == "False") {
    value->constant = false;
  } else if (name != "none" && name != "None") {
    value->kind = ExpressionKind::kName;
    value->name = name;
  }
  return value;
}

ExpressionPtr ExpressionParser::number() {
  ExpressionPtr value = make(ExpressionKind::kConstant);
  const Token number = take();
  if (number.kind == TokenKind::kFloat) {
    double parsed = 0;
    std::from_chars(number.text.data(), number.text.data() + number.text.size(), parsed);
    value->constant = parsed;
    return value;
  }
  int64_t parsed = 0;
  const char* end = number.text.data() + number.text.size();
  const auto result = std::from_chars(number.text.data(), end, parsed);
  if (result.ec != std::errc()) fail_at(number.line, "a number is too large");
  value->constant = parsed;
  return value;
}

ExpressionPtr ExpressionParser::text() {
  ExpressionPtr value = make(ExpressionKind::kConstant);
  std::string all;
  while (token().kind == TokenKind::kString) all += take().text;
  literals_->push_back(all);
  value->constant = MarkedText(all);
  return value;
}

ExpressionPtr ExpressionParser::list() {
  expect_operator("[");
  ExpressionPtr value = make(ExpressionKind::kList);
  while (!skip_operator("]")) {
    if (!value->operands.empty()) expect_operator(",");
    if (skip_operator("]")) break;
    add(value.get(), expression());
  }
  return value;
}

ExpressionPtr ExpressionParser::map() {
  expect_operator("{");
  ExpressionPtr value = make(ExpressionKind::kMap);
  while (!skip_operator("}")) {
    if (!value->operands.empty()) expect_operator(",");
    if (skip_operator("}")) break;
    add(value.get(), expression());
    expect_operator(":");
    add(value.get(), expression());
  }
  return value;
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr value) {
  while (true) {
    if (is_operator(".")) {
      value = attribute(std::move(value));
    } else if (is_operator("[")) {
      value = item(std::move(value));
    } else if (is_operator("(")) {
      value = call(std::move(value));
    } else {
      return value;
    }
  }
}

ExpressionPtr ExpressionParser::attribute(ExpressionPtr value) {
  expect_operator(".");
  if (token().kind == TokenKind::kInteger) {
    return over(ExpressionKind::kItem, std::move(value), number());
  }
  const std::string name = expect_name();
  return over(ExpressionKind::kAttribute, std::move(value), nullptr, name);
}

ExpressionPtr ExpressionParser::item(ExpressionPtr value) {
  expect_operator("[");
  ExpressionPtr parts[3];
  int n = 0;
  bool is_slice = false;
  while (!is_operator("]")) {
    if (skip_operator(":")) {
      is_slice = true;
      if (++n == 3) fail_unexpected("\"]\"");
    } else if (parts[n] != nullptr) {
      fail_unexpected("\"]\"");
    } else {
      parts[n] = expression();
    }
  }
  if (!is_slice && parts[0] == nullptr) fail_unexpected("a value");
  expect_operator("]");
  if (!is_slice) return over(ExpressionKind::kItem, std::move(value), std::move(parts[0]));
  ExpressionPtr slice = over(ExpressionKind::kSlice, std::move(value));
  for (ExpressionPtr& part : parts) add(slice.get(), std::move(part));
  return slice;
}

ExpressionPtr ExpressionParser::call(ExpressionPtr value) {
  ExpressionPtr call = over(ExpressionKind::kCall, std::move(value));
  arguments(call.get());
  return checked(std::move(call));
}

ExpressionPtr ExpressionParser::checked(ExpressionPtr expression) const {
  const auto deepen = [&](const ExpressionPtr& below) {
    expression->depth = std::max(expression->depth, 1 + below->depth);
  };
  for (const ExpressionPtr& argument : expression->arguments) deepen(argument);
  for (const auto& argument : expression->named_arguments) deepen(argument.second);
  if (expression->depth > file_limits::kChatDepth) fail_deep(expression->line);
  return expression;
}

void ExpressionParser::arguments(Expression* call) {
  expect_operator("(");
  bool is_first = true;
  while (!skip_operator(")")) {
    if (!is_first) expect_operator(",");
    is_first = false;
    if (skip_operator(")")) break;
    if (is_operator("*") || is_operator("**")) {
      fail(Status::kUnsupported, "line %lld: a call has \"*\", which is not supported",
           static_cast<long long>(token().line));
    }
    const bool named = token().kind == TokenKind::kName &&
                       next_token().kind == TokenKind::kOperator && next_token().text == "=";
    if (!named) {
      if (!call->named_arguments.empty()) fail_unexpected("an argument with a name");
      call->arguments.push_back(expression());
      continue;
    }
    std::string name = take().text;
    take();
    call->named_arguments.emplace_back(std::move(name), expression());
  }
}

std::string ExpressionParser::dotted_name() {
  std::string name = expect_name();
  while (skip_operator(".")) name.append(".").append(expect_name());
  return name;
}

ExpressionPtr ExpressionParser::filters(ExpressionPtr operand) {
  while (skip_operator("|")) operand = filter_without_sign(std::move(operand));
  return operand;
}

ExpressionPtr ExpressionParser::filter_without_sign(ExpressionPtr value) {
  ExpressionPtr filter = over(ExpressionKind::kFilter, std::move(value), nullptr, dotted_name());
  if (is_operator("(")) arguments(filter.get());
  return checked(std::move(filter));
}

// Tells whether a test's only argument stands next, without brackets.
bool ExpressionParser::begins_argument() const {
  if (token().kind == TokenKind::kName) {
    return !is_name("else") && !is_name("or") && !is_name("and");
  }
  return token().kind == TokenKind::kString || token().kind == TokenKind::kInteger ||
         token().kind == TokenKind::kFloat || is_operator("[") || is_operator("{");
}

ExpressionPtr ExpressionParser::test(ExpressionPtr value) {
  take();  // "is"
  const bool negated = skip_name("not");
  ExpressionPtr test = over(ExpressionKind::kTest, std::move(value), nullptr, dotted_name());
  if (is_operator("(")) {
    arguments(test.get());
  } else if (begins_argument()) {
    if (is_name("is")) fail_unexpected("the end of a test");
    const Level level(this);
    test->arguments.push_back(postfix(primary()));
  }
  test = checked(std::move(test));
  return negated ? over(ExpressionKind::kNot, std::move(test)) : std::move(test);
}

}  // namespace headlane::chat
