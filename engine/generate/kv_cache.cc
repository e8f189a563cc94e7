#include "engine/generate/kv_cache.h"

#include <algorithm>
#include <cassert>

#include "engine/base/block_layout.h"

namespace headlane {
namespace {

// Parts of the cache's memory, each at a multiple of 64 bytes.
struct KvCacheParts {
  size_t keys, lengths[2], sources[2], rows[2], used, total;
};

KvCacheParts divide(const KvCacheLimits& limits) {
  BlockLayout block;
  KvCacheParts parts;
  parts.keys = block.take(limits.n_layers * limits.n_rows() * limits.row.floats, sizeof(float));
  for (int i = 0; i < 2; ++i) {
    parts.lengths[i] = block.take(limits.max_targets, sizeof(int32_t));
    parts.sources[i] = block.take(limits.max_targets, sizeof(int32_t));
    parts.rows[i] = block.take(limits.max_targets * limits.max_len, sizeof(int32_t));
  }
  parts.used = block.take(limits.n_rows(), sizeof(uint8_t));
  parts.total = block.bytes();
  return parts;
}

}  // namespace

size_t KvCache::bytes(const KvCacheLimits& limits) { return divide(limits).total; }

KvCache::KvCache(const KvCacheLimits& limits, void* memory) : limits_(limits) {
  const KvCacheParts parts = divide(limits);
  char* base = static_cast<char*>(memory);
  const auto ints = [&](size_t offset) { return reinterpret_cast<int32_t*>(base + offset); };
  float* keys = reinterpret_cast<float*>(base + parts.keys);
  for (int64_t i = 0; i < limits.n_layers; ++i) {
    layers_.push_back(
        {keys + i * limits.n_rows() * limits.row.floats, limits.row.floats, limits.row.format});
  }
  for (int i = 0; i < 2; ++i) {
    targets_[i] = {0, ints(parts.lengths[i]), ints(parts.sources[i]), ints(parts.rows[i])};
  }
  used_ = reinterpret_cast<uint8_t*>(base + parts.used);
  clear();
}

void KvCache::clear() {
  targets_[0].n = targets_[1].n = 0;
  next_ = 0;
  std::fill_n(used_, limits_.n_rows(), uint8_t{0});
}

void KvCache::begin_step() {
  now_ = 1 - now_;
  targets_[now_].n = 0;
}

void KvCache::add(int64_t parent, int64_t n_new, int32_t source) {
  const Targets& before = targets_[1 - now_];
  Targets& after = targets_[now_];
  assert(after.n < limits_.max_targets && parent < before.n);
  const int64_t target = after.n++;
  const int32_t n_old = parent < 0 ? 0 : before.lengths[parent];
  assert(n_old + n_new <= limits_.max_len);
  int32_t* rows = after.rows + target * limits_.max_len;
  if (parent >= 0) std::copy_n(before.rows + parent * limits_.max_len, n_old, rows);
  after.sources[target] = source;
  int32_t& length = after.lengths[target];
  for (length = n_old; length < n_old + n_new; ++length) rows[length] = take_row();
}

int32_t KvCache::take_row() {
  const int64_t n_rows = limits_.n_rows();
  for (int round = 0;; ++round) {
    while (next_ < n_rows && used_[next_] != 0) ++next_;
    if (next_ < n_rows) return static_cast<int32_t>(next_++);
    assert(round == 0);
    mark_used();
    next_ = 0;
  }
}

// Targets of the step before may come back.
void KvCache::mark_used() {
  std::fill_n(used_, limits_.n_rows(), uint8_t{0});
  for (const Targets& targets : targets_) {
    for (int64_t target = 0; target < targets.n; ++target) {
      const int32_t* rows = targets.rows + target * limits_.max_len;
      for (int32_t i = 0; i < targets.lengths[target]; ++i) used_[rows[i]] = 1;
    }
  }
}

}  // namespace headlane
