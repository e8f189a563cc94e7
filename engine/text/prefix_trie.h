// All tokens that a text begins with: a double array, whose cells are 12 bytes. The child of a cell
// by a byte is the cell at base ^ byte, if that one's parent is the cell.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/text/vocabulary.h"

namespace headlane {

class PrefixTrie {
 public:
  // Holds the first n_tokens tokens; among equal ones the last one counts. Takes time in proportion
  // to their bytes.
  PrefixTrie(const Vocabulary& vocabulary, int64_t n_tokens);

  // Calls found(length, id) for each token that `text` begins with, the shortest first.
  template <typename Found>
  void find(std::string_view text, Found found) const {
    uint32_t cell = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      const uint32_t child = cells_[cell].base ^ static_cast<uint8_t>(text[i]);
      if (cells_[child].parent != cell) return;
      cell = child;
      if (cells_[cell].id >= 0) found(i + 1, cells_[cell].id);
    }
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Cell {
    uint32_t base = 0;
    uint32_t parent = kNone;  // of a free cell, and of the first one, which is the root
    int32_t id = -1;
  };
  class Builder;

  std::vector<Cell> cells_;
};

}  // namespace headlane
