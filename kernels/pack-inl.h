// Rows of weights, or of keys, into the panels that products read.
#pragma once

#include "kernels/loops-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// Transposes rows [n, k] (n <= NR, stride ld) into panel [k, NR]; columns n .. NR become zeros. It
// moves bits, whatever they stand for.
template <int64_t NR>
inline void pack_panel(const float* rows, int64_t n, int64_t k, int64_t ld, float* panel) {
  for (int64_t kk = 0; kk < k; kk += kWidth) {
    const int64_t depth = smaller(kWidth, k - kk);
    for (int64_t j = 0; j < NR; j += kWidth) {
      F32 block[kWidth];
      for (int i = 0; i < kWidth; ++i) {
        const bool inside = j + i < n;
        block[i] = inside ? load_n(rows + (j + i) * ld + kk, depth) : broadcast(0.0f);
      }
      transpose(block);
      for (int64_t i = 0; i < depth; ++i) store(panel + (kk + i) * NR + j, block[i]);
    }
  }
}

// groups[K, NR] of rows w [n, k] of `size` bytes an element.
template <int64_t NR>
inline void pack_groups(const void* w, int64_t n, int64_t k, int64_t size, int64_t groups,
                        float* out) {
  const int64_t whole = k * size / 4;  // groups that rows have all of
  const char* rows = static_cast<const char*>(w);
  for (int64_t g = 0; g < groups; g += kWidth) {
    for (int64_t j = 0; j < NR; j += kWidth) {
      F32 block[kWidth];
      for (int64_t i = 0; i < kWidth; ++i) {
        block[i] = broadcast(0.0f);
        if (j + i >= n) continue;
        const char* row = rows + (j + i) * k * size;
        const int64_t depth = smaller(kWidth, whole - g);
        alignas(64) float lanes[kWidth] = {};
        const int64_t left = smaller(kWidth * 4, k * size - g * 4);
        if (depth == kWidth) {
          block[i] = load(reinterpret_cast<const float*>(row) + g);
        } else if (left > 0) {
          __builtin_memcpy(lanes, row + g * 4, static_cast<size_t>(left));
          block[i] = load(lanes);
        }
      }
      transpose(block);
      const int64_t depth = smaller(kWidth, groups - g);
      for (int64_t i = 0; i < depth; ++i) store(out + (g + i) * NR + j, block[i]);
    }
  }
}

}  // namespace headlane::kernels::HEADLANE_ISA
