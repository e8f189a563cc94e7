// Rows of bf16, of u8 and of groups of s8 as the tests of narrow kernels make them, by plain models
// of their own.
#pragma once

#include <algorithm>
#include <vector>

#include "tests/support/kernel_test.h"

namespace headlane::test {

using kernels::Bf16;
using kernels::Element;
using kernels::RowScale;

constexpr double kBf16Eps = 1.0 / 256;  // unit roundoff: 8 bits of significand

// The nearer of the two bf16 around x, the even one of two as near; NaN stays NaN. What is beyond
// the largest counts as 2^128, which is the bits of infinity.
inline Bf16 nearest_bf16(float x) {
  uint32_t bits = 0;
  std::memcpy(&bits, &x, sizeof bits);
  const Bf16 below = static_cast<Bf16>(bits >> 16), above = static_cast<Bf16>(below + 1);
  if (std::isnan(x)) return below | 0x40;
  if (std::isinf(x)) return below;
  const auto value = [](Bf16 y) {
    const double wide = kernels::widen(y);
    return std::isinf(wide) ? std::copysign(std::ldexp(1.0, 128), wide) : wide;
  };
  const double down = std::fabs(x - value(below)), up = std::fabs(value(above) - x);
  if (down == up) return below % 2 == 0 ? below : above;
  return down < up ? below : above;
}

inline int64_t row_bytes(Element element, int64_t cols) {
  if (element == Element::kU8) return kernels::row_scale_offset(cols) + 64;
  if (element == Element::kS8Groups) return kernels::group_row_bytes(cols);
  return kernels::round_up_to(cols * (element == Element::kBf16 ? 2 : 4), 64);
}

// [rows, cols] of an element, as views of the engine lie: the last row ends at a guard page.
class NarrowRows {
 public:
  NarrowRows(Element element, int64_t rows, int64_t cols)
      : element_(element),
        cols_(cols),
        ld_(kernels::padded_floats(element, cols)),
        data_((rows - 1) * ld_ + row_bytes(element, cols) / 4) {}

  float* row(int64_t r) { return data_.data() + r * ld_; }
  Bf16* bf16(int64_t r) { return reinterpret_cast<Bf16*>(row(r)); }
  uint8_t* u8(int64_t r) { return reinterpret_cast<uint8_t*>(row(r)); }
  RowScale scale(int64_t r) {
    RowScale result;
    std::memcpy(&result, u8(r) + kernels::row_scale_offset(cols_), sizeof result);
    return result;
  }
  void set_scale(int64_t r, RowScale scale) {
    std::memcpy(u8(r) + kernels::row_scale_offset(cols_), &scale, sizeof scale);
  }
  int64_t ld() const { return ld_; }
  Element element() const { return element_; }
  int8_t* s8(int64_t r) { return reinterpret_cast<int8_t*>(row(r)); }
  float* group_scales(int64_t r) { return row(r) + kernels::group_scales_offset(cols_) / 4; }
  float* group_sums(int64_t r) { return row(r) + kernels::group_sums_offset(cols_) / 4; }

  // Whether row r is the same: its content, padding and scale.
  bool same_row(NarrowRows* other, int64_t r) {
    if (element_ == Element::kS8Groups) {
      const auto groups = static_cast<size_t>(kernels::groups_in(cols_));
      return std::memcmp(row(r), other->row(r), groups * kernels::kGroupSize) == 0 &&
             std::memcmp(group_scales(r), other->group_scales(r), groups * 4) == 0 &&
             std::memcmp(group_sums(r), other->group_sums(r), groups * 4) == 0;
    }
    const int64_t scale_bytes = element_ == Element::kU8
                                    ? kernels::row_scale_offset(cols_) + int64_t{sizeof(RowScale)}
                                    : row_bytes(element_, cols_);
    return std::memcmp(row(r), other->row(r), static_cast<size_t>(scale_bytes)) == 0;
  }

 private:
  Element element_;
  int64_t cols_, ld_;
  GuardedFloats data_;
};

}  // namespace headlane::test
