// Rows of A in groups, put next to each other in strips, as products of them read them: of each
// group first the codes of all rows, four columns at a time.
#pragma once

#include "kernels/gemm_grouped-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// A group of a strip's MR rows.
template <int MR>
struct StripGroup {
  uint32_t codes[kSteps][MR];
  float scales[MR], sums[MR];
  uint32_t offsets[2][MR];  // what takes off the offset that codes of W have, for each scale
};
static_assert(sizeof(StripGroup<2>) == 2 * sizeof(StripGroup<1>));

constexpr int64_t kStripRowBytes = sizeof(StripGroup<1>);  // of a group of a row
// Strips that are gathered at once hold 96 rows for K = 640, and lie in L2.
constexpr int64_t kStripBytes = 98304;

struct NoOffset {
  static uint32_t of(const int8_t*, int) { return 0; }
};

// Some groups of a strip's rows. Offset::of makes an offset of a group's codes for its scale s.
template <typename Offset, int MR>
inline void gather_strip(const GroupedRows& a, int64_t first, int64_t groups, void* strip) {
  auto* to = static_cast<StripGroup<MR>*>(strip);
  for (int64_t g = first; g < first + groups; ++g, ++to) {
    for (int r = 0; r < MR; ++r) {
      const char* codes = a.codes + r * a.ld + g * kGroupSize;
      for (int64_t i = 0; i < kSteps; ++i) __builtin_memcpy(&to->codes[i][r], codes + 4 * i, 4);
      __builtin_memcpy(to->scales + r, a.scales + r * a.ld + g * 4, 4);
      __builtin_memcpy(to->sums + r, a.sums + r * a.ld + g * 4, 4);
      for (int s = 0; s < 2; ++s) {
        to->offsets[s][r] = Offset::of(reinterpret_cast<const int8_t*>(codes), s);
      }
    }
  }
}

// The same for up to MR rows.
template <typename Offset, int MR>
inline void gather_rows(int64_t rows, const GroupedRows& a, int64_t first, int64_t groups,
                        void* strip) {
  if constexpr (MR > 1) {
    if (rows < MR) return gather_rows<Offset, MR - 1>(rows, a, first, groups, strip);
  }
  gather_strip<Offset, MR>(a, first, groups, strip);
}

}  // namespace headlane::kernels::HEADLANE_ISA
