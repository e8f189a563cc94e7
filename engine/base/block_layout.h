// A block of memory cut into parts, one behind the other.
#pragma once

#include <cstddef>
#include <cstdint>

namespace headlane {

class BlockLayout {
 public:
  // Where the next part, of n elements of `size` bytes, begins: at a multiple of 64 bytes.
  size_t take(int64_t n, size_t size) {
    const size_t begin = bytes_;
    bytes_ += (static_cast<size_t>(n) * size + 63) / 64 * 64;
    return begin;
  }
  size_t bytes() const { return bytes_; }  // of all parts so far

 private:
  size_t bytes_ = 0;
};

}  // namespace headlane
