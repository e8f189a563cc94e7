#include "engine/file/container.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <unordered_map>

#include "engine/base/buffer.h"
#include "engine/base/error.h"
#include "engine/file/container_format.h"
#include "engine/file/container_header.h"
#include "engine/file/file_checksum.h"
#include "engine/file/json_fields.h"
#include "engine/file/row_table.h"
#include "engine/file/tensor_shape.h"

namespace headlane {

using json = Json;

struct Container::Impl {
  Impl(std::string name, ContainerHeader read) : path(std::move(name)), header(std::move(read)) {
    for (size_t i = 0; i < header.tensors.size(); ++i) index.emplace(header.tensors[i].name, i);
    for (const PanelsInfo& panels : header.panels) {
      panels_index.emplace(PanelsKey(panels.weight, panels.layout), &panels);
    }
  }

  // The system gives memory only to what is written to.
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  using Zeros = std::unique_ptr<void, Free>;
  static Zeros make_zeros(size_t bytes) {
    Zeros zeros(std::calloc(bytes, 1));
    if (zeros == nullptr) throw std::bad_alloc();
    return zeros;
  }

  size_t number_of(const TensorInfo& tensor) const {
    return static_cast<size_t>(&tensor - header.tensors.data());
  }

  std::string path;
  ContainerHeader header;
  std::unordered_map<std::string_view, size_t> index;               // views of the tensors' names
  using PanelsKey = std::pair<std::string_view, std::string_view>;  // weight and layout, views too
  std::map<PanelsKey, const PanelsInfo*> panels_index;
  int64_t bytes = 0;
  // The tensors that were read so far, if there is a file; otherwise all tensors.
  std::optional<InputFile> file;
  std::mutex reading;
  std::vector<Buffer> read;
  std::unordered_map<size_t, std::unique_ptr<RowTable>> tables;  // by the tensor's number
  std::vector<std::span<const std::byte>> given;
  Buffer copies;
  std::unordered_map<size_t, Zeros> zeros;  // by the tensor's number, where nothing was given
};

namespace {

// The table of tensors that stand one behind the other in some memory.
ContainerHeader header_of(json config, json tokenizer, std::span<const TensorSource> tensors,
                          int64_t* bytes) {
  ContainerHeader header{std::move(config), std::move(tokenizer), {}, {}, -1};
  *bytes = 0;
  for (const TensorSource& tensor : tensors) {
    const int64_t size = shape_bytes(tensor.shape, tensor.dtype).value_or(0);
    header.tensors.push_back({tensor.name, tensor.dtype, tensor.shape, *bytes, size});
    *bytes = container_format::align_up(header.tensors.back().end());
  }
  return header;
}

}  // namespace

Container Container::open(const std::string& path, const ContainerOptions& options) try {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    fail(Status::kIo,
         "%s: is a folder, not a .headlane file; `headlane convert` makes one of a model's folder",
         path.c_str());
  }
  InputFile file(path);
  refuse_lfs_pointer(file);
  container_format::Prefix prefix = {};
  const auto first = std::as_writable_bytes(std::span(&prefix, 1))
                         .first(std::min(sizeof prefix, static_cast<size_t>(file.bytes())));
  file.read(0, first);
  const int64_t header_bytes = read_prefix(first, file.bytes(), path);
  const std::string text = file.read_text(sizeof prefix, header_bytes);
  auto impl = std::make_unique<Impl>(path, read_header(text, file.bytes(), path));
  if (options.verify) verify_checksum(file, impl->header.checksum_offset);
  if (options.map) file.map();
  impl->bytes = file.bytes();
  impl->file = std::move(file);
  impl->read.resize(impl->header.tensors.size());
  return Container(std::move(impl));
} catch (const std::bad_alloc&) {
  fail(Status::kOutOfMemory, "%s: there is not enough memory for its header", path.c_str());
}

Container Container::view(const std::string& name, json config, json tokenizer,
                          std::span<const TensorSource> tensors) {
  int64_t bytes = 0;
  auto impl = std::make_unique<Impl>(
      name, header_of(std::move(config), std::move(tokenizer), tensors, &bytes));
  impl->bytes = bytes;
  for (const TensorSource& tensor : tensors) impl->given.push_back(tensor.data);
  return Container(std::move(impl));
}

Container Container::make(const std::string& name, json config,
                          std::span<const TensorSource> tensors) {
  Container made = view(name, std::move(config), nullptr, tensors);
  Impl& impl = *made.impl_;
  impl.copies = Buffer(static_cast<size_t>(impl.bytes));
  auto* const memory = static_cast<std::byte*>(impl.copies.data());
  for (size_t i = 0; i < tensors.size(); ++i) {
    std::byte* to = memory + impl.header.tensors[i].offset;
    std::copy(tensors[i].data.begin(), tensors[i].data.end(), to);
    impl.given[i] = {to, tensors[i].data.size()};
  }
  return made;
}

Container::Container(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Container::Container(Container&&) noexcept = default;
Container& Container::operator=(Container&&) noexcept = default;
Container::~Container() = default;

const std::string& Container::path() const { return impl_->path; }
const json& Container::config() const { return impl_->header.config; }
const json& Container::tokenizer() const { return impl_->header.tokenizer; }
int64_t Container::file_bytes() const { return impl_->bytes; }
const std::vector<TensorInfo>& Container::tensors() const { return impl_->header.tensors; }
int64_t Container::checksum_offset() const { return impl_->header.checksum_offset; }
const std::vector<PanelsInfo>& Container::panels() const { return impl_->header.panels; }
const std::byte* Container::mapped() const { return impl_->file ? impl_->file->mapped() : nullptr; }
const InputFile* Container::file() const { return impl_->file ? &*impl_->file : nullptr; }

const TensorInfo* Container::find(std::string_view name) const {
  const auto found = impl_->index.find(name);
  return found != impl_->index.end() ? &tensors()[found->second] : nullptr;
}

const PanelsInfo* Container::find_panels(std::string_view weight, std::string_view layout,
                                         int64_t bytes) const {
  const auto found = impl_->panels_index.find({weight, layout});
  const bool is_there = found != impl_->panels_index.end() && found->second->bytes == bytes;
  return is_there ? found->second : nullptr;
}

std::span<const std::byte> Container::data(const TensorInfo& tensor) const {
  const size_t i = impl_->number_of(tensor);
  const auto bytes = static_cast<size_t>(tensor.bytes);
  if (mapped() != nullptr) return {mapped() + tensor.offset, bytes};
  if (!impl_->file && impl_->given[i].size() == bytes) return impl_->given[i];
  const std::lock_guard lock(impl_->reading);
  if (!impl_->file) {
    Impl::Zeros& zeros = impl_->zeros[i];
    if (!zeros) zeros = Impl::make_zeros(bytes);
    return {static_cast<const std::byte*>(zeros.get()), bytes};
  }
  Buffer& read = impl_->read[i];
  if (read.data() == nullptr) {
    Buffer memory(bytes);
    impl_->file->read(tensor.offset, {static_cast<std::byte*>(memory.data()), bytes});
    read = std::move(memory);
  }
  return {static_cast<const std::byte*>(read.data()), bytes};
}

std::string Container::read_text(const TensorInfo& tensor) const {
  if (impl_->file) return impl_->file->read_text(tensor.offset, tensor.bytes);
  const std::span<const std::byte> bytes = data(tensor);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

const TensorInfo& Container::at(std::string_view name) const {
  const TensorInfo* tensor = find(name);
  if (tensor != nullptr) return *tensor;
  fail(Status::kBadFile, "%s: tensor \"%s\" is missing", path().c_str(), printable(name).c_str());
}

WeightRows Container::weight(std::string_view name, std::string_view scales, int64_t rows,
                             int64_t cols) const {
  const TensorInfo& tensor = at(name);
  if (tensor.dtype == Format::kU8 || tensor.shape != std::vector<int64_t>{rows, cols}) {
    fail(Status::kBadFile, "%s: tensor \"%s\" is %s %s, not %s %s", path().c_str(),
         printable(name).c_str(), name_of(tensor.dtype), shape_text(tensor.shape).c_str(),
         tensor.dtype == Format::kF32 ? "f32" : "a format of weights",
         shape_text(std::vector<int64_t>{rows, cols}).c_str());
  }
  WeightRows weight;
  weight.format = tensor.dtype;
  if (tensor.dtype == Format::kS8) weight.scale = f32(scales, {rows});
  if (impl_->file) {
    weight.file = &*impl_->file;
    weight.offset = tensor.offset;
  } else {
    weight.data = impl_->given[impl_->number_of(tensor)].data();
  }
  return weight;
}

WeightRows Container::row_table(std::string_view name, std::string_view scales, int64_t rows,
                                int64_t cols) const {
  WeightRows weight = this->weight(name, scales, rows, cols);
  if (!impl_->file) return weight;
  if (mapped() != nullptr) {
    weight.data = mapped() + weight.offset;
    return weight;
  }
  const std::lock_guard lock(impl_->reading);
  std::unique_ptr<RowTable>& table = impl_->tables[impl_->number_of(at(name))];
  if (!table) {
    table = std::make_unique<RowTable>(*weight.file, weight.offset, rows,
                                       row_bytes(weight.format, cols));
  }
  weight.table = table.get();
  weight.data = table->data();
  return weight;
}

const float* Container::f32(std::string_view name, std::initializer_list<int64_t> shape) const {
  const std::string quoted = printable(name);
  const TensorInfo* tensor = &at(name);
  const bool same_shape =
      std::equal(shape.begin(), shape.end(), tensor->shape.begin(), tensor->shape.end());
  if (tensor->dtype != Format::kF32 || !same_shape) {
    fail(Status::kBadFile, "%s: tensor \"%s\" is %s %s, not f32 %s", path().c_str(), quoted.c_str(),
         name_of(tensor->dtype), shape_text(tensor->shape).c_str(),
         shape_text({shape.begin(), shape.size()}).c_str());
  }
  return reinterpret_cast<const float*>(data(*tensor).data());
}

}  // namespace headlane
