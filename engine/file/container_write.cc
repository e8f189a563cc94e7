#include "engine/file/container_write.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <set>

#include "engine/base/error.h"
#include "engine/file/container_format.h"
#include "engine/file/container_header.h"
#include "engine/file/json_fields.h"
#include "engine/file/tensor_shape.h"

namespace headlane {
namespace {

using json = Json;
namespace format = container_format;

// Nothing is written that the reader would refuse.
void check_sources(const std::string& path, const json& config, const json& tokenizer,
                   std::span<const TensorSource> tensors) {
  if (!config.is_object() || !(tokenizer.is_object() || tokenizer.is_null())) {
    fail(Status::kInvalidArgument, "%s: config is not an object, or tokenizer not one or null",
         path.c_str());
  }
  std::set<std::string_view> names;
  for (const TensorSource& tensor : tensors) {
    const std::string name = printable(tensor.name);
    if (!format::is_name(tensor.name) || !names.insert(tensor.name).second) {
      fail(Status::kInvalidArgument,
           "%s: tensor name \"%s\" is not 1 to %lld printable bytes, or is used twice",
           path.c_str(), name.c_str(), static_cast<long long>(file_limits::kNameBytes));
    }
    if (std::ssize(tensor.shape) > file_limits::kRank) {
      fail(Status::kInvalidArgument, "%s: tensor \"%s\" has %zu dimensions, more than %lld",
           path.c_str(), name.c_str(), tensor.shape.size(),
           static_cast<long long>(file_limits::kRank));
    }
  }
}

void check_data(const std::string& path, std::span<const TensorSource> tensors) {
  for (const TensorSource& tensor : tensors) {
    const auto bytes = static_cast<int64_t>(tensor.data.size());
    if (shape_bytes(tensor.shape, tensor.dtype) == bytes) continue;
    fail(Status::kInvalidArgument, "%s: tensor \"%s\" has %lld bytes, which is not %s %s",
         path.c_str(), printable(tensor.name).c_str(), static_cast<long long>(bytes),
         name_of(tensor.dtype), shape_text(tensor.shape).c_str());
  }
}

// A tensor too large for any file counts as kTooLarge, so that sums cannot overflow.
int64_t bytes_of(const TensorSource& tensor) {
  constexpr int64_t kTooLarge = file_limits::kFileBytes + 1;
  return std::min(shape_bytes(tensor.shape, tensor.dtype).value_or(kTooLarge), kTooLarge);
}

// Everything before the first tensor, its padding included, and where the checksum is.
struct Head {
  std::string bytes;
  int64_t checksum_offset = 0;
};

// This is all that a file holds, except the data.
struct Contents {
  const json &config, &tokenizer;
  std::span<const TensorSource> tensors;
  std::span<const PanelsSource> panels;
};

// The table of panels if they begin at *offset, which becomes where they end.
json make_panels(std::span<const PanelsSource> panels, int64_t* offset) {
  json table = json::array();
  for (const PanelsSource& source : panels) {
    table.push_back({{"weight", source.weight},
                     {"layout", source.layout},
                     {"offset", *offset},
                     {"bytes", source.bytes}});
    *offset = format::align_up(*offset + source.bytes);
  }
  return table;
}

// The header's JSON if the tensors begin at data_begin.
std::string make_header(const std::string& path, const Contents& contents, int64_t data_begin,
                        int64_t* checksum_offset) {
  json table = json::array();
  int64_t offset = data_begin;
  for (const TensorSource& tensor : contents.tensors) {
    const int64_t bytes = bytes_of(tensor);
    table.push_back({{"name", tensor.name},
                     {"dtype", name_of(tensor.dtype)},
                     {"shape", tensor.shape},
                     {"offset", offset},
                     {"bytes", bytes}});
    offset = format::align_up(offset + bytes);
  }
  json header = {
      {"config", contents.config}, {"tokenizer", contents.tokenizer}, {"tensors", table}};
  if (!contents.panels.empty()) header["panels"] = make_panels(contents.panels, &offset);
  header["checksum"] = {{"type", format::kChecksumType}, {"offset", offset}};
  *checksum_offset = offset;
  try {
    return header.dump();
  } catch (const Error& error) {
    fail(error.status(), "%s: the header's %s", path.c_str(), error.what());
  }
}

Head make_head(const std::string& path, const Contents& contents) {
  // The header holds the offsets and the offsets depend on the header's length. Larger offsets
  // never make it shorter, so this ends, in practice after two or three rounds.
  Head head;
  int64_t data_begin = 0;
  std::string header;
  for (int64_t needed = format::kAlignment; needed != data_begin;) {
    data_begin = needed;
    header = make_header(path, contents, data_begin, &head.checksum_offset);
    const auto end = static_cast<int64_t>(sizeof(format::Prefix) + header.size());
    needed = format::align_up(end);
  }
  format::Prefix prefix = {};
  std::memcpy(prefix.magic, format::kMagic, sizeof prefix.magic);
  prefix.version = format::kVersion;
  prefix.header_bytes = header.size();
  head.bytes.assign(reinterpret_cast<const char*>(&prefix), sizeof prefix);
  head.bytes += header;
  head.bytes.resize(static_cast<size_t>(data_begin), '\0');
  return head;
}

// By what reads the file: what that refuses is not written.
void check_head(const Head& head, const std::string& path) try {
  const int64_t file_bytes = head.checksum_offset + format::kChecksumBytes;
  const auto first = std::as_bytes(std::span(head.bytes)).first(sizeof(format::Prefix));
  const int64_t header_bytes = read_prefix(first, file_bytes, path);
  read_header(std::string_view(head.bytes).substr(first.size(), header_bytes), file_bytes, path);
} catch (const Error& error) {
  if (error.status() != Status::kBadFile) throw;
  throw Error(Status::kTooLarge, error.what());
}

// The head, which what reads the file does not refuse.
std::string make_checked_head(const std::string& path, const Contents& contents) {
  check_sources(path, contents.config, contents.tokenizer, contents.tensors);
  Head head = make_head(path, contents);
  check_head(head, path);
  return std::move(head.bytes);
}

}  // namespace

ContainerWriter::ContainerWriter(const std::string& path, const json& config, const json& tokenizer,
                                 std::span<const TensorSource> tensors,
                                 std::span<const PanelsSource> panels)
    : ContainerWriter(path, make_checked_head(path, {config, tokenizer, tensors, panels})) {
  for (const TensorSource& tensor : tensors) {
    if (bytes_of(tensor) > 0) left_.push_back(bytes_of(tensor));
  }
  for (const PanelsSource& source : panels) {
    if (source.bytes > 0) left_.push_back(source.bytes);
  }
}

ContainerWriter::ContainerWriter(const std::string& path, const std::string& head) : file_(path) {
  write_through(std::as_bytes(std::span(head)));
}

void ContainerWriter::write_through(std::span<const std::byte> bytes) {
  file_.write(bytes);
  checksum_.add(bytes);
  offset_ += std::ssize(bytes);
}

void ContainerWriter::write(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  int64_t& left = left_[n_whole_];
  assert(std::ssize(bytes) <= left);
  write_through(bytes);
  left -= std::ssize(bytes);
  if (left > 0) return;
  ++n_whole_;
  constexpr std::byte kZeros[format::kAlignment] = {};
  write_through(std::span(kZeros).first(static_cast<size_t>(format::align_up(offset_) - offset_)));
}

void ContainerWriter::commit() {
  assert(n_whole_ == left_.size());
  file_.write(checksum_.value());
  file_.commit();
}

void write_container(const std::string& path, const json& config, const json& tokenizer,
                     std::span<const TensorSource> tensors) {
  check_data(path, tensors);
  ContainerWriter writer(path, config, tokenizer, tensors);
  for (const TensorSource& tensor : tensors) writer.write(tensor.data);
  writer.commit();
}

}  // namespace headlane
