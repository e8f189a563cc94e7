#include "engine/constraint/token_trie.h"

#include <algorithm>
#include <utility>

namespace headlane {

TokenTrie::TokenTrie(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {
  for (std::string& token : tokens_) {
    if (token.size() > kLongest) token.clear();
    longest_ = std::max(longest_, token.size());
    if (token.size() == 1) single_.set(static_cast<uint8_t>(token[0]));
  }
  for (size_t id = 0; id < tokens_.size(); ++id) {
    if (!tokens_[id].empty()) ids_.push_back(static_cast<int32_t>(id));
  }
  // std::string compares bytes as unsigned ones.
  std::ranges::sort(ids_, [&](int32_t a, int32_t b) {
    return std::pair(std::string_view(token(a)), a) < std::pair(std::string_view(token(b)), b);
  });
  nodes_.push_back({});
  std::vector<size_t> path = {0};  // nodes of the token at hand
  std::string_view last;
  for (size_t i = 0; i < ids_.size(); ++i) {
    const std::string& bytes = token(ids_[i]);
    const size_t shared = static_cast<size_t>(
        std::mismatch(last.begin(), last.end(), bytes.begin(), bytes.end()).first - last.begin());
    for (; path.size() > shared + 1; path.pop_back()) {
      nodes_[path.back()].end = static_cast<int32_t>(nodes_.size());
    }
    for (size_t at = shared; at < bytes.size(); ++at) {
      path.push_back(nodes_.size());
      nodes_.push_back({.first_token = static_cast<int32_t>(i),
                        .depth = static_cast<uint16_t>(at + 1),
                        .byte = static_cast<uint8_t>(bytes[at])});
    }
    last = bytes;
  }
  for (const size_t node : path) nodes_[node].end = static_cast<int32_t>(nodes_.size());
  // A node has no tokens of its own where the first one below it is also that of its child.
  const auto n = static_cast<int32_t>(ids_.size());
  nodes_.push_back({.end = 0, .first_token = n, .depth = 0, .byte = 0});
}

}  // namespace headlane
