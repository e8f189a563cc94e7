// The binary file (.headlane): one file holds the weights, the config and the tokenizer.
//
//   offset 0   magic "HEADLANE"            8 bytes
//          8   format version, u32         little endian, now 2
//         12   reserved, u32               zero
//         16   header length in bytes, u64
//         24   header: JSON, UTF-8         { "config": {...}, "tokenizer": {...} or null,
//                                            "tensors": [
//                                            {"name","dtype","shape","offset","bytes"}, ... ],
//                                            "panels": [
//                                            {"weight","layout","offset","bytes"}, ... ],
//                                            "checksum": {"type": "xxh3_128", "offset"} }
//              zero padding up to 64
//              tensors, each at a multiple of 64 from the start of the file, canonical row-major,
//              little endian, in the order of the table, zero padding between
//              panels of products' weights, likewise; mostly there are none
//              checksum: XXH3, 128 bits, big endian, of all bytes before it
//
// Limits, beyond which a file is refused: limits.h. No key may be twice in an object, no tensor
// share bytes with another. The reader ignores header fields that it does not know, and bytes after
// the last tensor. Files made before there was a checksum have none; opening does not compute it,
// which would read all of a file (file_check.h does).
//
// A product's weight may be there a second time, packed into panels for machines whose layout it
// names (layout_of): those read it as it is, and all others pack the tensor. Panels are numbers
// alone, so wrong ones give wrong numbers and nothing worse. A file is hostile until checked: see
// Container::open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/file/input_file.h"
#include "engine/file/json.h"
#include "engine/file/weight_rows.h"

namespace headlane {

struct TensorInfo {
  std::string name;
  Format dtype = Format::kF32;
  std::vector<int64_t> shape;
  int64_t offset = 0;  // from the start of the file, in bytes
  int64_t bytes = 0;

  int64_t end() const { return offset + bytes; }
};

// A tensor to be written. `data` must live until write_container returns.
struct TensorSource {
  std::string name;
  Format dtype = Format::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;  // canonical row-major, shape_bytes(shape, dtype) of them
};

// The panels of a product's weight, all of them in their order, each as Product::pack_panel makes
// it.
struct PanelsInfo {
  std::string weight, layout;  // names of a PackedWeight and of layout_of
  int64_t offset = 0;          // as of TensorInfo
  int64_t bytes = 0;

  int64_t end() const { return offset + bytes; }
};

struct ContainerOptions {
  bool map = false;     // the file is mapped, and what is mapped is not read
  bool verify = false;  // all of the file is read for its checksum
};

// `path` is either the old file or the whole new one, checked by what reads it. The same input
// gives the same bytes. Throws Error: kIo, kTooLarge beyond the format's limits, kInvalidArgument;
// nothing half-written stays.
void write_container(const std::string& path, const Json& config, const Json& tokenizer,
                     std::span<const TensorSource> tensors);

// A .headlane file whose framing has been checked: magic, version, lengths, header JSON, and for
// each tensor its dtype, rank, shape, bytes, alignment, place inside the file, and overlap with
// others. The file stays open. A tensor is read when it is first asked for, and stays in memory,
// but weights of products, which are packed from the file, and of embeddings the rows that nobody
// asked for. What happens to the file meanwhile is an Error of whoever reads (InputFile), and
// nothing to who has read.
class Container {
 public:
  // Throws Error(kIo or kBadFile), the latter also if there is no checksum to verify.
  static Container open(const std::string& path, const ContainerOptions& options = {});
  // One that was never a file: the tensors are copied into memory of its own, or, in a view, stay
  // where they are. A view's tensors without data are zeros, and its weights without data are
  // nowhere: it shows whether names, types and shapes are a model's before there are any numbers.
  // `name` stands for the path in messages.
  static Container make(const std::string& name, Json config,
                        std::span<const TensorSource> tensors);
  static Container view(const std::string& name, Json config, Json tokenizer,
                        std::span<const TensorSource> tensors);
  Container(Container&&) noexcept;
  Container& operator=(Container&&) noexcept;
  ~Container();

  const std::string& path() const;
  const Json& config() const;     // the header's "config" object
  const Json& tokenizer() const;  // the header's "tokenizer": an object, or null
  int64_t file_bytes() const;     // of one that is no file: of its tensors
  const std::vector<TensorInfo>& tensors() const;
  const std::vector<PanelsInfo>& panels() const;
  const InputFile* file() const;    // null if there is none
  const std::byte* mapped() const;  // all of the file, or null if it is not mapped
  int64_t checksum_offset() const;  // -1: the file has none

  const TensorInfo* find(std::string_view name) const;  // null if there is none
  // They have this size; null if there are none.
  const PanelsInfo* find_panels(std::string_view weight, std::string_view layout,
                                int64_t bytes) const;
  // All functions below may be called from several threads, and throw Error also as InputFile does.
  // They return pointers that are valid as long as the container.
  std::span<const std::byte> data(const TensorInfo& tensor) const;
  // The elements of an f32 tensor that must exist with exactly this shape; Error(kBadFile)
  // otherwise.
  const float* f32(std::string_view name, std::initializer_list<int64_t> shape) const;
  // The elements of a matrix that must exist with this shape, in a format of weights. s8 has
  // scales in an f32 tensor `scales` [rows]. A file's matrix is not read: whoever packs it does so.
  // Errors as of f32().
  WeightRows weight(std::string_view name, std::string_view scales, int64_t rows,
                    int64_t cols) const;
  // The same for a matrix of which calls need some rows: a file's is read by its RowTable.
  WeightRows row_table(std::string_view name, std::string_view scales, int64_t rows,
                       int64_t cols) const;
  // A tensor's bytes that do not stay in memory.
  std::string read_text(const TensorInfo& tensor) const;

 private:
  struct Impl;
  const TensorInfo& at(std::string_view name) const;  // Error(kBadFile) if there is none
  explicit Container(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace headlane
