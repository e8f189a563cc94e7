#include "engine/file/weight_rows.h"

#include <algorithm>
#include <span>

#include "engine/base/error.h"
#include "engine/file/input_file.h"
#include "engine/file/weight_groups.h"

namespace headlane {
namespace {

using kernels::Bf16;
using kernels::Element;

template <typename T>
T* grown(std::vector<T>* buffer, int64_t n) {
  if (std::ssize(*buffer) < n) buffer->resize(static_cast<size_t>(n));
  return buffer->data();
}

void bf16_to_floats(const WeightRows& rows, int64_t n, int64_t k, float* to) {
  const Bf16* from = static_cast<const Bf16*>(rows.data);
  for (int64_t i = 0; i < n * k; ++i) to[i] = kernels::widen(from[i]);
}

void s8_to_floats(const WeightRows& rows, int64_t n, int64_t k, float* to) {
  const int8_t* from = static_cast<const int8_t*>(rows.data);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < k; ++j) {
      to[i * k + j] = static_cast<float>(from[i * k + j]) * rows.scale[i];
    }
  }
}

void floats_to_bf16(const kernels::Table& kernels, const float* from, int64_t n, int64_t k,
                    void* to, float*) {
  // Whole rows are converted, with the zeros that fill their last 64 bytes; those here have none.
  std::vector<Bf16> row(static_cast<size_t>(kernels::round_up_to(k, 32)));
  for (int64_t i = 0; i < n; ++i) {
    kernels.convert({.rows = 1,
                     .cols = k,
                     .from = Element::kF32,
                     .to = Element::kBf16,
                     .x = from + i * k,
                     .y = row.data()});
    std::copy_n(row.data(), k, static_cast<Bf16*>(to) + i * k);
  }
}

void floats_to_s8(const kernels::Table& kernels, const float* from, int64_t n, int64_t k, void* to,
                  float* scales) {
  for (int64_t i = 0; i < n; ++i) {
    kernels.quantize_weights(from + i * k, k, static_cast<int8_t*>(to) + i * k, scales + i);
  }
}

// The way to floats and from them of a format without groups: all conversions go over floats.
struct Conversion {
  Format format;
  bool has_scales;  // of rows, apart from them
  void (*to_floats)(const WeightRows& rows, int64_t n, int64_t k, float* to);
  // `scales` [n] is written where there are any.
  void (*from_floats)(const kernels::Table& kernels, const float* from, int64_t n, int64_t k,
                      void* to, float* scales);
};
constexpr Conversion kConversions[] = {
    {Format::kBf16, false, bf16_to_floats, floats_to_bf16},
    {Format::kS8, true, s8_to_floats, floats_to_s8},
};

const Conversion& conversion_of(Format format) {
  for (const Conversion& conversion : kConversions) {
    if (conversion.format == format) return conversion;
  }
  fail(Status::kInternal, "rows of %s are not converted", name_of(format));
}

void to_floats(const WeightRows& rows, int64_t n, int64_t k, float* to) {
  if (!has_groups(rows.format)) return conversion_of(rows.format).to_floats(rows, n, k, to);
  const auto* row = static_cast<const std::byte*>(rows.data);
  const int64_t bytes = row_bytes(rows.format, k);
  for (int64_t i = 0; i < n; ++i) groups_to_floats(rows.format, row + i * bytes, k, to + i * k);
}

// Whether `scales` [n] was written, beside the rows.
bool from_floats(const kernels::Table& kernels, Format format, const float* from, int64_t n,
                 int64_t k, void* to, float* scales) {
  if (!has_groups(format)) {
    const Conversion& conversion = conversion_of(format);
    conversion.from_floats(kernels, from, n, k, to, scales);
    return conversion.has_scales;
  }
  const int64_t bytes = row_bytes(format, k);
  for (int64_t i = 0; i < n; ++i) {
    floats_to_groups(format, from + i * k, k, static_cast<std::byte*>(to) + i * bytes);
  }
  return false;
}

}  // namespace

WeightRows rows_from(const WeightRows& weight, int64_t first, int64_t k) {
  WeightRows rest = weight;
  const int64_t bytes = first * kernels::row_bytes(weight.format, k);
  if (weight.data) rest.data = static_cast<const std::byte*>(weight.data) + bytes;
  if (weight.scale) rest.scale = weight.scale + first;
  rest.offset += bytes;
  return rest;
}

WeightRows RowBuffer::read(const WeightRows& weight, int64_t first, int64_t n, int64_t k) {
  const int64_t size = row_bytes(weight.format, k);
  WeightRows rows;
  rows.format = weight.format;
  if (weight.scale != nullptr) rows.scale = weight.scale + first;
  if (weight.data != nullptr) {
    rows.data = static_cast<const std::byte*>(weight.data) + first * size;
  } else {
    const std::span<std::byte> to(grown(&stored_, n * size), static_cast<size_t>(n * size));
    weight.file->read(weight.offset + first * size, to);
    rows.data = to.data();
  }
  return rows;
}

WeightRows RowBuffer::convert(const kernels::Table& kernels, const WeightRows& rows, int64_t n,
                              int64_t k, Format to) {
  if (rows.format == to) return rows;
  WeightRows result;
  result.format = to;
  if (rows.format == Format::kF32) {
    result.data = rows.data;
  } else {
    float* floats = grown(&floats_, n * k);
    to_floats(rows, n, k, floats);
    result.data = floats;
  }
  if (to == Format::kF32) return result;
  float* scales = grown(&scales_, n);
  void* converted = grown(&converted_, n * row_bytes(to, k));
  const auto* floats = static_cast<const float*>(result.data);
  if (from_floats(kernels, to, floats, n, k, converted, scales)) result.scale = scales;
  result.data = converted;
  return result;
}

}  // namespace headlane
