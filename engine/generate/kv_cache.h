// Keys and values of targets that grow: rows of a cache, one for each token and layer. No row ever
// moves. A target is a list of the rows of its tokens, so targets that begin alike share rows:
// where hypotheses branch, end or change places, only their lists are copied, four bytes a token.
//
// A row is taken for a new token and is free again once no target has it. Rows are taken one behind
// the other; at the end of the cache, those that targets still have are marked, and the others are
// taken anew. There are enough of them for all targets at full length, those of the step before
// included: a step can be undone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/generate/cache_format.h"

namespace headlane {

struct KvCacheLimits {
  int64_t n_layers = 0;
  CacheRow row;
  int64_t max_targets = 0;
  int64_t max_len = 0;  // tokens of a target
  int64_t max_new = 0;  // tokens that one step adds, of all targets together
  int64_t n_rows() const { return max_targets * max_len + max_new; }
};

class KvCache {
 public:
  static size_t bytes(const KvCacheLimits& limits);
  // `memory`: bytes() of it, 64-byte aligned, which outlives the cache.
  KvCache(const KvCacheLimits& limits, void* memory);

  const KeyRows* layers() const { return layers_.data(); }  // [n_layers]

  int64_t n_targets() const { return targets_[now_].n; }
  int64_t length(int64_t target) const { return targets_[now_].lengths[target]; }
  // The target was added with this.
  int32_t source(int64_t target) const { return targets_[now_].sources[target]; }
  // The rows of a target's tokens; the next target's are max_len further on.
  const int32_t* rows(int64_t target) const {
    return targets_[now_].rows + target * limits_.max_len;
  }

  void clear();
  // The targets so far become those that the new ones, added one by one, go on from (-1: from
  // nothing). A target that none goes on from ends.
  void begin_step();
  void add(int64_t parent, int64_t n_new, int32_t source);
  // The step never was. Only the last one can be undone, once.
  void undo_step() { now_ = 1 - now_; }

 private:
  struct Targets {
    int64_t n = 0;
    int32_t* lengths = nullptr;  // [max_targets]
    int32_t* sources = nullptr;  // [max_targets]
    int32_t* rows = nullptr;     // [max_targets, max_len]
  };
  int32_t take_row();
  void mark_used();

  KvCacheLimits limits_;
  std::vector<KeyRows> layers_;
  Targets targets_[2];
  int now_ = 0;              // which of the two the last step made
  int64_t next_ = 0;         // the next row that may be free
  uint8_t* used_ = nullptr;  // [n_rows], of the rows from next_ on
};

}  // namespace headlane
