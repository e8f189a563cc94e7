#include <algorithm>
#include <cstring>
#include <new>
#include <unordered_map>

#include "engine/error.h"
#include "engine/model/container.h"
#include "engine/model/container_format.h"
#include "engine/model/json_fields.h"
#include "engine/model/mapped_file.h"
#include "engine/model/tensor_shape.h"

namespace headlane {

using nlohmann::json;

const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "f32";
    case DType::kU8:
      return "u8";
    case DType::kBf16:
      return "bf16";
    case DType::kS8:
      return "s8";
  }
  return "unknown";
}

int64_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return 4;
    case DType::kBf16:
      return 2;
    case DType::kU8:
    case DType::kS8:
      break;
  }
  return 1;
}

struct Container::Impl {
  explicit Impl(MappedFile bytes) : file(std::move(bytes)) {}

  // Once all tensors are there.
  void make_index() {
    for (size_t i = 0; i < tensors.size(); ++i) {
      const std::string& name = tensors[i].name;
      if (!index.emplace(name, i).second) {
        fail(Status::kBadFile, "%s: tensor \"%s\" is in the table twice", file.path().c_str(),
             name.c_str());
      }
    }
  }

  MappedFile file;
  json config;
  json tokenizer;
  std::vector<TensorInfo> tensors;
  std::unordered_map<std::string_view, size_t> index;  // views of the names in `tensors`
};

namespace {

namespace format = container_format;

// Checks what is before the header's JSON; returns the JSON's length.
int64_t check_prefix(const MappedFile& file) {
  const char* path = file.path().c_str();
  const std::span<const std::byte> bytes = file.bytes();
  if (bytes.size() < sizeof format::kMagic ||
      std::memcmp(bytes.data(), format::kMagic, sizeof format::kMagic) != 0) {
    fail(Status::kBadFile, "%s is not a .headlane file: it does not begin with \"HEADLANE\"", path);
  }
  format::Prefix prefix;
  if (bytes.size() < sizeof prefix) {
    fail(Status::kBadFile, "%s ends at byte %zu, inside its header", path, bytes.size());
  }
  std::memcpy(&prefix, bytes.data(), sizeof prefix);
  if (prefix.version != format::kVersion) {
    fail(Status::kBadFile, "%s: format version is %u; this library reads version %u", path,
         prefix.version, format::kVersion);
  }
  if (prefix.reserved != 0) {
    fail(Status::kBadFile, "%s: reserved field is %u, not 0", path, prefix.reserved);
  }
  const uint64_t bytes_left = bytes.size() - sizeof prefix;
  if (prefix.header_bytes > format::kMaxHeaderBytes || prefix.header_bytes > bytes_left) {
    fail(Status::kBadFile,
         "%s: header length is %llu bytes; %llu are left in the file and %lld is the limit", path,
         static_cast<unsigned long long>(prefix.header_bytes),
         static_cast<unsigned long long>(bytes_left),
         static_cast<long long>(format::kMaxHeaderBytes));
  }
  return static_cast<int64_t>(prefix.header_bytes);
}

std::string read_name(const json& entry, const std::string& where) {
  std::string name = json_string(entry, "name", where);
  if (!format::is_name(name)) {
    fail(Status::kBadFile, "%s field \"name\" is \"%s\": not 1 to %zu printable bytes",
         where.c_str(), printable(name).c_str(), format::kMaxNameBytes);
  }
  return name;
}

DType read_dtype(const json& entry, const std::string& where) {
  const std::string name = json_string(entry, "dtype", where);
  for (const DType dtype : {DType::kF32, DType::kU8, DType::kBf16, DType::kS8}) {
    if (name == name_of(dtype)) return dtype;
  }
  fail(Status::kBadFile, "%s field \"dtype\" is \"%s\", not one of: f32, u8, bf16, s8",
       where.c_str(), printable(name).c_str());
}

// Every number of the result is consistent with the others and inside the file.
TensorInfo read_tensor(const json& entry, size_t i_tensor, int64_t data_begin,
                       const MappedFile& file) {
  const std::string number = file.path() + ": tensor " + std::to_string(i_tensor);
  TensorInfo tensor;
  tensor.name = read_name(entry, number);
  const std::string where = file.path() + ": tensor \"" + printable(tensor.name) + "\"";
  tensor.dtype = read_dtype(entry, where);
  tensor.shape = json_sizes(entry, "shape", where);
  tensor.offset = json_int(entry, "offset", where);
  tensor.bytes = json_int(entry, "bytes", where);

  const std::optional<int64_t> expected = shape_bytes(tensor.shape, size_of(tensor.dtype));
  if (expected != tensor.bytes) {
    fail(Status::kBadFile, "%s field \"bytes\" is %lld, which is not the size of %s %s",
         where.c_str(), static_cast<long long>(tensor.bytes), name_of(tensor.dtype),
         shape_text(tensor.shape).c_str());
  }
  const auto file_bytes = static_cast<int64_t>(file.bytes().size());
  if (tensor.offset < data_begin || tensor.offset > file_bytes ||
      tensor.offset % format::kAlignment != 0) {
    fail(Status::kBadFile, "%s field \"offset\" is %lld, not a multiple of %lld in [%lld, %lld]",
         where.c_str(), static_cast<long long>(tensor.offset),
         static_cast<long long>(format::kAlignment), static_cast<long long>(data_begin),
         static_cast<long long>(file_bytes));
  }
  if (tensor.bytes > file_bytes - tensor.offset) {
    fail(Status::kBadFile, "%s field \"bytes\" is %lld, but the file ends %lld bytes after it",
         where.c_str(), static_cast<long long>(tensor.bytes),
         static_cast<long long>(file_bytes - tensor.offset));
  }
  return tensor;
}

void read_tensors(const json& header, int64_t data_begin, const MappedFile& file,
                  std::vector<TensorInfo>* tensors) {
  const json& table = json_field(header, "tensors", file.path() + ": header");
  if (!table.is_array()) {
    fail(Status::kBadFile, "%s: header field \"tensors\" is not an array", file.path().c_str());
  }
  tensors->reserve(table.size());
  for (const json& entry : table) {
    tensors->push_back(read_tensor(entry, tensors->size(), data_begin, file));
  }
  std::vector<TensorRange> ranges;
  ranges.reserve(tensors->size());
  for (const TensorInfo& tensor : *tensors) {
    ranges.push_back({tensor.name, tensor.offset, tensor.offset + tensor.bytes});
  }
  check_disjoint(std::move(ranges), file.path());
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

Container Container::open(const std::string& path) try {
  auto impl = std::make_unique<Impl>(MappedFile(path));
  const int64_t header_bytes = check_prefix(impl->file);
  const auto begin = static_cast<int64_t>(sizeof(format::Prefix));
  json header = parse_json(impl->file.text(begin, header_bytes), path + ": header");
  impl->config = take_object(&header, "config", false, path);
  impl->tokenizer = take_object(&header, "tokenizer", true, path);
  read_tensors(header, begin + header_bytes, impl->file, &impl->tensors);
  impl->make_index();
  return Container(std::move(impl));
} catch (const std::bad_alloc&) {
  fail(Status::kOutOfMemory, "%s: no memory for its header", path.c_str());
}

Container Container::make(const std::string& name, json config,
                          std::span<const TensorSource> tensors) {
  int64_t total = 0;
  std::vector<TensorInfo> infos;
  for (const TensorSource& tensor : tensors) {
    const auto bytes = static_cast<int64_t>(tensor.data.size());
    infos.push_back({tensor.name, tensor.dtype, tensor.shape, total, bytes});
    total = format::align_up(total + bytes);
  }
  auto impl = std::make_unique<Impl>(MappedFile(name, static_cast<size_t>(total)));
  const std::span<std::byte> memory = impl->file.own_bytes();
  for (size_t i = 0; i < tensors.size(); ++i) {
    std::copy(tensors[i].data.begin(), tensors[i].data.end(), memory.begin() + infos[i].offset);
  }
  impl->config = std::move(config);
  impl->tensors = std::move(infos);
  impl->make_index();
  return Container(std::move(impl));
}

Container::Container(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Container::Container(Container&&) noexcept = default;
Container& Container::operator=(Container&&) noexcept = default;
Container::~Container() = default;

const std::string& Container::path() const { return impl_->file.path(); }
const json& Container::config() const { return impl_->config; }
const json& Container::tokenizer() const { return impl_->tokenizer; }
int64_t Container::file_bytes() const { return static_cast<int64_t>(impl_->file.bytes().size()); }
const std::vector<TensorInfo>& Container::tensors() const { return impl_->tensors; }

const TensorInfo* Container::find(std::string_view name) const {
  const auto found = impl_->index.find(name);
  return found != impl_->index.end() ? &impl_->tensors[found->second] : nullptr;
}

std::span<const std::byte> Container::data(const TensorInfo& tensor) const {
  return impl_->file.bytes().subspan(static_cast<size_t>(tensor.offset),
                                     static_cast<size_t>(tensor.bytes));
}

const TensorInfo& Container::at(std::string_view name) const {
  const TensorInfo* tensor = find(name);
  if (tensor != nullptr) return *tensor;
  fail(Status::kBadFile, "%s: tensor \"%s\" is missing", path().c_str(), printable(name).c_str());
}

WeightRows Container::weight(std::string_view name, std::string_view scales, int64_t rows,
                             int64_t cols) const {
  const TensorInfo& tensor = at(name);
  if (tensor.dtype == DType::kF32) {
    return {kernels::WeightType::kF32, f32(name, {rows, cols}), nullptr};
  }
  if (tensor.dtype == DType::kU8 || tensor.shape != std::vector<int64_t>{rows, cols}) {
    fail(Status::kBadFile, "%s: tensor \"%s\" is %s %s, not f32, bf16 or s8 %s", path().c_str(),
         printable(name).c_str(), name_of(tensor.dtype), shape_text(tensor.shape).c_str(),
         shape_text(std::vector<int64_t>{rows, cols}).c_str());
  }
  const void* elements = data(tensor).data();
  if (tensor.dtype == DType::kBf16) return {kernels::WeightType::kBf16, elements, nullptr};
  return {kernels::WeightType::kS8, elements, f32(scales, {rows})};
}

const float* Container::f32(std::string_view name, std::initializer_list<int64_t> shape) const {
  const std::string quoted = printable(name);
  const TensorInfo* tensor = &at(name);
  const bool same_shape =
      std::equal(shape.begin(), shape.end(), tensor->shape.begin(), tensor->shape.end());
  if (tensor->dtype != DType::kF32 || !same_shape) {
    fail(Status::kBadFile, "%s: tensor \"%s\" is %s %s, not f32 %s", path().c_str(), quoted.c_str(),
         name_of(tensor->dtype), shape_text(tensor->shape).c_str(),
         shape_text({shape.begin(), shape.size()}).c_str());
  }
  return reinterpret_cast<const float*>(data(*tensor).data());
}

void Container::release_pages(const TensorInfo& tensor) const { impl_->file.release(data(tensor)); }

}  // namespace headlane
