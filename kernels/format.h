// What tensors are stored as: the formats of a file's tensors, of tables of words, and of the
// weights that products pack.
#pragma once

#include <cstdint>

namespace headlane::kernels {

enum class Format {
  kF32,
  kBf16,  // the upper half of a float
  kS8,    // a row's scale, which is stored apart, multiplies its elements
  kU8,    // bytes that are no numbers, such as a tokenizer's
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
constexpr int64_t row_bytes(Format format, int64_t k) {
  const FormatRow& row = row_of(format);
  return (k + row.group - 1) / row.group * row.group_bytes;
}

}  // namespace headlane::kernels
