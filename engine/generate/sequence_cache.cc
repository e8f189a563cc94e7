#include "engine/generate/sequence_cache.h"

#include <algorithm>
#include <cassert>

#include "engine/base/block_layout.h"

namespace headlane {
namespace {

struct Parts {
  size_t pool, free, lengths, rows, total;
};

Parts divide(const SequenceCacheLimits& limits) {
  BlockLayout block;
  Parts parts;
  parts.pool = block.take(static_cast<int64_t>(RowPool::bytes(limits.pool)), 1);
  parts.free = block.take(limits.max_sequences, sizeof(int32_t));
  parts.lengths = block.take(limits.max_sequences, sizeof(int32_t));
  parts.rows = block.take(limits.max_sequences * limits.max_len, sizeof(int32_t));
  parts.total = block.bytes();
  return parts;
}

}  // namespace

size_t SequenceCache::bytes(const SequenceCacheLimits& limits) { return divide(limits).total; }

SequenceCache::SequenceCache(const SequenceCacheLimits& limits, void* memory)
    : limits_(limits),
      pool_(limits.pool, static_cast<char*>(memory) + divide(limits).pool),
      n_free_(limits.max_sequences) {
  const Parts parts = divide(limits);
  char* base = static_cast<char*>(memory);
  free_ = reinterpret_cast<int32_t*>(base + parts.free);
  lengths_ = reinterpret_cast<int32_t*>(base + parts.lengths);
  rows_ = reinterpret_cast<int32_t*>(base + parts.rows);
  for (int64_t i = 0; i < n_free_; ++i) free_[i] = static_cast<int32_t>(n_free_ - 1 - i);
  std::fill_n(lengths_, limits.max_sequences, 0);
}

int32_t SequenceCache::take_place() {
  assert(n_free_ > 0);
  return free_[--n_free_];
}

void SequenceCache::free_place(int32_t place) {
  cut(place, 0);
  free_[n_free_++] = place;
}

void SequenceCache::share(int32_t place, int32_t from, int64_t n) {
  assert(lengths_[place] == 0 && n <= lengths_[from]);
  const int32_t* shared = rows(from);
  std::copy_n(shared, n, rows_ + place * limits_.max_len);
  for (int64_t i = 0; i < n; ++i) pool_.share(shared[i]);
  lengths_[place] = static_cast<int32_t>(n);
}

bool SequenceCache::grow(int32_t place, int64_t n) {
  assert(n <= limits_.max_len);
  if (n - lengths_[place] > pool_.n_free()) return false;
  int32_t* list = rows_ + place * limits_.max_len;
  while (lengths_[place] < n) list[lengths_[place]++] = pool_.take();
  return true;
}

void SequenceCache::cut(int32_t place, int64_t n) {
  const int32_t* list = rows(place);
  // From the end, so that rows taken next lie in the order of these.
  while (lengths_[place] > n) pool_.release(list[--lengths_[place]]);
}

}  // namespace headlane
