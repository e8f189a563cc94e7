#include "engine/constraint/state_cache.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/constraint/limits.h"

namespace headlane {

StateCache::StateCache(const Automaton& automaton)
    : automaton_(automaton), marks_(automaton.n_states()) {
  clear();
}

void StateCache::clear() {
  sets_.clear();
  frames_.clear();
  set_ids_.clear();
  frame_ids_.clear();
  bytes_ = 0;
  for (int32_t depth = 0; depth <= constraint_limits::kDepth; ++depth) {
    frames_.push_back({.places = {}, .depth = depth});
  }
  may_end_ = false;
  deepest_ = 0;
  set_of({});  // kDead
}

void StateCache::add_work(size_t steps) {
  work_ += steps;
  if (work_ > constraint_limits::kWork) {
    fail(Status::kTooLarge,
         "the constraint takes too much work: so many of its ways fit the same text that a step "
         "took %zu of the automaton",
         constraint_limits::kWork);
  }
  if (bytes_ > 4 * constraint_limits::kCacheBytes) {
    fail(Status::kTooLarge, "the constraint takes too much memory: a step needs %zu MiB",
         bytes_ >> 20);
  }
}

FrameId StateCache::frame_of(std::vector<Place> places) {
  std::ranges::sort(places);
  places.erase(std::unique(places.begin(), places.end()), places.end());
  const auto known = frame_ids_.find(places);
  if (known != frame_ids_.end()) return known->second;
  Frame frame;
  for (const Place& place : places) {
    frame.depth = std::max(frame.depth, frames_[static_cast<size_t>(place.second)].depth + 1);
  }
  const auto id = static_cast<FrameId>(frames_.size());
  bytes_ += 2 * places.size() * sizeof(Place) + 200;
  frame_ids_.emplace(places, id);
  frame.places = std::move(places);
  frames_.push_back(std::move(frame));
  return id;
}

SetId StateCache::set_of(std::vector<Place> places) {
  std::ranges::sort(places);
  std::tuple key(std::move(places), may_end_, deepest_);
  const auto known = set_ids_.find(key);
  if (known != set_ids_.end()) return known->second;
  const auto id = static_cast<SetId>(sets_.size());
  Set set;
  set.places = std::get<0>(key);
  set.may_end = may_end_;
  set.deepest = deepest_;
  set.behind.fill(-1);
  bytes_ += 2 * set.places.size() * sizeof(Place) + sizeof(Set) + 200;
  sets_.push_back(std::move(set));
  set_ids_.emplace(std::move(key), id);
  return id;
}

// Goes on from the places without a byte, as far as that goes without calling a rule.
void StateCache::reach(std::vector<Place> places) {
  waiting_ = std::move(places);
  while (!waiting_.empty()) {
    const auto [id, frame] = waiting_.back();
    waiting_.pop_back();
    const Automaton::State& state = automaton_[id];
    // A state that is left out here has others beside it that lead to an end.
    const int32_t depth = frames_[static_cast<size_t>(frame)].depth;
    if (state.need == Automaton::kNever) continue;
    deepest_ = std::max(deepest_, state.need + depth);
    if (state.need + depth > constraint_limits::kDepth) continue;
    std::vector<FrameId>& marks = marks_[static_cast<size_t>(id)];
    if (std::ranges::find(marks, frame) != marks.end()) continue;
    marks.push_back(frame);
    seen_.emplace_back(id, frame);
    add_work(1 + marks.size() / 8);
    switch (state.kind) {
      case Automaton::Kind::kByte:
        break;
      case Automaton::Kind::kBranch:
        for (const StateId target : automaton_.targets(state)) waiting_.emplace_back(target, frame);
        break;
      case Automaton::Kind::kCall:
        calls_[{automaton_.rank_of(state.what), state.what}].emplace_back(state.next, frame);
        break;
      case Automaton::Kind::kEnd:
        if (is_outermost(frame)) may_end_ = true;
        for (const Place& place : behind(frame)) waiting_.push_back(place);
    }
  }
}

SetId StateCache::closure(std::vector<Place> places) {
  forget_seen();  // of a closure that ended by an error
  calls_.clear();
  may_end_ = false;
  deepest_ = 0;
  reach(std::move(places));
  // No rule calls one before it without a byte, so all who call one are known when it begins.
  while (!calls_.empty()) {
    const auto first = calls_.begin();
    const RuleId rule = first->first.second;
    const FrameId frame = frame_of(std::move(first->second));
    calls_.erase(first);
    reach({{automaton_.start_of(rule), frame}});
  }
  std::vector<Place> waits;
  for (const Place& place : seen_) {
    if (automaton_[place.first].kind == Automaton::Kind::kByte) waits.push_back(place);
  }
  forget_seen();
  return set_of(std::move(waits));
}

void StateCache::forget_seen() {
  for (const Place& place : seen_) marks_[static_cast<size_t>(place.first)].clear();
  seen_.clear();
}

SetId StateCache::find_step(SetId set, uint8_t byte) {
  std::vector<Place> next;
  for (const auto& [id, frame] : places(set)) {
    const Automaton::State& state = automaton_[id];
    if (automaton_.has_byte(state, byte)) next.emplace_back(state.next, frame);
  }
  add_work(1 + places(set).size());
  const SetId behind = next.empty() ? kDead : closure(std::move(next));
  sets_[static_cast<size_t>(set)].behind[byte] = behind;
  return behind;
}

}  // namespace headlane
