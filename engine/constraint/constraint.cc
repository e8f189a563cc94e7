#include "engine/constraint/constraint.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/constraint/limits.h"

namespace headlane {
namespace {

constexpr int32_t kNoNodes = 0, kRoot = 1;

void set_bit(std::span<uint32_t> mask, int32_t id) {
  mask[static_cast<size_t>(id) / 32] |= uint32_t{1} << (static_cast<uint32_t>(id) % 32);
}

}  // namespace

Constraint::Constraint(std::shared_ptr<const TokenTrie> trie, const Expressions& expressions,
                       ExpressionId root)
    : trie_(std::move(trie)),
      automaton_(expressions, root, trie_->single_bytes(),
                 static_cast<int64_t>(trie_->longest()) + 1),
      cache_(automaton_),
      path_(trie_->longest() + 1) {
  nodes_of({});
  nodes_of({0});
}

size_t Constraint::bytes() const {
  const std::lock_guard lock(mutex_);
  return cache_.bytes() + walk_bytes_;
}

bool Constraint::allow_next(std::span<const int32_t> ids, std::span<uint32_t> mask,
                            Memory* memory) const {
  const std::lock_guard lock(mutex_);
  if (cache_.bytes() + walk_bytes_ > constraint_limits::kCacheBytes) {
    cache_.clear();
    walks_.clear();
    nodes_.clear();
    node_ids_.clear();
    walk_bytes_ = 0;
    nodes_of({});
    nodes_of({0});
    ++age_;
  }
  cache_.restart_work();
  const SetId set = set_behind(ids, memory);
  allow_from(set, kRoot, mask);
  return cache_.may_end(set);
}

SetId Constraint::set_behind(std::span<const int32_t> ids, Memory* memory) const {
  const bool goes_on = memory->age == age_ && memory->ids.size() <= ids.size() &&
                       std::ranges::equal(memory->ids, ids.first(memory->ids.size()));
  if (!goes_on) {
    memory->ids.clear();
    memory->set = cache_.closure({{automaton_.start(), StateCache::outermost(0)}});
    memory->age = age_;
  }
  SetId set = memory->set;
  for (const int32_t id : ids.subspan(memory->ids.size())) {
    const std::string& bytes = trie_->token(id);
    for (const char byte : bytes) set = cache_.step(set, static_cast<uint8_t>(byte));
    if (!bytes.empty() && set != StateCache::kDead) continue;
    fail(Status::kInvalidArgument, "token %d does not obey the constraint where it stands", id);
  }
  memory->ids.assign(ids.begin(), ids.end());
  memory->set = set;
  return set;
}

// Sets the bits of tokens that go on from the set at these nodes. The ways of each frame go through
// the trie by themselves, and those that its rule's end leads to go on from where it ended.
void Constraint::allow_from(SetId set, NodesId nodes, std::span<uint32_t> mask) const {
  std::vector<StateCache::Place> places(cache_.places(set).begin(), cache_.places(set).end());
  std::ranges::sort(places, {}, [](const StateCache::Place& place) {
    return std::pair(place.second, place.first);
  });
  for (size_t begin = 0, end = 0; begin < places.size(); begin = end) {
    const FrameId frame = places[begin].second;
    while (end < places.size() && places[end].second == frame) ++end;
    const Walk& walk = walk_of(std::span(places).subspan(begin, end - begin), nodes);
    for (size_t i = 0; i < walk.mask.size(); ++i) mask[i] |= walk.mask[i];
    for (const int32_t id : walk.ids) set_bit(mask, id);
    if (walk.ends == kNoNodes || StateCache::is_outermost(frame)) continue;
    const std::span<const StateCache::Place> behind = cache_.behind(frame);
    allow_from(cache_.closure({behind.begin(), behind.end()}), walk.ends, mask);
  }
}

// The walk of places in one frame, which is the same in frames of any depth unless it comes to the
// depth that rules may have.
const Constraint::Walk& Constraint::walk_of(std::span<const StateCache::Place> places,
                                            NodesId nodes) const {
  const int32_t depth = cache_.depth(places[0].second);
  const auto from = [&](int32_t base) -> const Walk& {
    std::vector<StateCache::Place> alike;
    for (const auto& [id, frame] : places) {
      alike.emplace_back(automaton_[id].alias, StateCache::outermost(base));
    }
    return find_walk(cache_.closure(std::move(alike)), nodes);
  };
  const Walk& anywhere = from(0);
  return anywhere.deepest + depth <= constraint_limits::kDepth ? anywhere : from(depth);
}

const Constraint::Walk& Constraint::find_walk(SetId set, NodesId nodes) const {
  const std::pair key(set, nodes);
  const auto known = walks_.find(key);
  if (known != walks_.end()) return known->second;
  Walk found = walk(set, nodes);
  walk_bytes_ += 4 * (found.mask.size() + found.ids.size()) + sizeof(Walk) + 100;
  return walks_.emplace(key, std::move(found)).first->second;
}

Constraint::Walk Constraint::walk(SetId set, NodesId nodes) const {
  Walk found;
  found.deepest = cache_.deepest(set);
  std::vector<int32_t> ends;
  size_t n_met = 0;
  for (const int32_t start : nodes_[static_cast<size_t>(nodes)]) {
    const TokenTrie::Node& top = (*trie_)[static_cast<size_t>(start)];
    path_[top.depth] = set;
    for (int32_t i = start + 1; i < top.end;) {
      const TokenTrie::Node& node = (*trie_)[static_cast<size_t>(i)];
      const SetId next = cache_.step(path_[node.depth - 1], node.byte);
      ++n_met;
      if (next == StateCache::kDead) {
        i = node.end;
        continue;
      }
      path_[node.depth] = next;
      found.deepest = std::max(found.deepest, cache_.deepest(next));
      if (cache_.may_end(next)) ends.push_back(i);
      const auto tokens = trie_->tokens_at(static_cast<size_t>(i));
      found.ids.insert(found.ids.end(), tokens.begin(), tokens.end());
      ++i;
    }
  }
  cache_.add_work(n_met);
  found.ends = nodes_of(std::move(ends));
  const auto words = static_cast<size_t>((trie_->vocab_size() + 31) / 32);
  if (found.ids.size() > words) {
    found.mask.resize(words);
    for (const int32_t id : found.ids) set_bit(found.mask, id);
    found.ids = {};
  }
  return found;
}

Constraint::NodesId Constraint::nodes_of(std::vector<int32_t> nodes) const {
  const auto known = node_ids_.find(nodes);
  if (known != node_ids_.end()) return known->second;
  const auto id = static_cast<NodesId>(nodes_.size());
  walk_bytes_ += 8 * nodes.size() + 200;
  node_ids_.emplace(nodes, id);
  nodes_.push_back(std::move(nodes));
  return id;
}

}  // namespace headlane
