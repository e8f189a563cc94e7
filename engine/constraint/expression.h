// Expressions over bytes: what a regular expression or a schema allows, before it becomes an
// automaton. Rules give parts a name, so that they may contain themselves.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace headlane {

using ByteSet = std::bitset<256>;
using ExpressionId = int32_t;
using RuleId = int32_t;

struct ByteExpression {
  enum class Kind {
    kBytes,     // one byte of `bytes`
    kSequence,  // all parts, one behind the other; without parts: the empty text
    kChoice,    // one of the parts; without parts: nothing at all
    kRepeat,    // the part, `least` to `most` times
    kList,      // some of the parts in their order, with a comma between them
    kRule,      // what the rule says
  };
  static constexpr int64_t kUnlimited = -1;

  Kind kind = Kind::kSequence;
  ByteSet bytes;
  std::vector<ExpressionId> parts;
  std::vector<bool> optional;  // kList: of each part, whether it may be left out
  ExpressionId separator = -1;
  int64_t least = 0, most = 0;  // of kRepeat; most may be kUnlimited
  RuleId rule = -1;
  bool is_nullable = false;  // whether the empty text is one of its texts
  int depth = 0;             // of parts in parts
};

class Expressions {
 public:
  // All throw Error(kTooLarge) beyond what a constraint may have.
  ExpressionId bytes(const ByteSet& set);
  ExpressionId byte(uint8_t byte);
  ExpressionId text(std::string_view text);
  ExpressionId empty() { return sequence({}); }
  ExpressionId sequence(std::vector<ExpressionId> parts);
  ExpressionId choice(std::vector<ExpressionId> parts);
  ExpressionId repeat(ExpressionId part, int64_t least, int64_t most);
  ExpressionId optional(ExpressionId part) { return repeat(part, 0, 1); }
  ExpressionId list(std::vector<ExpressionId> parts, std::vector<bool> optional,
                    ExpressionId separator);
  // Texts of rules are never empty.
  ExpressionId rule(RuleId rule);

  RuleId add_rule();  // which define_rule says later
  void define_rule(RuleId rule, ExpressionId is) { rules_[static_cast<size_t>(rule)] = is; }
  std::span<const ExpressionId> rules() const { return rules_; }

  const ByteExpression& operator[](ExpressionId id) const {
    return expressions_[static_cast<size_t>(id)];
  }

 private:
  ExpressionId add(ByteExpression expression);

  std::vector<ByteExpression> expressions_;
  std::vector<ExpressionId> rules_;
  size_t n_parts_ = 0;
};

}  // namespace headlane
