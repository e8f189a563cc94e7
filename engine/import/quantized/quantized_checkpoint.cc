#include "engine/import/quantized/quantized_checkpoint.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>
#include <utility>

#include "engine/file/weight_groups.h"

namespace headlane {
namespace {

using kernels::Format;
using kernels::kGroupSize;
using kernels::S8Group;
using kernels::U4Group;

constexpr std::string_view kWeight = ".weight", kBias = ".bias";

std::string_view ending_of(QuantizedLayout layout) {
  switch (layout) {
    case QuantizedLayout::kGptq:
    case QuantizedLayout::kAwq:
      return ".qweight";
    case QuantizedLayout::kPacked:
      return ".weight_packed";
    case QuantizedLayout::kBytes:
    case QuantizedLayout::kExperts:  // which another class reads
      break;
  }
  return kWeight;
}

void widen_rows(const QuantizedWeight& weight, const CodedRows& rows, int64_t n,
                std::vector<float>* to) {
  const int64_t k = weight.shape()[1], n_groups = std::ssize(rows.scales) / n;
  to->resize(static_cast<size_t>(n * k));
  for (int64_t column = 0; column < k; ++column) {
    const int64_t group = weight.group_of(column);
    for (int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<size_t>(i * k + column);
      const auto own = static_cast<size_t>(i * n_groups + group);
      (*to)[at] = (rows.codes[at] - rows.zeros[own]) * rows.scales[own];
    }
  }
}

// Codes of 4 bits are what they are; the zero becomes a minimum.
void to_u4_group(const float* codes, float scale, float zero, std::byte* to) {
  U4Group group = {};
  group.scale = f16_from_f32(scale);
  group.min = f16_from_f32(scale * zero);
  for (int64_t i = 0; i < kGroupSize; ++i) {
    const auto code = static_cast<uint8_t>(codes[i]);
    group.codes[i % 16] |= static_cast<uint8_t>(i < 16 ? code : code << 4);
  }
  std::memcpy(to, &group, sizeof group);
}

// Codes less their zero have to fit a byte; a group where they do not is quantised again.
void to_s8_group(const float* codes, float scale, float zero, std::byte* to) {
  S8Group group = {};
  group.scale = f16_from_f32(scale);
  float values[kGroupSize];
  bool fits = true;
  for (int64_t i = 0; i < kGroupSize; ++i) {
    const float code = codes[i] - zero;
    values[i] = code * scale;
    fits = fits && code >= -128 && code <= 127;
    if (fits) group.codes[i] = static_cast<int8_t>(code);
  }
  if (!fits) floats_to_groups(Format::kS8Groups, values, kGroupSize, &group);
  std::memcpy(to, &group, sizeof group);
}

}  // namespace

QuantizedCheckpoint::QuantizedCheckpoint(const SafetensorsModel& tensors, Quantization how)
    : tensors_(tensors), how_(std::move(how)) {
  const std::string_view ending = ending_of(how_.layout);
  for (const std::string& name : tensors_.names()) {
    if (!name.ends_with(ending)) continue;
    const std::string& type = tensors_.entry_of(name).type_name;
    if (how_.layout == QuantizedLayout::kBytes && type != "F8_E4M3" && type != "I8") continue;
    add(name.substr(0, name.size() - ending.size()));
  }
}

void QuantizedCheckpoint::add(const std::string& module) {
  QuantizedWeight weight(tensors_, how_, module);
  for (const std::string& plain : how_.plain) {
    if (!module.ends_with(plain) && !module.starts_with(plain + ".")) continue;
    tensors_.refuse(weight.parts().front(),
                    "is quantised, and config.json says that it is not: by \"" + plain + "\"");
  }
  parts_.insert(weight.parts().begin(), weight.parts().end());
  weights_.emplace(module + std::string(kWeight), std::move(weight));
}

void QuantizedCheckpoint::refuse_transposed(std::span<const TensorRecipe> recipes) const {
  for (const TensorRecipe& recipe : recipes) {
    for (const TensorSlice& slice : recipe.slices) {
      if (!recipe.transposed || !weights_.contains(slice.tensor)) continue;
      refuse(slice.tensor, "is quantised; that is not supported for this \"model_type\"");
    }
  }
}

bool QuantizedCheckpoint::is_zero_bias(const std::string& name) const {
  if (!name.ends_with(kBias)) return false;
  const std::string module = name.substr(0, name.size() - kBias.size());
  if (!weights_.contains(module + std::string(kWeight))) return false;
  const std::vector<float> bias = read_tensor(tensors_, name, tensors_.shape_of(name));
  return std::all_of(bias.begin(), bias.end(), [](float element) { return element == 0; });
}

std::vector<std::string> QuantizedCheckpoint::names() const {
  std::vector<std::string> names;
  for (const auto& [name, weight] : weights_) names.push_back(name);
  for (const std::string& name : tensors_.names()) {
    if (!parts_.contains(name) && !is_zero_bias(name)) names.push_back(name);
  }
  return names;
}

bool QuantizedCheckpoint::contains(const std::string& name) const {
  return weights_.contains(name) || (tensors_.contains(name) && !parts_.contains(name));
}

const std::vector<int64_t>& QuantizedCheckpoint::shape_of(const std::string& name) const {
  const auto found = weights_.find(name);
  return found == weights_.end() ? tensors_.shape_of(name) : found->second.shape();
}

void QuantizedCheckpoint::check_type(const std::string& name) const {
  if (!weights_.contains(name)) tensors_.check_type(name);
}

void QuantizedCheckpoint::read(const std::string& name, int64_t first, std::span<float> to) const {
  const auto found = weights_.find(name);
  if (found == weights_.end()) return tensors_.read(name, first, to);
  if (to.empty()) return;
  const QuantizedWeight& weight = found->second;
  const int64_t k = weight.shape()[1], first_row = first / k;
  const int64_t n = (first + std::ssize(to) - 1) / k + 1 - first_row;
  std::vector<float> rows;
  widen_rows(weight, weight.read(first_row, n), n, &rows);
  std::copy_n(rows.begin() + (first - first_row * k), to.size(), to.begin());
}

Checkpoint::GroupFormat QuantizedCheckpoint::group_format_of(const std::string& name) const {
  const auto found = weights_.find(name);
  if (found == weights_.end()) return {};
  return {found->second.format(), found->second.in_groups()};
}

void QuantizedCheckpoint::read_groups(const std::string& name, int64_t first,
                                      std::span<std::byte> to) const {
  const QuantizedWeight& weight = weights_.at(name);
  const Format format = weight.format();
  const int64_t k = weight.shape()[1], size = row_of(format).group_bytes;
  const int64_t n = std::ssize(to) / row_bytes(format, k), n_of_row = k / kGroupSize;
  const CodedRows rows = weight.read(first, n);
  const int64_t n_groups = std::ssize(rows.scales) / n;
  for (int64_t i = 0; i < n * n_of_row; ++i) {
    const int64_t row = i / n_of_row, column = i % n_of_row * kGroupSize;
    const auto own = static_cast<size_t>(row * n_groups + weight.group_of(column));
    const auto to_group = format == Format::kU4Groups ? to_u4_group : to_s8_group;
    to_group(rows.codes.data() + row * k + column, rows.scales[own], rows.zeros[own],
             to.data() + i * size);
  }
}

}  // namespace headlane
