// Sets of states that a text may have led to, found as they are needed and kept. A place in rules
// inside rules is a frame: where to go on once the rule has ended, and in which frame. Ways that
// call a rule at the same byte share its frame, so ambiguity does not multiply them.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/constraint/automaton.h"
#include "engine/constraint/limits.h"

namespace headlane {

using FrameId = int32_t;
using SetId = int32_t;

class StateCache {
 public:
  // A state that awaits a byte, in a frame.
  using Place = std::pair<StateId, FrameId>;
  // The frame of who asks, so many rules deep: what is behind its end is not looked at.
  static FrameId outermost(int32_t depth) { return depth; }
  static bool is_outermost(FrameId frame) { return frame <= constraint_limits::kDepth; }
  static constexpr SetId kDead = 0;  // the set of nothing

  explicit StateCache(const Automaton& automaton);

  // The set of these places and of all that they lead to without a byte.
  SetId closure(std::vector<Place> places);
  // The set behind a byte.
  SetId step(SetId set, uint8_t byte) {
    const SetId known = sets_[static_cast<size_t>(set)].behind[byte];
    return known >= 0 ? known : find_step(set, byte);
  }
  std::span<const Place> places(SetId set) const { return sets_[static_cast<size_t>(set)].places; }
  // Whether the outermost frame may end here.
  bool may_end(SetId set) const { return sets_[static_cast<size_t>(set)].may_end; }
  // How deep the rules of a set, and those that are needed for their ends, lie: beyond kDepth some
  // ways were left out.
  int32_t deepest(SetId set) const { return sets_[static_cast<size_t>(set)].deepest; }
  int32_t depth(FrameId frame) const { return frames_[static_cast<size_t>(frame)].depth; }
  // Where to go on behind the end of a frame.
  std::span<const Place> behind(FrameId frame) const {
    return frames_[static_cast<size_t>(frame)].places;
  }

  size_t bytes() const { return bytes_; }
  size_t work() const { return work_; }
  void restart_work() { work_ = 0; }
  void add_work(size_t steps);  // throws Error(kTooLarge) once it is too much
  void clear();                 // all but kDead and the outermost frames

 private:
  struct Set {
    std::vector<Place> places;  // in order
    bool may_end = false;
    int32_t deepest = 0;
    std::array<SetId, 256> behind;
  };
  struct Frame {
    std::vector<Place> places;  // in order
    int32_t depth = 0;
  };

  void forget_seen();
  void reach(std::vector<Place> places);
  FrameId frame_of(std::vector<Place> places);
  SetId set_of(std::vector<Place> places);
  SetId find_step(SetId set, uint8_t byte);

  const Automaton& automaton_;
  std::vector<Set> sets_;
  std::vector<Frame> frames_;
  std::map<std::tuple<std::vector<Place>, bool, int32_t>, SetId> set_ids_;
  std::map<std::vector<Place>, FrameId> frame_ids_;
  size_t bytes_ = 0, work_ = 0;
  // Of the closure at hand.
  std::vector<Place> seen_, waiting_;
  std::map<std::pair<int32_t, RuleId>, std::vector<Place>> calls_;  // by rank
  std::vector<std::vector<FrameId>> marks_;                         // [states], the frames of seen_
  bool may_end_ = false;
  int32_t deepest_ = 0;
};

}  // namespace headlane
