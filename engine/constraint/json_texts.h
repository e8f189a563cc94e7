// Expressions of JSON values: strings, numbers, values of any kind, and ones that are given.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/chat/value.h"
#include "engine/constraint/characters.h"
#include "engine/constraint/expression.h"

namespace headlane {

class JsonTexts {
 public:
  explicit JsonTexts(Expressions* expressions) : expressions_(*expressions) {}

  ExpressionId comma();  // with a blank behind it or not
  ExpressionId colon();

  ExpressionId any_value();
  ExpressionId any_object();
  ExpressionId any_array();
  ExpressionId any_string();
  ExpressionId any_number();
  ExpressionId any_integer();
  ExpressionId boolean();
  // So many characters between quotation marks; most may be kUnlimited.
  ExpressionId string_of_length(int64_t least, int64_t most);
  ExpressionId quoted(ExpressionId inner);
  // A name that is none of these, without escapes.
  ExpressionId name_without(const std::vector<std::string>& names);
  ExpressionId member(ExpressionId name, ExpressionId value);
  // "{", all of these one behind the other with commas, "}".
  ExpressionId members(ExpressionId member);
  ExpressionId integer_between(int64_t least, int64_t most);
  // Numbers with fractions, whose bounds are whole.
  ExpressionId number_between(int64_t least, int64_t most);
  ExpressionId literal(const chat::Datum& value);
  ExpressionId string_literal(std::string_view text);

  // A rule that is the same wherever it is used, made once.
  template <typename Make>
  ExpressionId shared(const std::string& name, Make make) {
    const auto known = rules_.find(name);
    if (known != rules_.end()) return expressions_.rule(known->second);
    const RuleId rule = expressions_.add_rule();
    rules_.emplace(name, rule);
    const ExpressionId made = make();
    expressions_.define_rule(rule, made);
    return expressions_.rule(rule);
  }

  static constexpr int64_t kDigits = 18;  // of whole numbers, and of fractions
  static constexpr int64_t kLargest = 999'999'999'999'999'999;

 private:
  ExpressionId character();  // of a string, escapes included
  ExpressionId plain_character();
  ExpressionId digits(int64_t least, int64_t most);
  ExpressionId digit(char first, char last);
  ExpressionId digits_between(std::string_view least, std::string_view most);
  ExpressionId natural_between(int64_t least, int64_t most);
  ExpressionId name_behind(const std::vector<std::string>& names, size_t n_before);

  Expressions& expressions_;
  std::map<std::string, RuleId> rules_;
};

}  // namespace headlane
