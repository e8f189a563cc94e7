#include "engine/import/source/safetensors.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <new>

#include "engine/base/error.h"
#include "engine/file/json.h"
#include "engine/file/limits.h"
#include "engine/file/tensor_shape.h"
#include "engine/import/source/json_file.h"
#include "engine/import/source/model_path.h"

namespace headlane {
namespace {

using json = Json;

static_assert(std::endian::native == std::endian::little);
static_assert(std::numeric_limits<float>::is_iec559 && std::numeric_limits<double>::is_iec559);

using ll = long long;

constexpr int64_t kLengthBytes = 8;  // of the header, in front of it

struct TypeInfo {
  const char* name;
  int64_t bytes;
  SafetensorsType type = SafetensorsType::kOther;
};

// Types that cannot be weights here still have a size: their tensors must not spoil the file.
constexpr TypeInfo kSafetensorsTypes[] = {
    {"F32", 4, SafetensorsType::kF32},
    {"F16", 2, SafetensorsType::kF16},
    {"BF16", 2, SafetensorsType::kBF16},
    {"F64", 8, SafetensorsType::kF64},
    {"I64", 8},
    {"I32", 4},
    {"I16", 2},
    {"I8", 1},
    {"U64", 8},
    {"U32", 4},
    {"U16", 2},
    {"U8", 1},
    {"BOOL", 1},
    {"F8_E4M3", 1},
    {"F8_E5M2", 1},
    {"F8_E8M0", 1},
    {"C64", 8},
};

const TypeInfo& find_type(const std::string& name, const std::string& where) {
  for (const TypeInfo& type : kSafetensorsTypes) {
    if (name == type.name) return type;
  }
  fail(Status::kUnsupported, "%s field \"dtype\" is \"%s\", which is not a known type",
       where.c_str(), printable(name).c_str());
}

// The header's length, checked; the data begin behind it.
int64_t read_header_bytes(const InputFile& file) {
  const char* path = file.path().c_str();
  uint64_t header_bytes = 0;
  if (file.bytes() < kLengthBytes) {
    fail(Status::kBadFile, "%s is not a safetensors file: it has only %lld bytes", path,
         ll{file.bytes()});
  }
  file.read(0, std::as_writable_bytes(std::span(&header_bytes, 1)));
  const int64_t bytes_left = file.bytes() - kLengthBytes;
  if (header_bytes > file_limits::kSafetensorsHeaderBytes ||
      header_bytes > static_cast<uint64_t>(bytes_left)) {
    fail(Status::kBadFile,
         "%s: header length is %llu bytes; %lld are left in the file and %lld is the limit", path,
         static_cast<unsigned long long>(header_bytes), ll{bytes_left},
         ll{file_limits::kSafetensorsHeaderBytes});
  }
  return static_cast<int64_t>(header_bytes);
}

SafetensorsEntry read_entry(const json& json_entry, const std::string& where, int64_t data_begin,
                            int64_t file_bytes) {
  SafetensorsEntry entry;
  entry.type_name = json_string(json_entry, "dtype", where);
  const TypeInfo& type = find_type(entry.type_name, where);
  entry.type = type.type;
  entry.shape = json_sizes(json_entry, "shape", where);
  const std::vector<int64_t> offsets = json_sizes(json_entry, "data_offsets", where);
  const int64_t data_bytes = file_bytes - data_begin;
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    fail(Status::kBadFile, "%s field \"data_offsets\" is %s, not [begin, end] with begin <= end",
         where.c_str(), shape_text(offsets).c_str());
  }
  if (offsets[1] > data_bytes) {
    fail(Status::kBadFile,
         "%s field \"data_offsets\" is %s, beyond the end of the file, which has %lld bytes of "
         "tensors; a file that was not copied or downloaded whole ends like this",
         where.c_str(), shape_text(offsets).c_str(), ll{data_bytes});
  }
  if (shape_bytes(entry.shape, type.bytes) != offsets[1] - offsets[0]) {
    fail(Status::kBadFile, "%s field \"data_offsets\" is %s, which is not the size of %s %s",
         where.c_str(), shape_text(offsets).c_str(), type.name, shape_text(entry.shape).c_str());
  }
  entry.offset = data_begin + offsets[0];
  entry.bytes = offsets[1] - offsets[0];
  return entry;
}

// Elements of another type, the first of them at `offset`, to f32, some at a time.
template <typename Element, typename Convert>
void read_converted(const InputFile& file, int64_t offset, std::span<float> to, Convert convert) {
  constexpr size_t kMostAtOnce = 1 << 18;
  std::vector<Element> some(std::min(to.size(), kMostAtOnce));
  for (size_t i = 0; i < to.size(); i += some.size()) {
    const std::span<Element> part = std::span(some).first(std::min(some.size(), to.size() - i));
    file.read(offset + static_cast<int64_t>(i * sizeof(Element)), std::as_writable_bytes(part));
    std::transform(part.begin(), part.end(), to.begin() + static_cast<ptrdiff_t>(i), convert);
  }
}

std::string name_tensor(const std::string& path, const std::string& tensor) {
  return path + ": tensor \"" + printable(tensor) + "\"";
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string& path) try : file_(path) {
  refuse_lfs_pointer(file_);
  const int64_t header_bytes = read_header_bytes(file_);
  const json header = parse_json(file_.read_text(kLengthBytes, header_bytes), path + ": header");
  if (!header.is_object()) {
    fail(Status::kBadFile, "%s: header is not a JSON object", path.c_str());
  }
  const int64_t data_begin = kLengthBytes + header_bytes;
  std::vector<TensorRange> ranges;
  for (const auto& [name, json_entry] : header.items()) {
    if (name == "__metadata__") continue;
    const SafetensorsEntry entry =
        read_entry(json_entry, name_tensor(path, name), data_begin, file_.bytes());
    ranges.push_back({name, entry.offset, entry.offset + entry.bytes});
    entries_.emplace(name, entry);
  }
  check_disjoint(std::move(ranges), path);
} catch (const std::bad_alloc&) {
  fail(Status::kOutOfMemory, "%s: no memory for its header", path.c_str());
}

void SafetensorsFile::check_type(const std::string& name) const {
  const SafetensorsEntry& entry = entries_.at(name);
  if (entry.type != SafetensorsType::kOther) return;
  fail(Status::kUnsupported, "%s field \"dtype\" is %s; weights are F32, F16, BF16 or F64",
       name_tensor(path(), name).c_str(), entry.type_name.c_str());
}

void SafetensorsFile::read(const std::string& name, int64_t first, std::span<float> to) const {
  const SafetensorsEntry& entry = entries_.at(name);
  switch (entry.type) {
    case SafetensorsType::kF32:
      file_.read(entry.offset + first * int64_t{sizeof(float)}, std::as_writable_bytes(to));
      return;
    case SafetensorsType::kF16:
      return read_converted<uint16_t>(file_, entry.offset + first * 2, to, f32_from_f16);
    case SafetensorsType::kBF16:
      return read_converted<uint16_t>(file_, entry.offset + first * 2, to, f32_from_bf16);
    case SafetensorsType::kF64:  // rounded to the nearest; beyond the range of f32 to infinity
      return read_converted<double>(file_, entry.offset + first * 8, to,
                                    [](double value) { return static_cast<float>(value); });
    case SafetensorsType::kOther:
      break;
  }
  check_type(name);
}

void SafetensorsFile::read_bytes(const std::string& name, int64_t first,
                                 std::span<std::byte> to) const {
  file_.read(entries_.at(name).offset + first, to);
}

SafetensorsModel::SafetensorsModel(const std::string& dir) {
  const std::string single = dir + "/model.safetensors";
  const std::string index = dir + "/model.safetensors.index.json";
  if (!file_exists(single) && file_exists(index)) {
    open_shards(dir, index);
    return;
  }
  if (!file_exists(single)) fail_without_weights(dir);
  open_single(single);
}

SafetensorsModel SafetensorsModel::of_file(const std::string& path) {
  SafetensorsModel model;
  model.open_single(path);
  return model;
}

void SafetensorsModel::open_single(const std::string& path) {
  list_path_ = path;
  add_file(path, "");
}

std::vector<std::string> SafetensorsModel::add_file(const std::string& path,
                                                    const std::string& prefix) {
  files_.push_back(std::make_unique<SafetensorsFile>(path));
  if (!prefix.empty()) added_.emplace_back(prefix, path);
  std::vector<std::string> names;
  for (const auto& [name, entry] : files_.back()->entries()) {
    places_.emplace(prefix + name, Place{files_.back().get(), name});
    names.push_back(name);
  }
  return names;
}

int64_t SafetensorsModel::rename(std::string (*name_of)(const std::string& name)) {
  std::unordered_map<std::string, Place> places;
  int64_t n_left_out = 0;
  for (auto& [name, place] : places_) {
    std::string given = name_of(name);
    if (given.empty()) {
      ++n_left_out;
    } else if (!places.emplace(std::move(given), std::move(place)).second) {
      fail(Status::kBadFile, "%s: tensor \"%s\" is there twice, by two names", list_path_.c_str(),
           printable(name).c_str());
    }
  }
  places_ = std::move(places);
  return n_left_out;
}

std::vector<std::string> SafetensorsModel::names() const {
  std::vector<std::string> names;
  for (const auto& [name, place] : places_) names.push_back(name);
  return names;
}

const SafetensorsEntry& SafetensorsModel::entry_of(const std::string& name) const {
  const Place& place = places_.at(name);
  return place.file->entries().at(place.name);
}

const std::vector<int64_t>& SafetensorsModel::shape_of(const std::string& name) const {
  return entry_of(name).shape;
}

void SafetensorsModel::open_shards(const std::string& dir, const std::string& index_path) {
  list_path_ = index_path;
  const json index = read_json_file(index_path);
  const json& weight_map = json_field(index, "weight_map", index_path);
  const std::string where = index_path + ": weight_map";
  if (!weight_map.is_object()) {
    fail(Status::kBadFile, "%s is not a JSON object", where.c_str());
  }
  std::unordered_map<std::string, const SafetensorsFile*> shards;
  for (const auto& [name, value] : weight_map.items()) {
    const std::string shard = json_string(weight_map, name.c_str(), where);
    // The index must not lead to files outside its folder.
    if (shard.empty() || shard.find('/') != std::string::npos ||
        shard.find("..") != std::string::npos || shard.find('\0') != std::string::npos) {
      fail(Status::kBadFile, "%s field \"%s\" is \"%s\", not the plain name of a file",
           where.c_str(), printable(name).c_str(), printable(shard).c_str());
    }
    const SafetensorsFile*& file = shards[shard];
    if (file == nullptr) {
      files_.push_back(std::make_unique<SafetensorsFile>(dir + "/" + shard));
      file = files_.back().get();
    }
    if (!file->entries().contains(name)) {
      fail(Status::kBadFile, "%s is missing, though %s says it is there",
           name_tensor(file->path(), name).c_str(), index_path.c_str());
    }
    places_.emplace(name, Place{file, name});
  }
}

std::string SafetensorsModel::where(const std::string& name) const {
  const auto found = places_.find(name);
  if (found == places_.end()) {
    for (const auto& [prefix, path] : added_) {
      if (name.starts_with(prefix)) return name_tensor(path, name.substr(prefix.size()));
    }
    return name_tensor(list_path_, name);
  }
  return name_tensor(found->second.file->path(), found->second.name);
}

void SafetensorsModel::check_type(const std::string& name) const {
  const Place& place = places_.at(name);
  place.file->check_type(place.name);
}

void SafetensorsModel::read(const std::string& name, int64_t first, std::span<float> to) const {
  const Place& place = places_.at(name);
  place.file->read(place.name, first, to);
}

void SafetensorsModel::read_bytes(const std::string& name, int64_t first,
                                  std::span<std::byte> to) const {
  const Place& place = places_.at(name);
  place.file->read_bytes(place.name, first, to);
}

std::vector<int64_t> SafetensorsModel::read_integers(const std::string& name) const {
  const SafetensorsEntry& entry = entry_of(name);
  if (entry.type_name == "I64") {
    std::vector<int64_t> elements(static_cast<size_t>(entry.bytes / 8));
    read_bytes(name, 0, std::as_writable_bytes(std::span(elements)));
    return elements;
  }
  std::vector<int32_t> elements(static_cast<size_t>(entry.bytes / 4));
  read_bytes(name, 0, std::as_writable_bytes(std::span(elements)));
  return {elements.begin(), elements.end()};
}

float f32_from_f16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1F;
  const uint32_t mantissa = bits & 0x3FF;
  if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24, which f32 holds as a normal number
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  // Infinity and NaN keep their meaning with all exponent bits set; others change bias 15 to 127.
  const uint32_t wide_exponent = exponent == 0x1F ? 0xFF : exponent + (127 - 15);
  return std::bit_cast<float>(sign | wide_exponent << 23 | mantissa << 13);
}

float f32_from_bf16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);  // its upper half
}

}  // namespace headlane
