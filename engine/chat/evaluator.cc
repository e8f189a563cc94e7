#include "engine/chat/evaluator.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "engine/base/error.h"
#include "engine/chat/operations.h"

namespace headlane::chat {

using ExpressionKind = Expression::Kind;

void Scope::set(const std::string& name, Datum value) {
  for (auto& [known, old] : values_) {
    if (known != name) continue;
    old = std::move(value);
    return;
  }
  values_.emplace_back(name, std::move(value));
}

const Datum* Scope::find(std::string_view name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->outer_) {
    for (const auto& [known, value] : scope->values_) {
      if (known == name) return &value;
    }
  }
  return nullptr;
}

Datum Evaluator::evaluate(const Expression& expression, const Scope& scope) {
  const Work::Depth depth(&work_);
  work_.step();
  line_ = expression.line;
  const auto operand = [&](size_t i) { return evaluate(*expression.operands[i], scope); };
  switch (expression.kind) {
    case ExpressionKind::kConstant:
      return expression.constant;
    case ExpressionKind::kName:
      return known(expression, scope);
    case ExpressionKind::kList:
      return make_list(values(expression.operands, scope));
    case ExpressionKind::kTuple:
      return make_list(values(expression.operands, scope), ListKind::kTuple);
    case ExpressionKind::kMap:
      return map(expression, scope);
    case ExpressionKind::kAttribute:
      return attribute_of(operand(0), expression.name, &work_);
    case ExpressionKind::kSlice:
      return slice(expression, scope);
    case ExpressionKind::kFilter:
      return filtered_by(expression, Datum(), scope);
    case ExpressionKind::kNot:
      return !operand(0).is_true();
    case ExpressionKind::kNegative:
    case ExpressionKind::kPositive:
      return signed_number(expression, scope);
    case ExpressionKind::kCondition:
      return condition(expression, scope);
    case ExpressionKind::kCompare:
      return compared(expression, scope);
    case ExpressionKind::kConcat:
      return concatenated(expression, scope);
    case ExpressionKind::kItem: {
      const Datum value = operand(0);
      return item_of(value, operand(1), &work_);
    }
    case ExpressionKind::kCall: {
      const Datum function = operand(0);
      return call(function, arguments_of(expression, scope));
    }
    case ExpressionKind::kTest: {
      const Datum value = operand(0);
      return passes(expression.name, value, arguments_of(expression, scope), &work_);
    }
    case ExpressionKind::kAnd:
    case ExpressionKind::kOr: {
      Datum first = operand(0);
      return first.is_true() == (expression.kind == ExpressionKind::kOr) ? first : operand(1);
    }
    case ExpressionKind::kBinary: {
      const Datum first = operand(0);
      return binary(expression.name, first, operand(1), &work_);
    }
  }
  fail(Status::kInternal, "an expression of no kind");
}

Datum Evaluator::known(const Expression& expression, const Scope& scope) {
  if (const Datum* value = scope.find(expression.name)) return *value;
  constexpr std::string_view kOthers[] = {"caller", "varargs", "kwargs", "self", "super"};
  if (std::find(std::begin(kOthers), std::end(kOthers), expression.name) != std::end(kOthers)) {
    fail(Status::kUnsupported, "\"%s\" is not supported", expression.name.c_str());
  }
  return Datum::undefined("\"" + expression.name + "\"");
}

std::vector<Datum> Evaluator::values(const std::vector<ExpressionPtr>& expressions,
                                     const Scope& scope) {
  std::vector<Datum> all;
  all.reserve(expressions.size());
  for (const ExpressionPtr& expression : expressions) all.push_back(evaluate(*expression, scope));
  return all;
}

Arguments Evaluator::arguments_of(const Expression& call, const Scope& scope) {
  Arguments arguments{values(call.arguments, scope), {}};
  for (const auto& [name, expression] : call.named_arguments) {
    arguments.named.emplace_back(name, evaluate(*expression, scope));
  }
  return arguments;
}

Datum Evaluator::filtered_by(const Expression& filters, Datum value, const Scope& scope) {
  if (filters.kind == ExpressionKind::kFilter) {
    const Expression& operand = *filters.operands[0];
    const bool is_chain = operand.kind == ExpressionKind::kFilter;
    const bool is_place = operand.kind == ExpressionKind::kConstant && operand.constant.is_none();
    const Datum inner = is_chain   ? filtered_by(operand, std::move(value), scope)
                        : is_place ? std::move(value)
                                   : evaluate(operand, scope);
    line_ = filters.line;
    return filtered(filters.name, inner, arguments_of(filters, scope), &work_);
  }
  return value;
}

Datum Evaluator::compared(const Expression& expression, const Scope& scope) {
  Datum left = evaluate(*expression.operands[0], scope);
  for (size_t i = 0; i < expression.operators.size(); ++i) {
    Datum right = evaluate(*expression.operands[i + 1], scope);
    if (!compares(expression.operators[i], left, right, &work_)) return false;
    left = std::move(right);
  }
  return true;
}

Datum Evaluator::concatenated(const Expression& expression, const Scope& scope) {
  MarkedText text;
  for (const Datum& value : values(expression.operands, scope)) {
    work_.take(value.weight());
    text.append(text_of(value));
  }
  return text;
}

Datum Evaluator::signed_number(const Expression& expression, const Scope& scope) {
  const Datum value = evaluate(*expression.operands[0], scope);
  if (!value.is_number()) {
    fail(Status::kInvalidArgument, "a value of the type %s has a sign", value.type_name());
  }
  if (expression.kind == ExpressionKind::kNegative && value.is_float()) return -value.number();
  const Datum zero = 0;
  if (expression.kind == ExpressionKind::kNegative) return binary("-", zero, value, &work_);
  return value.is_bool() ? Datum(value.integer()) : value;
}

Datum Evaluator::slice(const Expression& expression, const Scope& scope) {
  const Datum value = evaluate(*expression.operands[0], scope);
  Datum bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    const ExpressionPtr& bound = expression.operands[i + 1];
    if (bound) bounds[i] = evaluate(*bound, scope);
  }
  return slice_of(value, bounds[0], bounds[1], bounds[2], &work_);
}

Datum Evaluator::map(const Expression& expression, const Scope& scope) {
  ValueMap members;
  for (size_t i = 0; i < expression.operands.size(); i += 2) {
    Datum key = evaluate(*expression.operands[i], scope);
    members.set(std::move(key), evaluate(*expression.operands[i + 1], scope));
  }
  return make_map(std::move(members));
}

Datum Evaluator::condition(const Expression& expression, const Scope& scope) {
  if (evaluate(*expression.operands[1], scope).is_true()) {
    return evaluate(*expression.operands[0], scope);
  }
  const ExpressionPtr& otherwise = expression.operands[2];
  return otherwise ? evaluate(*otherwise, scope)
                   : Datum::undefined("a value of an \"if\" without an \"else\"");
}

}  // namespace headlane::chat
