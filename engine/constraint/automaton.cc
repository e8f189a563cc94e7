#include "engine/constraint/automaton.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/constraint/limits.h"

namespace headlane {

Automaton::Automaton(const Expressions& expressions, ExpressionId root, const ByteSet& spelled,
                     int64_t longest)
    : expressions_(&expressions), spelled_(spelled), longest_(longest) {
  const StateId end = add({.need = 0});
  for (const ExpressionId rule : expressions.rules()) rule_starts_.push_back(build(rule, end));
  start_ = build(root, end);
  rank_rules();
  find_needs();
  expressions_ = nullptr;
  if ((*this)[start_].need > constraint_limits::kDepth) {
    fail(Status::kInvalidArgument,
         "the constraint has no text that the tokens of the vocabulary spell, within %d values "
         "inside each other",
         constraint_limits::kDepth);
  }
}

StateId Automaton::add(const State& state) {
  if (states_.size() >= constraint_limits::kStates) {
    fail(Status::kTooLarge,
         "the constraint makes an automaton of more than %zu states: its repetitions, or the "
         "lengths that it asks for, are too large",
         constraint_limits::kStates);
  }
  states_.push_back(state);
  const auto id = static_cast<StateId>(states_.size()) - 1;
  states_.back().alias = id;
  return id;
}

StateId Automaton::branch(const std::vector<StateId>& targets) {
  const auto first = static_cast<int32_t>(targets_.size());
  targets_.insert(targets_.end(), targets.begin(), targets.end());
  return add({.kind = Kind::kBranch, .what = first, .next = static_cast<StateId>(targets.size())});
}

// The state from which the expression leads to `next`.
StateId Automaton::build(ExpressionId id, StateId next) {
  if (++n_built_ > 8 * constraint_limits::kStates) {
    fail(Status::kTooLarge, "the constraint repeats too much inside of what is repeated");
  }
  const ByteExpression& of = (*expressions_)[id];
  switch (of.kind) {
    case ByteExpression::Kind::kBytes:
      byte_sets_.push_back(of.bytes & spelled_);
      return add(
          {.kind = Kind::kByte, .what = static_cast<int32_t>(byte_sets_.size()) - 1, .next = next});
    case ByteExpression::Kind::kSequence:
      for (size_t i = of.parts.size(); i-- > 0;) next = build(of.parts[i], next);
      return next;
    case ByteExpression::Kind::kChoice: {
      std::vector<StateId> targets;
      for (const ExpressionId part : of.parts) targets.push_back(build(part, next));
      return branch(targets);
    }
    case ByteExpression::Kind::kRepeat:
      return build_repeat(of, next);
    case ByteExpression::Kind::kList:
      return build_list(of, next);
    case ByteExpression::Kind::kRule:
      return add({.kind = Kind::kCall, .what = of.rule, .next = next});
  }
  return next;
}

// Copies that are so far from the last one that no token gets there are alike: each has the one
// before it, which was built the same, as its alias.
void Automaton::mark_copy(size_t begin, size_t end, bool is_far) {
  const size_t n = states_.size() - end;
  if (!is_far || end - begin != n) return;
  for (size_t i = end; i < states_.size(); ++i) states_[i].alias = states_[i - n].alias;
}

StateId Automaton::build_repeat(const ByteExpression& repeat, StateId next) {
  const ExpressionId part = repeat.parts[0];
  const bool looks_alike = !(*expressions_)[part].is_nullable;
  // Copies from the last one on: first those that may be left out, then those that may not.
  const auto copies = [&](int64_t n, bool is_optional, StateId from) {
    const StateId behind = from;
    size_t begin = states_.size();
    for (int64_t i = 0; i < n; ++i) {
      const size_t end = states_.size();
      from = build(part, from);
      if (is_optional) from = branch({from, behind});
      mark_copy(begin, end, looks_alike && i > longest_);
      begin = end;
    }
    return from;
  };
  if (repeat.most == ByteExpression::kUnlimited) {
    const StateId loop = branch({next, next});
    states_[static_cast<size_t>(loop)].need = kNever;
    const StateId body = build(part, loop);
    targets_[static_cast<size_t>((*this)[loop].what)] = body;
    next = loop;
  } else {
    next = copies(repeat.most - repeat.least, true, next);
  }
  return copies(repeat.least, false, next);
}

// Two rows of states: of lists that have a part already, whose next one follows a separator, and of
// those that have none.
StateId Automaton::build_list(const ByteExpression& list, StateId next) {
  StateId some = next, none = next;
  for (size_t i = list.parts.size(); i-- > 0;) {
    const StateId first = build(list.parts[i], some);
    StateId other = build(list.separator, build(list.parts[i], some));
    none = list.optional[i] ? branch({first, none}) : first;
    some = list.optional[i] ? branch({other, some}) : other;
  }
  return none;
}

// States lead to ones that were built before them, except that loops go round and rules are called
// before they are built; so each round passes on all that is known of rules.
void Automaton::find_needs() {
  for (bool changed = true; changed;) {
    changed = false;
    for (State& state : states_) {
      int32_t need = state.need;
      if (state.kind == Kind::kByte) {
        const bool any = byte_sets_[static_cast<size_t>(state.what)].any();
        need = any ? (*this)[state.next].need : kNever;
      } else if (state.kind == Kind::kBranch) {
        for (const StateId target : targets(state)) need = std::min(need, (*this)[target].need);
      } else if (state.kind == Kind::kCall) {
        need = std::max((*this)[start_of(state.what)].need + 1, (*this)[state.next].need);
      }
      if (need > constraint_limits::kDepth) need = kNever;
      changed = changed || need != state.need;
      state.need = need;
    }
  }
}

void Automaton::rank_rules() {
  const size_t n = rule_starts_.size();
  ranks_.assign(n, -1);
  int32_t next_rank = static_cast<int32_t>(n);
  std::vector<std::vector<RuleId>> calls(n);
  std::vector<size_t> seen(states_.size(), n);
  for (size_t rule = 0; rule < n; ++rule) {
    std::vector<StateId> todo = {rule_starts_[rule]};
    while (!todo.empty()) {
      const StateId id = todo.back();
      todo.pop_back();
      if (seen[static_cast<size_t>(id)] == rule) continue;
      seen[static_cast<size_t>(id)] = rule;
      const State& state = (*this)[id];
      if (state.kind == Kind::kCall) calls[rule].push_back(state.what);
      if (state.kind != Kind::kBranch) continue;
      for (const StateId target : targets(state)) todo.push_back(target);
    }
  }
  // Depth first, without recursion: a rule gets its rank once all that it calls have theirs.
  std::vector<uint8_t> is_open(n, 0);
  for (size_t root = 0; root < n; ++root) {
    std::vector<std::pair<size_t, size_t>> path;
    if (ranks_[root] < 0) path.emplace_back(root, 0);
    while (!path.empty()) {
      auto& [rule, at] = path.back();
      is_open[rule] = 1;
      if (at == calls[rule].size()) {
        is_open[rule] = 0;
        ranks_[rule] = --next_rank;
        path.pop_back();
        continue;
      }
      const auto called = static_cast<size_t>(calls[rule][at++]);
      if (is_open[called] != 0) {
        fail(Status::kInvalidArgument,
             "the schema refers to itself without anything in between, so it says nothing");
      }
      if (ranks_[called] < 0) path.emplace_back(called, 0);
    }
  }
}

}  // namespace headlane
