// The formats that tensors are stored in: those of a file's tensors, of tables of words, and of the
// weights that products pack.
#pragma once

#include <cstdint>
#include <cstring>

namespace headlane::kernels {

// Weights that share a scale, after each other in a row. What a row's last group has beyond its
// columns are codes of 0. A group begins with its f16 numbers.
inline constexpr int64_t kGroupSize = 32;
struct S8Group {
  uint16_t scale;            // an f16, as bits
  int8_t codes[kGroupSize];  // each stands for scale * code
};
struct U4Group {
  uint16_t scale, min;  // f16
  // Code i is the low half of byte i, or, from 16 on, the high half of byte i - 16. It stands for
  // scale * code - min.
  uint8_t codes[kGroupSize / 2];

  int code(int64_t i) const { return i < 16 ? codes[i] & 15 : codes[i - 16] >> 4; }
  // This is for a group whose codes are 0, as below.
  void set_code(int64_t i, int code) {
    codes[i % 16] |= static_cast<uint8_t>(code << (i < 16 ? 0 : 4));
  }
};
struct U5Group {
  uint16_t scale, min;  // f16
  // The low four bits of codes as of U4Group; then four bytes, of which bit s of byte c is the
  // fifth of code 4 s + c. Code i stands for scale * code - min.
  uint8_t codes[kGroupSize / 2 + kGroupSize / 8];

  int code(int64_t i) const {
    const int low = i < 16 ? codes[i] & 15 : codes[i - 16] >> 4;
    return low | (codes[16 + i % 4] >> (i / 4) & 1) << 4;
  }
  // Of a group whose codes are 0.
  void set_code(int64_t i, int code) {
    codes[i % 16] |= static_cast<uint8_t>((code & 15) << (i < 16 ? 0 : 4));
    codes[16 + i % 4] |= static_cast<uint8_t>((code >> 4) << (i / 4));
  }
};
struct S6Group {
  uint16_t scales[2];  // f16, one for each 16 columns
  // The low four bits of codes as of U4Group; then four bytes for each 16 columns, of which bits
  // 2 s and 2 s + 1 of byte c are the high ones of code 4 s + c. Code i stands for
  // scales[i / 16] * (code - 32).
  uint8_t codes[kGroupSize / 2 + kGroupSize / 4];

  int code(int64_t i) const {
    const int low = i < 16 ? codes[i] & 15 : codes[i - 16] >> 4;
    return low | (codes[16 + i / 16 * 4 + i % 4] >> (i % 16 / 4 * 2) & 3) << 4;
  }
  // Of a group whose codes are 0.
  void set_code(int64_t i, int code) {
    codes[i % 16] |= static_cast<uint8_t>((code & 15) << (i < 16 ? 0 : 4));
    codes[16 + i / 16 * 4 + i % 4] |= static_cast<uint8_t>((code >> 4) << (i % 16 / 4 * 2));
  }
};
inline constexpr int kS6Offset = 32;
static_assert(sizeof(S8Group) == 34 && sizeof(U4Group) == 20);
static_assert(sizeof(U5Group) == 24 && sizeof(S6Group) == 28);

// The number of an f16, exactly.
inline float widen_f16(uint16_t x) {
  const uint32_t sign = uint32_t{x & 0x8000u} << 16, rest = x & 0x7fffu;
  float result = 0;
  if (rest < 0x400) {  // zero and what is less than the least normal number
    result = static_cast<float>(rest) / 16777216.0f;
    return sign ? -result : result;
  }
  const uint32_t exponent = rest < 0x7c00 ? 112u << 23 : 224u << 23;
  const uint32_t bits = sign | ((rest << 13) + exponent);
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

enum class Format {
  kF32,
  kBf16,      // the upper half of a float
  kS8,        // a row's scale, which is stored apart, multiplies its elements
  kU8,        // bytes that are no numbers, such as a tokenizer's
  kS8Groups,  // 32 elements after each other share a scale: S8Group
  kS6Groups,  // 32 elements, of which each half shares a scale: S6Group
  kU5Groups,  // 32 elements share a scale and a minimum: U5Group
  kU4Groups,  // likewise: U4Group
};

// A row of k elements is whole groups of that many elements and bytes.
struct FormatRow {
  Format format;
  const char* name;
  int64_t group, group_bytes;
};
inline constexpr FormatRow kFormats[] = {
    {Format::kF32, "f32", 1, 4},
    {Format::kBf16, "bf16", 1, 2},
    {Format::kS8, "s8", 1, 1},
    {Format::kU8, "u8", 1, 1},
    {Format::kS8Groups, "s8g32", kGroupSize, sizeof(S8Group)},
    {Format::kS6Groups, "s6g16", kGroupSize, sizeof(S6Group)},
    {Format::kU5Groups, "u5g32", kGroupSize, sizeof(U5Group)},
    {Format::kU4Groups, "u4g32", kGroupSize, sizeof(U4Group)},
};

constexpr const FormatRow& row_of(Format format) { return kFormats[static_cast<int>(format)]; }

constexpr bool formats_are_in_order() {
  for (const FormatRow& row : kFormats) {
    if (&row != &row_of(row.format)) return false;
  }
  return true;
}
static_assert(formats_are_in_order());

constexpr const char* name_of(Format format) { return row_of(format).name; }
// Whether a row is stored in groups of columns, each with scales of its own.
constexpr bool has_groups(Format format) { return row_of(format).group > 1; }
constexpr int64_t row_bytes(Format format, int64_t k) {
  const FormatRow& row = row_of(format);
  return (k + row.group - 1) / row.group * row.group_bytes;
}

}  // namespace headlane::kernels
