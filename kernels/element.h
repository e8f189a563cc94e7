// Rows of activations are made of these, and lie in memory like this.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/format.h"

namespace headlane::kernels {

// Rows that kernels write in whole vectors have strides that are multiples of this: 64 bytes of
// floats.
inline constexpr int64_t kRowAlign = 16;

// The stride of a buffer of `cols` columns: whole cache lines, and off the multiples of 4096 bytes
// at which the rows of a register tile would all fall into the same L1 set.
constexpr int64_t padded_stride(int64_t cols) {
  const int64_t ld = (cols + kRowAlign - 1) / kRowAlign * kRowAlign;
  return ld % 1024 == 0 ? ld + kRowAlign : ld;
}

// The rows that a product reads or writes are made of one of these.
enum class Element {
  kF32,
  kBf16,  // the upper half of a float; the rest of the last 64 bytes of a row is zeros
  kU8,    // u stands for scale * (u - zero); a RowScale follows at a multiple of 64 bytes
  // s stands for scale * s, a scale for each kGroupSize columns, -127 <= s <= 127; zeros beyond
  // the columns to the end of a group. Floats follow, each kind at a multiple of 64 bytes: the
  // groups' scales, then their sums of what their elements stand for.
  kS8Groups,
};

using Bf16 = uint16_t;

inline float widen(Bf16 x) {
  const uint32_t bits = uint32_t{x} << 16;
  float result = 0;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

// Each row of u8 has these.
struct RowScale {
  float scale = 0;
  int32_t zero = 0;  // 0 .. 255
};

// A row whose numbers lie no further apart becomes zeros in 8 bits: the inverse of its step might
// overflow.
inline constexpr float kLeastRange = 1e-36f;

constexpr int64_t round_up_to(int64_t x, int64_t multiple) {
  return (x + multiple - 1) / multiple * multiple;
}
// Where the RowScale of a row of `cols` u8 begins, in bytes.
constexpr int64_t row_scale_offset(int64_t cols) { return round_up_to(cols, 64); }

constexpr int64_t groups_in(int64_t cols) { return (cols + kGroupSize - 1) / kGroupSize; }
// Where the scales and the sums of a row of groups begin, and where it ends, in bytes.
constexpr int64_t group_scales_offset(int64_t cols) { return round_up_to(cols, 64); }
constexpr int64_t group_sums_offset(int64_t cols) {
  return group_scales_offset(cols) + round_up_to(groups_in(cols) * 4, 64);
}
constexpr int64_t group_row_bytes(int64_t cols) {
  return group_sums_offset(cols) + round_up_to(groups_in(cols) * 4, 64);
}

// The stride of rows of `cols` elements, in floats, whatever the element.
constexpr int64_t padded_floats(Element element, int64_t cols) {
  switch (element) {
    case Element::kBf16:
      return padded_stride((cols + 1) / 2);
    case Element::kU8:
      return padded_stride((row_scale_offset(cols) + 64) / 4);
    case Element::kS8Groups:
      return padded_stride(group_row_bytes(cols) / 4);
    case Element::kF32:
      break;
  }
  return padded_stride(cols);
}

}  // namespace headlane::kernels
