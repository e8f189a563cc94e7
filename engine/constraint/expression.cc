#include "engine/constraint/expression.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"
#include "engine/constraint/limits.h"

namespace headlane {

ExpressionId Expressions::add(ByteExpression expression) {
  n_parts_ += 1 + expression.parts.size();
  if (n_parts_ > constraint_limits::kExpressions) {
    fail(Status::kTooLarge, "the constraint has more than %zu parts",
         constraint_limits::kExpressions);
  }
  for (const ExpressionId part : expression.parts) {
    expression.depth = std::max(expression.depth, (*this)[part].depth + 1);
  }
  if (expression.depth > constraint_limits::kExpressionDepth) {
    fail(Status::kTooLarge, "the constraint nests its parts more than %d deep",
         constraint_limits::kExpressionDepth);
  }
  expressions_.push_back(std::move(expression));
  return static_cast<ExpressionId>(expressions_.size()) - 1;
}

ExpressionId Expressions::bytes(const ByteSet& set) {
  ByteExpression of;
  of.kind = ByteExpression::Kind::kBytes;
  of.bytes = set;
  return add(std::move(of));
}

ExpressionId Expressions::byte(uint8_t byte) { return bytes(ByteSet().set(byte)); }

ExpressionId Expressions::text(std::string_view text) {
  std::vector<ExpressionId> parts;
  parts.reserve(text.size());
  for (const char c : text) parts.push_back(byte(static_cast<uint8_t>(c)));
  return parts.size() == 1 ? parts[0] : sequence(std::move(parts));
}

ExpressionId Expressions::sequence(std::vector<ExpressionId> parts) {
  ByteExpression of;
  of.is_nullable =
      std::ranges::all_of(parts, [&](ExpressionId part) { return (*this)[part].is_nullable; });
  of.parts = std::move(parts);
  return add(std::move(of));
}

ExpressionId Expressions::choice(std::vector<ExpressionId> parts) {
  if (parts.size() == 1) return parts[0];
  ByteExpression of;
  of.kind = ByteExpression::Kind::kChoice;
  of.is_nullable =
      std::ranges::any_of(parts, [&](ExpressionId part) { return (*this)[part].is_nullable; });
  of.parts = std::move(parts);
  return add(std::move(of));
}

ExpressionId Expressions::repeat(ExpressionId part, int64_t least, int64_t most) {
  // A part that may be empty may also be left out, so that each of its copies leads to all behind
  // it.
  if ((*this)[part].is_nullable) {
    least = 0;
    if (most > constraint_limits::kEmptyRepeats) {
      fail(Status::kTooLarge,
           "the constraint repeats what may be empty %lld times; it must be at most %lld times",
           static_cast<long long>(most), static_cast<long long>(constraint_limits::kEmptyRepeats));
    }
  }
  ByteExpression of;
  of.kind = ByteExpression::Kind::kRepeat;
  of.is_nullable = least == 0 || (*this)[part].is_nullable;
  of.parts = {part};
  of.least = least;
  of.most = most;
  return add(std::move(of));
}

ExpressionId Expressions::list(std::vector<ExpressionId> parts, std::vector<bool> optional,
                               ExpressionId separator) {
  ByteExpression of;
  of.kind = ByteExpression::Kind::kList;
  of.is_nullable = std::ranges::all_of(optional, [](bool is) { return is; });
  of.parts = std::move(parts);
  of.optional = std::move(optional);
  of.separator = separator;
  return add(std::move(of));
}

ExpressionId Expressions::rule(RuleId rule) {
  ByteExpression of;
  of.kind = ByteExpression::Kind::kRule;
  of.rule = rule;
  return add(std::move(of));
}

RuleId Expressions::add_rule() {
  if (rules_.size() >= constraint_limits::kRules) {
    fail(Status::kTooLarge, "the constraint has more than %zu rules", constraint_limits::kRules);
  }
  rules_.push_back(-1);
  return static_cast<RuleId>(rules_.size()) - 1;
}

}  // namespace headlane
