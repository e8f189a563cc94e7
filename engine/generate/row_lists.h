// Lists of rows, one for each place of a sequence: the token at position i of a sequence has the
// row list[i]. Lists share rows, so sequences that begin alike need them once.
//
// With a window, a list gives up rows that no later token sees.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/generate/row_pool.h"

namespace headlane {

struct RowListsLimits {
  RowPoolLimits pool;
  int64_t n_lists = 0;
  int64_t max_len = 0;  // rows of a list
};

class RowLists {
 public:
  static size_t bytes(const RowListsLimits& limits);
  // `memory`: bytes() of it, 64-byte aligned, which outlives the lists, all of which are empty.
  RowLists(const RowListsLimits& limits, void* memory);

  const RowPool& pool() const { return pool_; }
  const int32_t* rows(int32_t list) const { return rows_ + list * limits_.max_len; }
  int64_t length(int32_t list) const { return lengths_[list]; }
  int64_t first(int32_t list) const { return firsts_[list]; }  // that it has still

  // The list, which is empty, becomes the first n rows of another, as far as that has them.
  void share(int32_t list, int32_t from, int64_t n);
  // The list, which is empty, has given up its rows before `first`.
  void begin_at(int32_t list, int64_t first) {
    firsts_[list] = lengths_[list] = static_cast<int32_t>(first);
  }
  // The list gets rows of its own up to a length of n. False, and nothing was done: there are not
  // enough free ones.
  bool grow(int32_t list, int64_t n);
  // The list keeps its first n rows, or all where it has fewer.
  void cut(int32_t list, int64_t n);
  // The list gives up its rows before `first`.
  void slide(int32_t list, int64_t first);

 private:
  RowListsLimits limits_;
  RowPool pool_;
  int32_t* firsts_ = nullptr;   // [n_lists]
  int32_t* lengths_ = nullptr;  // [n_lists]
  int32_t* rows_ = nullptr;     // [n_lists, max_len]
};

}  // namespace headlane
