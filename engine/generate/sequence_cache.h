// Which rows of the cache the sequences have: a list of rows for each place of a sequence, so
// sequences that begin alike share rows without a copy.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/generate/row_pool.h"

namespace headlane {

struct SequenceCacheLimits {
  RowPoolLimits pool;
  int64_t max_sequences = 0;
  int64_t max_len = 0;  // tokens of a sequence
};

class SequenceCache {
 public:
  static size_t bytes(const SequenceCacheLimits& limits);
  // `memory`: bytes() of it, 64-byte aligned, which outlives the cache.
  SequenceCache(const SequenceCacheLimits& limits, void* memory);

  const KeyRows* layers() const { return pool_.layers(); }
  int64_t n_free_rows() const { return pool_.n_free(); }
  int64_t n_free_places() const { return n_free_; }

  int32_t take_place();  // n_free_places() >= 1; its list is empty
  void free_place(int32_t place);

  const int32_t* rows(int32_t place) const { return rows_ + place * limits_.max_len; }
  int64_t length(int32_t place) const { return lengths_[place]; }
  // The list, which is empty, becomes the first n rows of another.
  void share(int32_t place, int32_t from, int64_t n);
  // The list gets rows of its own up to a length of n. False, and nothing was done: there are not
  // enough free ones.
  bool grow(int32_t place, int64_t n);
  // The list keeps its first n rows, or all where it has fewer.
  void cut(int32_t place, int64_t n);

 private:
  SequenceCacheLimits limits_;
  RowPool pool_;
  int64_t n_free_ = 0;
  int32_t* free_ = nullptr;     // [max_sequences], of which n_free_ are filled
  int32_t* lengths_ = nullptr;  // [max_sequences]
  int32_t* rows_ = nullptr;     // [max_sequences, max_len]
};

}  // namespace headlane
