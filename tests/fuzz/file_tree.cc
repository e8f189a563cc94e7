#include "tests/fuzz/file_tree.h"

#include <algorithm>
#include <cstring>

#include "tests/fuzz/json_change.h"

namespace headlane::fuzz {
namespace {

using nlohmann::json;

constexpr size_t kPrefix = 24, kAlignment = 64;

int64_t number(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_integer() ? found->get<int64_t>() : -1;
}

TreeTensor read_tensor(const json& entry, std::string_view file) {
  TreeTensor tensor;
  if (!entry.is_object()) return tensor;
  if (const auto it = entry.find("name"); it != entry.end() && it->is_string()) tensor.name = *it;
  if (const auto it = entry.find("dtype"); it != entry.end() && it->is_string()) tensor.dtype = *it;
  if (const auto it = entry.find("shape"); it != entry.end() && it->is_array()) {
    for (const json& size : *it) {
      tensor.shape.push_back(size.is_number_integer() ? size.get<int64_t>() : -1);
    }
  }
  const int64_t offset = number(entry, "offset"), bytes = number(entry, "bytes");
  const auto file_bytes = static_cast<int64_t>(file.size());
  if (offset >= 0 && bytes >= 0 && offset <= file_bytes && bytes <= file_bytes - offset) {
    tensor.data = file.substr(offset, bytes);
  }
  return tensor;
}

size_t align_up(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

json table_of(const FileTree& tree, size_t data_begin) {
  json table = json::array();
  size_t offset = data_begin;
  for (const TreeTensor& tensor : tree.tensors) {
    table.push_back({{"name", tensor.name},
                     {"dtype", tensor.dtype},
                     {"shape", tensor.shape},
                     {"offset", offset},
                     {"bytes", tensor.data.size()}});
    offset = align_up(offset + tensor.data.size());
  }
  return table;
}

}  // namespace

std::optional<FileTree> read_tree(std::string_view file) {
  uint64_t header_bytes = 0;
  if (file.size() < kPrefix) return std::nullopt;
  std::memcpy(&header_bytes, file.data() + 16, sizeof header_bytes);
  if (header_bytes > file.size() - kPrefix) return std::nullopt;
  const std::optional<json> header = parse_shallow(file.substr(kPrefix, header_bytes));
  if (!header || !header->is_object()) return std::nullopt;
  FileTree tree;
  tree.config = header->value("config", json());
  tree.tokenizer = header->value("tokenizer", json());
  size_t end = kPrefix + header_bytes;
  if (const auto table = header->find("tensors"); table != header->end() && table->is_array()) {
    for (const json& entry : *table) {
      tree.tensors.push_back(read_tensor(entry, file));
      if (!tree.tensors.back().data.empty()) {
        end = std::max<size_t>(end, number(entry, "offset") + tree.tensors.back().data.size());
      }
    }
  }
  tree.tail = file.substr(end);
  return tree;
}

std::string write_tree(const FileTree& tree, void (*lie)(json* header, uint64_t how),
                       uint64_t how) {
  json header = {{"config", tree.config}, {"tokenizer", tree.tokenizer}};
  // Offsets are part of the header whose length they depend on: a header with room for all.
  header["tensors"] = table_of(tree, size_t{1} << 30);
  const size_t header_bytes = align_up(kPrefix + dump(header).size() + 512) - kPrefix;
  header["tensors"] = table_of(tree, kPrefix + header_bytes);
  if (lie) lie(&header, how);
  std::string text = dump(header);
  text.resize(std::max(header_bytes, text.size()), ' ');

  std::string file = "HEADLANE";
  const uint32_t version_and_reserved[] = {2, 0};
  const uint64_t length = text.size();
  file.append(reinterpret_cast<const char*>(version_and_reserved), sizeof version_and_reserved);
  file.append(reinterpret_cast<const char*>(&length), sizeof length);
  file += text;
  for (const TreeTensor& tensor : tree.tensors) {
    file.resize(align_up(file.size()));
    file += tensor.data;
  }
  return file + tree.tail;
}

int64_t size_of_dtype(std::string_view dtype) {
  return dtype == "f32" ? 4 : dtype == "bf16" ? 2 : 1;
}

std::optional<size_t> bytes_of(const TreeTensor& tensor) {
  constexpr int64_t kMost = int64_t{1} << 20;
  int64_t bytes = size_of_dtype(tensor.dtype);
  for (const int64_t size : tensor.shape) {
    if (size < 0 || size > kMost) return std::nullopt;
    bytes *= size;
    if (bytes > kMost) return std::nullopt;
  }
  return bytes;
}

void fit_data(TreeTensor* tensor) {
  const std::optional<size_t> bytes = bytes_of(*tensor);
  if (!bytes) return;
  const size_t before = tensor->data.size();
  tensor->data.resize(*bytes, '\0');
  for (size_t i = before; before > 0 && i < *bytes; ++i) tensor->data[i] = tensor->data[i - before];
}

}  // namespace headlane::fuzz
