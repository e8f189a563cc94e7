// The tensor tables of .headlane and .safetensors files have this in common: shapes whose sizes are
// computed without overflow, and tensors that must not share bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/file/json.h"
#include "kernels/format.h"

namespace headlane {

// product(shape) * element_bytes; nothing if a dimension is negative or the product is over int64.
std::optional<int64_t> shape_bytes(std::span<const int64_t> shape, int64_t element_bytes);
// The bytes of a tensor whose last dimension is rows of a format; likewise.
std::optional<int64_t> shape_bytes(std::span<const int64_t> shape, kernels::Format format);

// "[2, 3]"
std::string shape_text(std::span<const int64_t> shape);

// An array field of integers, each at least 0: "shape", "data_offsets". At most file_limits::kRank.
// Throws Error(kBadFile) that begins with `where`, as the getters of json_fields.h do.
std::vector<int64_t> json_sizes(const Json& object, const char* key, const std::string& where);

struct TensorRange {
  std::string_view name;
  int64_t begin, end;  // bytes
};

// Throws Error(kBadFile) naming two tensors of `file` that have bytes in common.
void check_disjoint(std::vector<TensorRange> ranges, const std::string& file);

}  // namespace headlane
