// Whether a text is of an expression, or begins one that is, by trying everything: nothing of the
// automaton, its sets or its walks.
#pragma once

#include <functional>
#include <string_view>

#include "engine/constraint/expression.h"

namespace headlane::test {

class SlowMatcher {
 public:
  SlowMatcher(const Expressions& expressions, ExpressionId root)
      : expressions_(expressions), root_(root) {}

  // Expressions of the tests have no part without texts, so what begins well can be finished.
  bool begins(std::string_view text) {
    text_ = text;
    begins_ = accepts_ = false;
    at(root_, 0, [&](size_t pos) { accepts_ = accepts_ || pos == text_.size(); });
    return begins_ || accepts_;
  }
  bool accepts(std::string_view text) {
    begins(text);
    return accepts_;
  }

 private:
  using Then = std::function<void(size_t pos)>;

  void at(ExpressionId id, size_t pos, const Then& then) {
    const ByteExpression& of = expressions_[id];
    switch (of.kind) {
      case ByteExpression::Kind::kBytes:
        if (pos == text_.size()) {
          begins_ = true;
        } else if (of.bytes[static_cast<uint8_t>(text_[pos])]) {
          then(pos + 1);
        }
        return;
      case ByteExpression::Kind::kSequence:
        return sequence(of, 0, pos, then);
      case ByteExpression::Kind::kChoice:
        for (const ExpressionId part : of.parts) at(part, pos, then);
        return;
      case ByteExpression::Kind::kRepeat:
        return repeat(of, 0, pos, then);
      case ByteExpression::Kind::kList:
        return list(of, 0, false, pos, then);
      case ByteExpression::Kind::kRule:
        return at(expressions_.rules()[static_cast<size_t>(of.rule)], pos, then);
    }
  }

  void sequence(const ByteExpression& of, size_t i, size_t pos, const Then& then) {
    if (i == of.parts.size()) return then(pos);
    at(of.parts[i], pos, [&, i](size_t next) { sequence(of, i + 1, next, then); });
  }

  void repeat(const ByteExpression& of, int64_t n, size_t pos, const Then& then) {
    if (n >= of.least) then(pos);
    if (of.most != ByteExpression::kUnlimited && n == of.most) return;
    at(of.parts[0], pos, [&, n, pos](size_t next) {
      if (next > pos || n < of.least) repeat(of, n + 1, next, then);
    });
  }

  void list(const ByteExpression& of, size_t i, bool has_some, size_t pos, const Then& then) {
    if (i == of.parts.size()) return then(pos);
    if (of.optional[i]) list(of, i + 1, has_some, pos, then);
    const auto part = [&, i](size_t next) {
      at(of.parts[i], next, [&, i](size_t behind) { list(of, i + 1, true, behind, then); });
    };
    if (has_some) return at(of.separator, pos, part);
    part(pos);
  }

  const Expressions& expressions_;
  ExpressionId root_;
  std::string_view text_;
  bool begins_ = false, accepts_ = false;
};

}  // namespace headlane::test
