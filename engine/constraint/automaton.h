// The automaton of a constraint: states whose texts begin with a byte, branch, or call a rule and
// go on behind it. From each state that is left an end can be reached, within the depth that rules
// may have, so whoever is in one of them has not got lost.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/constraint/expression.h"

namespace headlane {

using StateId = int32_t;

class Automaton {
 public:
  enum class Kind : uint8_t { kEnd, kByte, kBranch, kCall };
  static constexpr int kNever = 1 << 20;  // more than any depth

  struct State {
    Kind kind = Kind::kEnd;
    int32_t what = -1;      // kByte: of byte_sets; kCall: the rule; kBranch: its first target
    StateId next = -1;      // kByte, kCall: behind it; kBranch: the number of targets
    int32_t need = kNever;  // rules inside rules that lead to the end of its own
    StateId alias = -1;     // a state with the same texts up to the longest token
  };

  // `spelled`: bytes that are tokens, without which nothing is spelled. `longest`: bytes that are
  // looked ahead at once. Throws Error: kInvalidArgument where a rule begins with itself, or no
  // text is left; kTooLarge.
  Automaton(const Expressions& expressions, ExpressionId root, const ByteSet& spelled,
            int64_t longest);

  StateId start() const { return start_; }
  StateId start_of(RuleId rule) const { return rule_starts_[static_cast<size_t>(rule)]; }
  // Rules that are called at the beginning of others come behind them in this order.
  int32_t rank_of(RuleId rule) const { return ranks_[static_cast<size_t>(rule)]; }
  const State& operator[](StateId id) const { return states_[static_cast<size_t>(id)]; }
  bool has_byte(const State& state, uint8_t byte) const {
    return byte_sets_[static_cast<size_t>(state.what)][byte];
  }
  std::span<const StateId> targets(const State& state) const {
    return std::span(targets_).subspan(static_cast<size_t>(state.what),
                                       static_cast<size_t>(state.next));
  }
  size_t n_states() const { return states_.size(); }

 private:
  StateId add(const State& state);
  StateId branch(const std::vector<StateId>& targets);
  StateId build(ExpressionId id, StateId next);
  StateId build_repeat(const ByteExpression& repeat, StateId next);
  StateId build_list(const ByteExpression& list, StateId next);
  void mark_copy(size_t begin, size_t end, bool is_far);
  void find_needs();
  void rank_rules();

  const Expressions* expressions_ = nullptr;  // while it is built
  ByteSet spelled_;
  int64_t longest_ = 0;
  size_t n_built_ = 0;
  StateId start_ = -1;
  std::vector<State> states_;
  std::vector<StateId> targets_;
  std::vector<ByteSet> byte_sets_;
  std::vector<StateId> rule_starts_;
  std::vector<int32_t> ranks_;
};

}  // namespace headlane
