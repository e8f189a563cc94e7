#include "engine/file/container_header.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <unordered_set>

#include "engine/base/error.h"
#include "engine/file/container_format.h"
#include "engine/file/json_fields.h"
#include "engine/file/tensor_shape.h"

namespace headlane {
namespace {

namespace format = container_format;
using json = Json;
using ll = long long;
using ull = unsigned long long;

std::string read_name(const json& entry, const char* key, const std::string& where) {
  std::string name = json_string(entry, key, where);
  if (!format::is_name(name)) {
    fail(Status::kBadFile, "%s field \"%s\" is \"%s\"; it must be 1 to %lld printable bytes",
         where.c_str(), key, printable(name).c_str(), ll{file_limits::kNameBytes});
  }
  return name;
}

// `bytes` is not negative.
void check_place(int64_t offset, int64_t bytes, int64_t data_begin, int64_t file_bytes,
                 const std::string& where) {
  if (offset < data_begin || offset > file_bytes || offset % format::kAlignment != 0) {
    fail(Status::kBadFile, "%s field \"offset\" is %lld, not a multiple of %lld in [%lld, %lld]",
         where.c_str(), ll{offset}, ll{format::kAlignment}, ll{data_begin}, ll{file_bytes});
  }
  if (bytes > file_bytes - offset) {
    fail(Status::kBadFile, "%s field \"bytes\" is %lld, but the file ends %lld bytes after it",
         where.c_str(), ll{bytes}, ll{file_bytes - offset});
  }
}

Format read_dtype(const json& entry, const std::string& where) {
  const std::string name = json_string(entry, "dtype", where);
  std::string known;
  for (const kernels::FormatRow& row : kernels::kFormats) {
    if (name == row.name) return row.format;
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  fail(Status::kBadFile, "%s field \"dtype\" is \"%s\", not one of: %s", where.c_str(),
       printable(name).c_str(), known.c_str());
}

// Every number of the result is consistent with the others and inside the file.
TensorInfo read_tensor(const json& entry, size_t i_tensor, int64_t data_begin, int64_t file_bytes,
                       const std::string& path) {
  const std::string number = path + ": tensor " + std::to_string(i_tensor);
  TensorInfo tensor;
  tensor.name = read_name(entry, "name", number);
  const std::string where = path + ": tensor \"" + printable(tensor.name) + "\"";
  tensor.dtype = read_dtype(entry, where);
  tensor.shape = json_sizes(entry, "shape", where);
  tensor.offset = json_int(entry, "offset", where);
  tensor.bytes = json_int(entry, "bytes", where);

  const std::optional<int64_t> expected = shape_bytes(tensor.shape, tensor.dtype);
  if (expected != tensor.bytes) {
    fail(Status::kBadFile, "%s field \"bytes\" is %lld, which is not the size of %s %s",
         where.c_str(), ll{tensor.bytes}, name_of(tensor.dtype), shape_text(tensor.shape).c_str());
  }
  check_place(tensor.offset, tensor.bytes, data_begin, file_bytes, where);
  return tensor;
}

PanelsInfo read_panels_entry(const json& entry, size_t i, int64_t data_begin, int64_t file_bytes,
                             const std::string& path) {
  const std::string where = path + ": panels " + std::to_string(i);
  PanelsInfo panels;
  panels.weight = read_name(entry, "weight", where);
  panels.layout = read_name(entry, "layout", where);
  panels.offset = json_int(entry, "offset", where);
  panels.bytes = json_int(entry, "bytes", where);
  if (panels.bytes < 0) {
    fail(Status::kBadFile, "%s field \"bytes\" is %lld, which is negative", where.c_str(),
         ll{panels.bytes});
  }
  check_place(panels.offset, panels.bytes, data_begin, file_bytes, where);
  return panels;
}

// Each number of the result is inside the file.
std::vector<PanelsInfo> read_panels(const json& header, int64_t data_begin, int64_t file_bytes,
                                    const std::string& path) {
  std::vector<PanelsInfo> panels;
  if (!json_has(header, "panels", path + ": header")) return panels;
  const json& table = header["panels"];
  if (!table.is_array() || std::ssize(table) > file_limits::kTensors) {
    fail(Status::kBadFile, "%s: header field \"panels\" is not an array of at most %lld",
         path.c_str(), ll{file_limits::kTensors});
  }
  panels.reserve(table.size());
  for (const json& entry : table) {
    panels.push_back(read_panels_entry(entry, panels.size(), data_begin, file_bytes, path));
  }
  std::set<std::pair<std::string_view, std::string_view>> known;
  for (const PanelsInfo& entry : panels) {
    if (known.insert({entry.weight, entry.layout}).second) continue;
    fail(Status::kBadFile, "%s: panels of \"%s\" in the layout \"%s\" are in the table twice",
         path.c_str(), printable(entry.weight).c_str(), printable(entry.layout).c_str());
  }
  return panels;
}

std::vector<TensorInfo> read_tensors(const json& header, int64_t data_begin, int64_t file_bytes,
                                     const std::string& path) {
  const json& table = json_field(header, "tensors", path + ": header");
  if (!table.is_array() || std::ssize(table) > file_limits::kTensors) {
    fail(Status::kBadFile, "%s: header field \"tensors\" is not an array of at most %lld",
         path.c_str(), ll{file_limits::kTensors});
  }
  std::vector<TensorInfo> tensors;
  tensors.reserve(table.size());
  for (const json& entry : table) {
    tensors.push_back(read_tensor(entry, tensors.size(), data_begin, file_bytes, path));
  }
  std::unordered_set<std::string_view> names;
  for (const TensorInfo& tensor : tensors) {
    if (names.insert(tensor.name).second) continue;
    fail(Status::kBadFile, "%s: tensor \"%s\" is in the table twice", path.c_str(),
         printable(tensor.name).c_str());
  }
  return tensors;
}

void check_no_byte_is_two(const ContainerHeader& header, const std::string& path) {
  std::vector<TensorRange> ranges;
  ranges.reserve(header.tensors.size() + header.panels.size());
  for (const TensorInfo& tensor : header.tensors) {
    ranges.push_back({tensor.name, tensor.offset, tensor.end()});
  }
  for (const PanelsInfo& panels : header.panels) {
    ranges.push_back({panels.weight, panels.offset, panels.end()});
  }
  check_disjoint(std::move(ranges), path);
}

// Where the checksum is, behind all tensors and panels; -1 if there is none, or one of another
// type, which a later version may have.
int64_t read_checksum(const json& header, const ContainerHeader& read, int64_t data_begin,
                      int64_t file_bytes, const std::string& path) {
  const std::string where = path + ": header field \"checksum\":";
  if (!json_has(header, "checksum", path + ": header")) return -1;
  const json& checksum = header["checksum"];
  if (json_string(checksum, "type", where) != format::kChecksumType) return -1;
  const int64_t offset = json_int(checksum, "offset", where);
  int64_t end = data_begin;
  for (const TensorInfo& tensor : read.tensors) end = std::max(end, tensor.end());
  for (const PanelsInfo& panels : read.panels) end = std::max(end, panels.end());
  if (offset < end || offset > file_bytes - format::kChecksumBytes) {
    fail(Status::kBadFile,
         "%s \"offset\" is %lld: the tensors end at %lld, and the file, with %lld bytes for it, at "
         "%lld",
         where.c_str(), ll{offset}, ll{end}, ll{format::kChecksumBytes}, ll{file_bytes});
  }
  return offset;
}

// Takes the field out of the header, which spares a copy.
json take_object(json* header, const char* key, bool may_be_null, const std::string& path) {
  const json& field = json_field(*header, key, path + ": header");
  if (!field.is_object() && !(may_be_null && field.is_null())) {
    fail(Status::kBadFile, "%s: header field \"%s\" is not an object%s", path.c_str(), key,
         may_be_null ? " and not null" : "");
  }
  return std::move((*header)[key]);
}

}  // namespace

int64_t read_prefix(std::span<const std::byte> first, int64_t file_bytes, const std::string& file) {
  const char* path = file.c_str();
  if (first.size() < sizeof format::kMagic ||
      std::memcmp(first.data(), format::kMagic, sizeof format::kMagic) != 0) {
    fail(Status::kBadFile, "%s is not a .headlane file: it does not begin with \"HEADLANE\"", path);
  }
  format::Prefix prefix;
  if (first.size() < sizeof prefix) {
    fail(Status::kBadFile, "%s ends at byte %zu, inside its header", path, first.size());
  }
  std::memcpy(&prefix, first.data(), sizeof prefix);
  if (prefix.version != format::kVersion) {
    const bool is_old = prefix.version < format::kVersion;
    fail(Status::kBadFile, "%s: format version is %u; this library reads version %u%s", path,
         prefix.version, format::kVersion,
         is_old ? ": convert the model again with this version's headlane convert" : "");
  }
  if (prefix.reserved != 0) {
    fail(Status::kBadFile, "%s: reserved field is %u, not 0", path, prefix.reserved);
  }
  if (file_bytes > file_limits::kFileBytes) {
    fail(Status::kBadFile, "%s has %lld bytes; the format allows %lld", path, ll{file_bytes},
         ll{file_limits::kFileBytes});
  }
  const auto bytes_left = static_cast<uint64_t>(file_bytes) - sizeof prefix;
  if (prefix.header_bytes > file_limits::kHeaderBytes || prefix.header_bytes > bytes_left) {
    fail(Status::kBadFile,
         "%s: header length is %llu bytes; %llu are left in the file and %lld is the limit", path,
         ull{prefix.header_bytes}, ull{bytes_left}, ll{file_limits::kHeaderBytes});
  }
  return static_cast<int64_t>(prefix.header_bytes);
}

ContainerHeader read_header(std::string_view text, int64_t file_bytes, const std::string& path) {
  json json_header = parse_json(text, path + ": header");
  const auto data_begin = static_cast<int64_t>(sizeof(format::Prefix) + text.size());
  ContainerHeader header;
  header.config = take_object(&json_header, "config", false, path);
  header.tokenizer = take_object(&json_header, "tokenizer", true, path);
  header.tensors = read_tensors(json_header, data_begin, file_bytes, path);
  header.panels = read_panels(json_header, data_begin, file_bytes, path);
  check_no_byte_is_two(header, path);
  header.checksum_offset = read_checksum(json_header, header, data_begin, file_bytes, path);
  return header;
}

}  // namespace headlane
