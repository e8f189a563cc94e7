#include "engine/text/prefix_trie.h"

#include <algorithm>
#include <string>
#include <utility>

namespace headlane {
namespace {

constexpr uint32_t kBlock = 256;  // all children of a cell lie in one

// Free cells that are tried for a cell's children before a new block is taken. Most cells have one
// child, which fits in any.
constexpr int kTries = 32;

}  // namespace

class PrefixTrie::Builder {
 public:
  Builder(std::vector<std::pair<std::string_view, int32_t>> tokens, std::vector<Cell>* cells)
      : tokens_(std::move(tokens)), cells_(*cells) {}

  void build() {
    add_block();
    std::vector<Range> waiting = {{0, tokens_.size(), 0, 0}};
    while (!waiting.empty()) {
      const Range range = waiting.back();
      waiting.pop_back();
      add_children(range, &waiting);
    }
  }

 private:
  // Tokens with the same first `depth` bytes, which lead to `cell`.
  struct Range {
    size_t begin, end, depth;
    uint32_t cell;
  };

  void add_children(Range range, std::vector<Range>* waiting) {
    // Tokens are sorted, so those that end here come first.
    while (range.begin < range.end && tokens_[range.begin].first.size() == range.depth) {
      cells_[range.cell].id = std::max(cells_[range.cell].id, tokens_[range.begin].second);
      ++range.begin;
    }
    if (range.begin == range.end) {
      return;  // its base leads to cells of other parents
    }
    std::vector<std::pair<uint8_t, size_t>> children;  // byte, and where its tokens begin
    for (size_t i = range.begin; i < range.end; ++i) {
      const uint8_t byte = static_cast<uint8_t>(tokens_[i].first[range.depth]);
      if (children.empty() || children.back().first != byte) children.emplace_back(byte, i);
    }
    const uint32_t base = free_base(children);
    cells_[range.cell].base = base;
    for (size_t i = 0; i < children.size(); ++i) {
      const uint32_t child = base ^ children[i].first;
      cells_[child].parent = range.cell;
      const size_t end = i + 1 < children.size() ? children[i + 1].second : range.end;
      waiting->push_back({children[i].second, end, range.depth + 1, child});
    }
  }

  uint32_t free_base(const std::vector<std::pair<uint8_t, size_t>>& children) {
    int n_tries = 0;
    for (size_t i = free_.size(); i-- > 0 && n_tries < kTries; ++n_tries) {
      if (cells_[free_[i]].parent != kNone) {  // taken since
        free_[i] = free_.back();
        free_.pop_back();
        continue;
      }
      const uint32_t base = free_[i] ^ children[0].first;
      const bool fits = std::all_of(children.begin(), children.end(), [&](const auto& child) {
        return (base ^ child.first) != 0 && cells_[base ^ child.first].parent == kNone;
      });
      if (fits) return base;
    }
    return add_block();
  }

  uint32_t add_block() {
    const auto base = static_cast<uint32_t>(cells_.size());
    cells_.resize(cells_.size() + kBlock);
    // The root is never free.
    for (uint32_t i = kBlock; i-- > (base == 0 ? 1 : 0);) free_.push_back(base + i);
    return base;
  }

  std::vector<std::pair<std::string_view, int32_t>> tokens_;
  std::vector<Cell>& cells_;
  std::vector<uint32_t> free_;  // and some that were free
};

PrefixTrie::PrefixTrie(const Vocabulary& vocabulary, int64_t n_tokens) {
  std::vector<std::pair<std::string_view, int32_t>> tokens;
  tokens.reserve(static_cast<size_t>(n_tokens));
  for (int32_t id = 0; id < n_tokens; ++id) {
    if (!vocabulary.token(id).empty()) tokens.emplace_back(vocabulary.token(id), id);
  }
  std::sort(tokens.begin(), tokens.end());
  Builder(std::move(tokens), &cells_).build();
}

}  // namespace headlane
