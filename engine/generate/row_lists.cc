#include "engine/generate/row_lists.h"

#include <algorithm>
#include <cassert>

#include "engine/base/block_layout.h"

namespace headlane {
namespace {

struct RowListParts {
  size_t pool, firsts, lengths, rows, total;
};

RowListParts divide(const RowListsLimits& limits) {
  BlockLayout block;
  RowListParts parts;
  parts.pool = block.take(static_cast<int64_t>(RowPool::bytes(limits.pool)), 1);
  parts.firsts = block.take(limits.n_lists, sizeof(int32_t));
  parts.lengths = block.take(limits.n_lists, sizeof(int32_t));
  parts.rows = block.take(limits.n_lists * limits.max_len, sizeof(int32_t));
  parts.total = block.bytes();
  return parts;
}

}  // namespace

size_t RowLists::bytes(const RowListsLimits& limits) { return divide(limits).total; }

RowLists::RowLists(const RowListsLimits& limits, void* memory)
    : limits_(limits), pool_(limits.pool, static_cast<char*>(memory) + divide(limits).pool) {
  const RowListParts parts = divide(limits);
  char* base = static_cast<char*>(memory);
  firsts_ = reinterpret_cast<int32_t*>(base + parts.firsts);
  lengths_ = reinterpret_cast<int32_t*>(base + parts.lengths);
  rows_ = reinterpret_cast<int32_t*>(base + parts.rows);
  std::fill_n(firsts_, limits.n_lists, 0);
  std::fill_n(lengths_, limits.n_lists, 0);
}

void RowLists::share(int32_t list, int32_t from, int64_t n) {
  assert(lengths_[list] == 0 && n <= lengths_[from]);
  const int32_t* shared = rows(from);
  firsts_[list] = static_cast<int32_t>(std::min(n, first(from)));
  lengths_[list] = static_cast<int32_t>(n);
  for (int64_t i = first(list); i < n; ++i) {
    pool_.share(shared[i]);
    rows_[list * limits_.max_len + i] = shared[i];
  }
}

bool RowLists::grow(int32_t list, int64_t n) {
  assert(n <= limits_.max_len);
  if (n - lengths_[list] > pool_.n_free()) return false;
  int32_t* rows = rows_ + list * limits_.max_len;
  while (lengths_[list] < n) rows[lengths_[list]++] = pool_.take();
  return true;
}

void RowLists::cut(int32_t list, int64_t n) {
  const int32_t* of = rows(list);
  // From the end, so that rows taken next lie in the order of these.
  while (length(list) > std::max(n, first(list))) pool_.release(of[--lengths_[list]]);
  if (lengths_[list] <= n) return;
  lengths_[list] = firsts_[list] = static_cast<int32_t>(n);
}

void RowLists::slide(int32_t list, int64_t first) {
  const int32_t* of = rows(list);
  while (firsts_[list] < std::min(first, length(list))) pool_.release(of[firsts_[list]++]);
}

}  // namespace headlane
