// A .headlane file taken apart, so that a part can be changed and the rest fitted to it. It reads
// the format by itself, from its description in engine/file/container.h: what the engine refuses
// can still be a tree.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace headlane::fuzz {

struct TreeTensor {
  std::string name, dtype;
  std::vector<int64_t> shape;
  std::string data;
};

struct FileTree {
  nlohmann::json config, tokenizer;
  std::vector<TreeTensor> tensors;
  std::string tail;  // after the last tensor
};

// Nothing if there is no header that can be read. Tensors whose place is not in the file have no
// data.
std::optional<FileTree> read_tree(std::string_view file);

// Lengths, offsets and padding are those of the tree, and `lie`, if given, is called on the
// header's JSON afterwards.
std::string write_tree(const FileTree& tree, void (*lie)(nlohmann::json* header, uint64_t how),
                       uint64_t how);

int64_t size_of_dtype(std::string_view dtype);  // 1 for those unknown

// Bytes that the shape says there should be; nothing if negative or over 2^20.
std::optional<size_t> bytes_of(const TreeTensor& tensor);

// Cuts or repeats the data to what the shape says, if that is not too much.
void fit_data(TreeTensor* tensor);

}  // namespace headlane::fuzz
