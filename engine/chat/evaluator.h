// The values of expressions, among the names that are known where they stand.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/chat/syntax.h"
#include "engine/chat/work.h"

namespace headlane::chat {

// Names that were set in one place: a template, a turn of a loop, a call of a macro.
class Scope {
 public:
  explicit Scope(const Scope* outer) : outer_(outer) {}

  void set(const std::string& name, Datum value);
  // Here or in a scope around; null: nowhere.
  const Datum* find(std::string_view name) const;

 private:
  const Scope* outer_;
  std::vector<std::pair<std::string, Datum>> values_;
};

class Evaluator {
 public:
  // All throw Error.
  Datum evaluate(const Expression& expression, const Scope& scope);
  Arguments arguments_of(const Expression& call, const Scope& scope);
  // The filters of an expression over a value, which stands in the place of its innermost operand.
  Datum filtered_by(const Expression& filters, Datum value, const Scope& scope);

  Work* work() { return &work_; }
  int64_t line() const { return line_; }  // of what was evaluated last
  void set_line(int64_t line) { line_ = line; }

 private:
  Datum known(const Expression& expression, const Scope& scope);
  Datum compared(const Expression& expression, const Scope& scope);
  Datum concatenated(const Expression& expression, const Scope& scope);
  Datum signed_number(const Expression& expression, const Scope& scope);
  Datum slice(const Expression& expression, const Scope& scope);
  Datum map(const Expression& expression, const Scope& scope);
  Datum condition(const Expression& expression, const Scope& scope);
  std::vector<Datum> values(const std::vector<ExpressionPtr>& expressions, const Scope& scope);

  Work work_;
  int64_t line_ = 1;
};

}  // namespace headlane::chat
