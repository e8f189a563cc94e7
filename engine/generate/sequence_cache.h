// The cache gives each sequence a place, which has a list of the rows of its tokens' keys and
// values. Sequences that begin alike share rows without a copy.
//
// Layers with a window have rows of their own, of which a sequence keeps no more than the window
// and `slack` before it: what a rewind, or a sequence that begins alike, may come back to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/generate/row_lists.h"

namespace headlane {

struct SequenceCacheLimits {
  int64_t max_sequences = 0;
  int64_t max_len = 0;  // tokens of a sequence
  int64_t n_rows = 0;   // of layers that see all tokens
  CacheRow row;
  std::vector<bool> has_window;  // of each layer
  // Layers with a window have so many rows; a token sees `window` tokens before its own, and
  // `slack` more are kept.
  int64_t n_window_rows = 0, window = 0, slack = 0;
};

class SequenceCache {
 public:
  static size_t bytes(const SequenceCacheLimits& limits);
  // `memory`: bytes() of it, 64-byte aligned, which outlives the cache.
  SequenceCache(const SequenceCacheLimits& limits, void* memory);

  const KeyRows* layers() const { return layers_.data(); }  // [n layers]
  int64_t n_free_rows() const { return all_.pool().n_free(); }
  int64_t n_free_places() const { return n_free_; }

  int32_t take_place();  // n_free_places() >= 1; it has no tokens
  void free_place(int32_t place);

  const int32_t* rows(int32_t place) const { return all_.rows(place); }
  const int32_t* window_rows(int32_t place) const {  // null: no layer has a window
    return has_windows_ ? windows_.rows(place) : nullptr;
  }
  // The most tokens, up to n, that another place can go on from.
  int64_t most_shared(int32_t place, int64_t n) const;
  // The fewest tokens that a place can go on from, beside none.
  int64_t least_kept(int32_t place) const;

  // The place, which has no tokens, gets the first n of another, n <= most_shared.
  void share(int32_t place, int32_t from, int64_t n);
  // The place gets room for tokens up to the n-th. False, and nothing was done: there is none.
  bool grow(int32_t place, int64_t n) { return all_.grow(place, n); }
  // The first token that the place has in layers with a window; 0: all, or there are no such
  // layers.
  int64_t first_in_windows(int32_t place) const { return has_windows_ ? windows_.first(place) : 0; }
  // The place, which has no tokens, gets room for n, of which the first n_computed are to be
  // filled, in layers with a window from `first` on. There are rows for them.
  void restore(int32_t place, int64_t n, int64_t n_computed, int64_t first);
  // Tokens up to the n-th, which have room, are computed now.
  void begin_tokens(int32_t place, int64_t n);
  // The first n tokens of a place have been computed, and no others.
  void end_tokens(int32_t place, int64_t n);
  // The place keeps its first n tokens, or all where it has fewer; none, or least_kept or more.
  void cut(int32_t place, int64_t n);

 private:
  SequenceCacheLimits limits_;
  RowLists all_, windows_;
  bool has_windows_ = false;
  std::vector<KeyRows> layers_;
  int64_t n_free_ = 0;
  int32_t* free_ = nullptr;  // [max_sequences], of which n_free_ are filled
};

}  // namespace headlane
