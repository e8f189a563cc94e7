#include "engine/file/tensor_shape.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/file/json.h"
#include "engine/file/json_fields.h"
#include "engine/file/limits.h"

namespace headlane {

std::optional<int64_t> shape_bytes(std::span<const int64_t> shape, int64_t element_bytes) {
  int64_t bytes = element_bytes;
  for (const int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(bytes, size, &bytes)) return std::nullopt;
  }
  return bytes;
}

std::optional<int64_t> shape_bytes(std::span<const int64_t> shape, kernels::Format format) {
  if (shape.empty()) return row_bytes(format, 1);
  const kernels::FormatRow& row = row_of(format);
  std::vector<int64_t> groups(shape.begin(), shape.end());
  groups.back() = groups.back() / row.group + (groups.back() % row.group != 0 ? 1 : 0);
  return shape_bytes(groups, row.group_bytes);
}

std::string shape_text(std::span<const int64_t> shape) {
  std::string text = "[";
  for (const int64_t size : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(size);
  }
  return text + "]";
}

std::vector<int64_t> json_sizes(const Json& object, const char* key, const std::string& where) {
  const Json& array = json_field(object, key, where);
  if (!array.is_array()) {
    fail(Status::kBadFile, "%s field \"%s\" is not an array", where.c_str(), key);
  }
  if (std::ssize(array) > file_limits::kRank) {
    fail(Status::kBadFile, "%s field \"%s\" has %zu elements, more than %lld", where.c_str(), key,
         array.size(), static_cast<long long>(file_limits::kRank));
  }
  std::vector<int64_t> sizes;
  for (const Json& size : array) {
    // A negative number is the only one that the library does not store as unsigned.
    if (!size.is_number_unsigned() || size.get<uint64_t>() > INT64_MAX) {
      fail(Status::kBadFile, "%s field \"%s\" has an element that is not an integer in [0, 2^63)",
           where.c_str(), key);
    }
    sizes.push_back(size.get<int64_t>());
  }
  return sizes;
}

void check_disjoint(std::vector<TensorRange> ranges, const std::string& file) {
  // Empty tensors have no bytes, wherever they stand.
  std::erase_if(ranges, [](const TensorRange& range) { return range.begin == range.end; });
  std::sort(ranges.begin(), ranges.end(),
            [](const TensorRange& a, const TensorRange& b) { return a.begin < b.begin; });
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].begin >= ranges[i - 1].end) continue;
    fail(Status::kBadFile, "%s: the data of tensors \"%s\" and \"%s\" overlap", file.c_str(),
         printable(ranges[i - 1].name).c_str(), printable(ranges[i].name).c_str());
  }
}

}  // namespace headlane
