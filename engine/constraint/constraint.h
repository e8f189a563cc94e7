// A constraint on texts, and which tokens may come next in a text that obeys it. No token leads to
// a text that cannot be finished: of each byte there is a token, and states that lead to no end
// were never built (automaton.h).
//
// Whether a token may come mostly depends on the rule at hand alone, as within a string. So walks
// through the vocabulary's trie are kept by the states of one frame, together with the nodes where
// the frame's rule ends; from those nodes the walk goes on in the frame behind. A string that
// stands somewhere else takes another walk from few nodes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "engine/constraint/automaton.h"
#include "engine/constraint/state_cache.h"
#include "engine/constraint/token_trie.h"

namespace headlane {

class Constraint {
 public:
  // It keeps where one answer stands, so that the next call need not begin anew.
  struct Memory {
    std::vector<int32_t> ids;
    SetId set = -1;
    uint64_t age = 0;
  };

  // Texts of `root`, in the tokens of the vocabulary. Throws Error as Automaton does.
  Constraint(std::shared_ptr<const TokenTrie> trie, const Expressions& expressions,
             ExpressionId root);

  // Sets the bits of the tokens that may come behind these, and returns whether the text may end.
  // Any thread may call it. Throws Error(kInvalidArgument) where the tokens are no beginning of a
  // text, and Error(kTooLarge) where this takes too much work or memory.
  bool allow_next(std::span<const int32_t> ids, std::span<uint32_t> mask, Memory* memory) const;

  const TokenTrie& trie() const { return *trie_; }
  size_t bytes() const;  // of what is kept now

 private:
  using NodesId = int32_t;  // of lists of nodes of the trie
  struct Walk {
    std::vector<uint32_t> mask;  // of many tokens, else none
    std::vector<int32_t> ids;    // of few
    NodesId ends = 0;            // where the outermost frame may end
    int32_t deepest = 0;         // as of StateCache, of all sets that it met
  };

  SetId set_behind(std::span<const int32_t> ids, Memory* memory) const;
  void allow_from(SetId set, NodesId nodes, std::span<uint32_t> mask) const;
  const Walk& walk_of(std::span<const StateCache::Place> places, NodesId nodes) const;
  const Walk& find_walk(SetId set, NodesId nodes) const;
  Walk walk(SetId set, NodesId nodes) const;
  NodesId nodes_of(std::vector<int32_t> nodes) const;

  std::shared_ptr<const TokenTrie> trie_;
  Automaton automaton_;

  mutable std::mutex mutex_;  // guards all below
  mutable StateCache cache_;
  mutable uint64_t age_ = 1;  // how often the cache was cleared
  mutable std::map<std::pair<SetId, NodesId>, Walk> walks_;
  mutable std::vector<std::vector<int32_t>> nodes_;  // 0: none; 1: the root alone
  mutable std::map<std::vector<int32_t>, NodesId> node_ids_;
  mutable size_t walk_bytes_ = 0;
  mutable std::vector<SetId> path_;  // [depths of the trie], of the walk at hand
};

}  // namespace headlane
