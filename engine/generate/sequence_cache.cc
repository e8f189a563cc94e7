#include "engine/generate/sequence_cache.h"

#include <algorithm>
#include <cassert>

#include "engine/base/block_layout.h"

namespace headlane {
namespace {

struct SequenceCacheParts {
  size_t all, windows, free, total;
};

int64_t count_windows(const SequenceCacheLimits& limits) {
  return std::ranges::count(limits.has_window, true);
}

RowListsLimits all_limits(const SequenceCacheLimits& limits) {
  const int64_t n_layers = std::ssize(limits.has_window) - count_windows(limits);
  return {{n_layers, limits.row, limits.n_rows}, limits.max_sequences, limits.max_len};
}

RowListsLimits window_limits(const SequenceCacheLimits& limits) {
  const int64_t n_layers = count_windows(limits);
  if (n_layers == 0) return {};
  return {{n_layers, limits.row, limits.n_window_rows}, limits.max_sequences, limits.max_len};
}

SequenceCacheParts divide(const SequenceCacheLimits& limits) {
  BlockLayout block;
  SequenceCacheParts parts;
  parts.all = block.take(static_cast<int64_t>(RowLists::bytes(all_limits(limits))), 1);
  parts.windows = block.take(static_cast<int64_t>(RowLists::bytes(window_limits(limits))), 1);
  parts.free = block.take(limits.max_sequences, sizeof(int32_t));
  parts.total = block.bytes();
  return parts;
}

}  // namespace

size_t SequenceCache::bytes(const SequenceCacheLimits& limits) { return divide(limits).total; }

SequenceCache::SequenceCache(const SequenceCacheLimits& limits, void* memory)
    : limits_(limits),
      all_(all_limits(limits), static_cast<char*>(memory) + divide(limits).all),
      windows_(window_limits(limits), static_cast<char*>(memory) + divide(limits).windows),
      has_windows_(count_windows(limits) > 0),
      n_free_(limits.max_sequences) {
  const KeyRows *all = all_.pool().layers(), *windows = windows_.pool().layers();
  for (const bool has_window : limits.has_window) {
    layers_.push_back(has_window ? *windows++ : *all++);
    layers_.back().has_window = has_window;
  }
  free_ = reinterpret_cast<int32_t*>(static_cast<char*>(memory) + divide(limits).free);
  for (int64_t i = 0; i < n_free_; ++i) free_[i] = static_cast<int32_t>(n_free_ - 1 - i);
}

int32_t SequenceCache::take_place() {
  assert(n_free_ > 0);
  return free_[--n_free_];
}

void SequenceCache::free_place(int32_t place) {
  cut(place, 0);
  free_[n_free_++] = place;
}

int64_t SequenceCache::most_shared(int32_t place, int64_t n) const {
  return n >= least_kept(place) ? n : 0;
}

int64_t SequenceCache::least_kept(int32_t place) const {
  if (!has_windows_) return 0;
  const int64_t first = windows_.first(place);
  return first == 0 ? 0 : first + limits_.window;
}

void SequenceCache::share(int32_t place, int32_t from, int64_t n) {
  all_.share(place, from, n);
  if (has_windows_) windows_.share(place, from, n);
}

void SequenceCache::restore(int32_t place, int64_t n, int64_t n_computed, int64_t first) {
  [[maybe_unused]] bool has_room = all_.grow(place, n);
  assert(has_room);
  if (!has_windows_) return;
  windows_.begin_at(place, first);
  has_room = windows_.grow(place, n_computed);
  assert(has_room);
}

void SequenceCache::begin_tokens(int32_t place, int64_t n) {
  if (!has_windows_) return;
  [[maybe_unused]] const bool has_room = windows_.grow(place, n);
  assert(has_room);
}

void SequenceCache::end_tokens(int32_t place, int64_t n) {
  if (!has_windows_) return;
  windows_.cut(place, n);  // of a step that was cancelled
  windows_.slide(place, n - limits_.window - limits_.slack);
}

void SequenceCache::cut(int32_t place, int64_t n) {
  assert(n == 0 || n >= least_kept(place));
  all_.cut(place, n);
  if (has_windows_) windows_.cut(place, n);
}

}  // namespace headlane
