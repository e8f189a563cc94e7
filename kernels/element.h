// Rows of activations are made of these, and lie in memory like this.
#pragma once

#include <cstdint>
#include <cstring>

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

// The stride of rows of `cols` elements, in floats, whatever the element.
constexpr int64_t padded_floats(Element element, int64_t cols) {
  switch (element) {
    case Element::kBf16:
      return padded_stride((cols + 1) / 2);
    case Element::kU8:
      return padded_stride((row_scale_offset(cols) + 64) / 4);
    case Element::kF32:
      break;
  }
  return padded_stride(cols);
}

}  // namespace headlane::kernels
