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

// Formats that have all of a row in its groups.
template <typename Group, void (*row_to_floats)(const Group*, int64_t, float*)>
void groups_to_floats(const WeightRows& rows, int64_t n, int64_t k, float* to) {
  const auto* from = static_cast<const Group*>(rows.data);
  for (int64_t i = 0; i < n; ++i) row_to_floats(from + i * kernels::groups_in(k), k, to + i * k);
}

template <typename Group, void (*row_from_floats)(const float*, int64_t, Group*)>
void floats_to_groups(const kernels::Table&, const float* from, int64_t n, int64_t k, void* to,
                      float*) {
  auto* groups = static_cast<Group*>(to);
  for (int64_t i = 0; i < n; ++i) {
    row_from_floats(from + i * k, k, groups + i * kernels::groups_in(k));
  }
}

// A format's way to floats and from them: all conversions go over floats.
struct Conversion {
  Format format;
  bool has_scales;  // of rows, apart from them
  void (*to_floats)(const WeightRows& rows, int64_t n, int64_t k, float* to);
  // `scales` [n] is written where there are any.
  void (*from_floats)(const kernels::Table& kernels, const float* from, int64_t n, int64_t k,
                      void* to, float* scales);
};
using kernels::S8Group;
using kernels::U4Group;
constexpr Conversion kConversions[] = {
    {Format::kBf16, false, bf16_to_floats, floats_to_bf16},
    {Format::kS8, true, s8_to_floats, floats_to_s8},
    {Format::kS8Groups, false, groups_to_floats<S8Group, s8_groups_to_floats>,
     floats_to_groups<S8Group, floats_to_s8_groups>},
    {Format::kU4Groups, false, groups_to_floats<U4Group, u4_groups_to_floats>,
     floats_to_groups<U4Group, floats_to_u4_groups>},
};

const Conversion& conversion_of(Format format) {
  for (const Conversion& conversion : kConversions) {
    if (conversion.format == format) return conversion;
  }
  fail(Status::kInternal, "rows of %s are not converted", name_of(format));
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
    conversion_of(rows.format).to_floats(rows, n, k, floats);
    result.data = floats;
  }
  if (to == Format::kF32) return result;
  float* scales = grown(&scales_, n);
  void* converted = grown(&converted_, n * row_bytes(to, k));
  const Conversion& conversion = conversion_of(to);
  conversion.from_floats(kernels, static_cast<const float*>(result.data), n, k, converted, scales);
  result.data = converted;
  if (conversion.has_scales) result.scale = scales;
  return result;
}

}  // namespace headlane
