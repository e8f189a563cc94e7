#include "engine/generate/row_pool.h"

#include <algorithm>
#include <cassert>

#include "engine/base/block_layout.h"

namespace headlane {
namespace {

struct RowPoolParts {
  size_t keys, free, lists, total;
};

RowPoolParts divide(const RowPoolLimits& limits) {
  BlockLayout block;
  RowPoolParts parts;
  parts.keys = block.take(limits.n_layers * limits.n_rows * limits.row.floats, sizeof(float));
  parts.free = block.take(limits.n_rows, sizeof(int32_t));
  parts.lists = block.take(limits.n_rows, sizeof(int32_t));
  parts.total = block.bytes();
  return parts;
}

}  // namespace

size_t RowPool::bytes(const RowPoolLimits& limits) { return divide(limits).total; }

RowPool::RowPool(const RowPoolLimits& limits, void* memory) : n_free_(limits.n_rows) {
  const RowPoolParts parts = divide(limits);
  char* base = static_cast<char*>(memory);
  float* keys = reinterpret_cast<float*>(base + parts.keys);
  for (int64_t i = 0; i < limits.n_layers; ++i) {
    layers_.push_back(
        {keys + i * limits.n_rows * limits.row.floats, limits.row.floats, limits.row.format});
  }
  free_ = reinterpret_cast<int32_t*>(base + parts.free);
  lists_ = reinterpret_cast<int32_t*>(base + parts.lists);
  // The last one is taken first, so rows of a first prompt lie in order.
  for (int64_t i = 0; i < n_free_; ++i) free_[i] = static_cast<int32_t>(n_free_ - 1 - i);
  std::fill_n(lists_, limits.n_rows, 0);
}

int32_t RowPool::take() {
  assert(n_free_ > 0);
  const int32_t row = free_[--n_free_];
  lists_[row] = 1;
  return row;
}

void RowPool::share(int32_t row) {
  assert(lists_[row] > 0);
  ++lists_[row];
}

void RowPool::release(int32_t row) {
  assert(lists_[row] > 0);
  if (--lists_[row] == 0) free_[n_free_++] = row;
}

}  // namespace headlane
