// The rows of a cache of keys and values, one for each token and layer, that lists of rows share. A
// row is free once no list has it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/generate/cache_format.h"

namespace headlane {

struct RowPoolLimits {
  int64_t n_layers = 0;
  CacheRow row;
  int64_t n_rows = 0;
};

class RowPool {
 public:
  static size_t bytes(const RowPoolLimits& limits);
  // `memory`: bytes() of it, 64-byte aligned, which outlives the pool.
  RowPool(const RowPoolLimits& limits, void* memory);

  const KeyRows* layers() const { return layers_.data(); }  // [n_layers]
  int64_t n_free() const { return n_free_; }

  int32_t take();           // n_free() >= 1; one list has the row
  void share(int32_t row);  // one list more has it
  void release(int32_t row);

 private:
  std::vector<KeyRows> layers_;
  int64_t n_free_ = 0;
  int32_t* free_ = nullptr;   // [n_rows], of which n_free_ are filled
  int32_t* lists_ = nullptr;  // [n_rows], how many lists have each
};

}  // namespace headlane
