// The binary file (.headlane): one file holds the weights, the config and the tokenizer.
//
//   offset 0   magic "HEADLANE"            8 bytes
//          8   format version, u32         little endian, now 1
//         12   reserved, u32               zero
//         16   header length in bytes, u64
//         24   header: JSON, UTF-8         { "config": {...}, "tokenizer": {...} or null,
//                                            "tensors": [
//                                            {"name","dtype","shape","offset","bytes"}, ... ] }
//              zero padding up to 64
//              tensors, each at a multiple of 64 from the start of the file, canonical row-major,
//              little endian, in the order of the table, zero padding between
//
// Limits, beyond which a file is refused: header 64 MiB, 32 levels and 2^22 values of JSON, no key
// twice in an object, 8 dimensions, names of 1 to 255 bytes without control characters.
// The reader ignores header fields that it does not know, and bytes after the last tensor.
//
// Packed layouts belong to a machine, not to a file, so none is stored. The file is mapped, not
// read, and hostile until checked: see Container::open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/precision.h"

namespace headlane {

enum class DType { kF32, kU8, kBf16, kS8 };
const char* name_of(DType dtype);  // "f32", "u8", "bf16", "s8"
int64_t size_of(DType dtype);      // bytes of one element

struct TensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  int64_t offset = 0;  // from the start of the file, in bytes
  int64_t bytes = 0;
};

// A tensor to be written. `data` must live until write_container returns.
struct TensorSource {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;  // canonical row-major, product(shape) * size_of(dtype) bytes
};

// Writes to a temporary name beside `path`, then renames: `path` is either the old file or the
// whole new one. The same input gives the same bytes. Throws Error(kIo) and leaves no temporary
// behind.
void write_container(const std::string& path, const nlohmann::json& config,
                     const nlohmann::json& tokenizer, std::span<const TensorSource> tensors);

// A mapped .headlane file whose framing has been checked: magic, version, lengths, header JSON, and
// for each tensor its dtype, rank, shape, bytes, alignment, place inside the file, and overlap with
// others.
class Container {
 public:
  static Container open(const std::string& path);  // throws Error(kIo or kBadFile)
  // One that was never a file: the tensors are copied into memory of its own. `name` stands for the
  // path in messages.
  static Container make(const std::string& name, nlohmann::json config,
                        std::span<const TensorSource> tensors);
  Container(Container&&) noexcept;
  Container& operator=(Container&&) noexcept;
  ~Container();

  const std::string& path() const;
  const nlohmann::json& config() const;     // the header's "config" object
  const nlohmann::json& tokenizer() const;  // the header's "tokenizer": an object, or null
  int64_t file_bytes() const;
  const std::vector<TensorInfo>& tensors() const;

  const TensorInfo* find(std::string_view name) const;  // null if there is none
  std::span<const std::byte> data(const TensorInfo& tensor) const;
  // The elements of an f32 tensor that must exist with exactly this shape; Error(kBadFile)
  // otherwise. Valid as long as the container.
  const float* f32(std::string_view name, std::initializer_list<int64_t> shape) const;
  // The elements of a matrix that must exist with this shape, as f32, bf16 or s8. The last has
  // scales in an f32 tensor `scales` [rows]. Errors and lifetime as of f32().
  WeightRows weight(std::string_view name, std::string_view scales, int64_t rows,
                    int64_t cols) const;
  // Tells the system that these pages are not needed soon (they were packed), so that they do not
  // count as resident memory.
  void release_pages(const TensorInfo& tensor) const;

 private:
  struct Impl;
  const TensorInfo& at(std::string_view name) const;  // Error(kBadFile) if there is none
  explicit Container(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace headlane
