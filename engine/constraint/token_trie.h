// The bytes of a vocabulary's tokens as a trie, whose nodes lie in the order in which a walk meets
// them: a node, then what is below it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/constraint/expression.h"

namespace headlane {

class TokenTrie {
 public:
  struct Node {
    int32_t end = 0;          // the node behind all that are below
    int32_t first_token = 0;  // of the tokens that end here; the next node's is behind the last
    uint16_t depth = 0;
    uint8_t byte = 0;
  };
  static constexpr size_t kLongest = 512;  // longer tokens are left out

  // The bytes of each token, by id; of those that are left out, none.
  explicit TokenTrie(std::vector<std::string> tokens);

  size_t n_nodes() const { return nodes_.size() - 1; }
  const Node& operator[](size_t i) const { return nodes_[i]; }  // 0: the root
  std::span<const int32_t> tokens_at(size_t i) const {
    return std::span(ids_).subspan(
        static_cast<size_t>(nodes_[i].first_token),
        static_cast<size_t>(nodes_[i + 1].first_token - nodes_[i].first_token));
  }
  int64_t vocab_size() const { return static_cast<int64_t>(tokens_.size()); }
  const std::string& token(int32_t id) const { return tokens_[static_cast<size_t>(id)]; }
  size_t longest() const { return longest_; }
  ByteSet single_bytes() const { return single_; }  // that are tokens

 private:
  std::vector<std::string> tokens_;
  std::vector<Node> nodes_;   // and one behind the last
  std::vector<int32_t> ids_;  // of tokens, in the order of their bytes
  size_t longest_ = 0;
  ByteSet single_;
};

}  // namespace headlane
