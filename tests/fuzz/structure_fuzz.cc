// The binary file, mutated as what it is: fields of its config and tokenizer, tensors, and all that
// has the same size at once, with lengths, offsets and data fitted to the change. What comes out is
// mostly well framed, so it gets to the checks of sizes, tokenizers and graphs behind the framing,
// and, where the change is consistent, to a run. Inputs are files, the same as model_file's.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/fuzz/file_tree.h"
#include "tests/fuzz/json_change.h"
#include "tests/fuzz/one_model.h"

namespace headlane::fuzz {
namespace {

using nlohmann::json;

// A size of the config becomes another wherever it is found, in the shapes too: a config that is
// consistent stays so, mostly.
void change_everywhere(FileTree* tree, Random* random) {
  json* chosen = any_node(&tree->config, random);
  if (!chosen->is_number_integer()) return;
  const int64_t from = chosen->get<int64_t>();
  const int64_t to = std::clamp<int64_t>(other_integer(from, random), 0, 300);
  if (from < 2 || from > 4096) return;
  const bool only_here = random->one_in(3);
  if (only_here) {
    *chosen = to;
  } else {
    std::vector<json*> nodes;
    collect(&tree->config, &nodes);
    for (json* node : nodes) {
      if (node->is_number_integer() && node->get<int64_t>() == from) *node = to;
    }
  }
  for (TreeTensor& tensor : tree->tensors) {
    if (tensor.dtype == "u8") continue;
    for (int64_t& size : tensor.shape) {
      for (const int64_t times : {1, 2, 3}) {
        if (size == from * times) {
          size = to * times;
          break;
        }
      }
    }
    fit_data(&tensor);
  }
}

void change_floats(TreeTensor* tensor, Random* random) {
  constexpr float kMost = std::numeric_limits<float>::max();
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const float values[] = {0, -0.0f, std::nanf(""), kInf, -kInf, kMost, -kMost, 1e-42f, 1, -1e10f};
  const float value = values[random->below(std::size(values))];
  const size_t n = tensor->data.size() / sizeof value;
  if (n == 0) return;
  for (size_t i = random->below(n); i < n; i += 1 + random->below(n)) {
    std::memcpy(tensor->data.data() + i * sizeof value, &value, sizeof value);
    if (random->one_in(2)) return;
  }
}

void change_data(TreeTensor* tensor, Random* random) {
  if (tensor->dtype == "f32" && !random->one_in(4)) return change_floats(tensor, random);
  if (tensor->dtype != "u8") {
    tensor->data = mutated(tensor->data, tensor->data.size());
    return fit_data(tensor);
  }
  // The tokenizer's own formats, which have no size of their own. A window, so that the mutation is
  // not lost in a long vocabulary.
  const size_t begin = random->below(tensor->data.size() + 1);
  const size_t n = std::min<size_t>(tensor->data.size() - begin, 1 + random->below(64));
  const std::string part = mutated(tensor->data.substr(begin, n), n + 16);
  tensor->data.replace(begin, n, part);
  tensor->shape = {static_cast<int64_t>(tensor->data.size())};
}

void change_shape(TreeTensor* tensor, Random* random) {
  if (tensor->shape.empty() || random->one_in(6)) {
    tensor->shape.push_back(1);
  } else if (random->one_in(6)) {
    tensor->shape.pop_back();
  } else if (random->one_in(4)) {
    std::reverse(tensor->shape.begin(), tensor->shape.end());
  } else {
    int64_t& size = tensor->shape[random->below(tensor->shape.size())];
    size = other_integer(size, random);
  }
  fit_data(tensor);
}

void change_tensors(FileTree* tree, Random* random) {
  if (tree->tensors.empty()) return;
  const size_t i = random->below(tree->tensors.size());
  TreeTensor& tensor = tree->tensors[i];
  TreeTensor& other = tree->tensors[random->below(tree->tensors.size())];
  switch (random->below(9)) {
    case 0:
      return change_shape(&tensor, random);
    case 1:
      tensor.dtype = other_string(tensor.dtype, random);
      return fit_data(&tensor);
    case 2:
      tree->tensors.erase(tree->tensors.begin() + static_cast<int64_t>(i));
      return;
    case 3:
      tensor.name = random->one_in(2) ? mutated(tensor.name, tensor.name.size() + 4) : other.name;
      return;
    case 4:
      return std::swap(tensor.name, other.name);
    default:
      return change_data(random->one_in(2) ? &tensor : &tree->tensors.back(), random);
  }
}

// The table says what is not so.
void lie_about_table(json* header, uint64_t how) {
  Random random(how);
  json& table = (*header)["tensors"];
  if (table.empty()) return;
  json& entry = table[random.below(table.size())];
  switch (random.below(4)) {
    case 0:
      entry["offset"] = other_integer(entry["offset"].get<int64_t>(), &random);
      return;
    case 1:
      entry["bytes"] = other_integer(entry["bytes"].get<int64_t>(), &random);
      return;
    case 2:
      entry["offset"] = table[random.below(table.size())]["offset"];
      return;
    default:
      change_value(any_node(random.one_in(4) ? header : &table, &random), &random);
  }
}

void change(FileTree* tree, Random* random) {
  const bool has_tokenizer = tree->tokenizer.is_object();
  json* const root = has_tokenizer && random->one_in(3) ? &tree->tokenizer : &tree->config;
  switch (random->below(10)) {
    case 0:
    case 1:
    case 2:
      return change_value(any_node(root, random), random);
    case 3:
      return copy_value(root, random);
    case 4:
    case 5:
      return change_everywhere(tree, random);
    case 6:
      tree->tail.resize(random->below(16), 'x');  // picks the precision: see one_model.cc
      return;
    default:
      return change_tensors(tree, random);
  }
}

size_t put(const std::string& file, uint8_t* data, size_t max_size) {
  const size_t n = std::min(file.size(), max_size);
  std::copy_n(file.data(), n, data);
  return n;
}

}  // namespace
}  // namespace headlane::fuzz

using namespace headlane::fuzz;  // NOLINT(google-build-using-namespace): the entries of libFuzzer

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  Random random(seed);
  std::optional<FileTree> tree = read_tree({reinterpret_cast<const char*>(data), size});
  if (!tree || random.one_in(50)) return LLVMFuzzerMutate(data, size, max_size);
  for (uint64_t n = 1 + random.below(3); n > 0; --n) change(&*tree, &random);
  const bool lies = random.one_in(12);
  return put(write_tree(*tree, lies ? lie_about_table : nullptr, random.next()), data, max_size);
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* data1, size_t size1,
                                            const uint8_t* data2, size_t size2, uint8_t* out,
                                            size_t max_size, unsigned int seed) {
  Random random(seed);
  std::optional<FileTree> tree = read_tree({reinterpret_cast<const char*>(data1), size1});
  std::optional<FileTree> other = read_tree({reinterpret_cast<const char*>(data2), size2});
  if (!tree || !other) return 0;
  if (random.one_in(2)) {
    for (auto field = other->config.begin(); field != other->config.end(); ++field) {
      if (tree->config.is_object() && other->config.is_object() && random.one_in(8)) {
        tree->config[field.key()] = *field;
      }
    }
  } else if (random.one_in(2)) {
    tree->tokenizer = other->tokenizer;
  }
  for (const TreeTensor& tensor : other->tensors) {
    if (random.one_in(4)) continue;
    const auto found = std::ranges::find(tree->tensors, tensor.name, &TreeTensor::name);
    if (found != tree->tensors.end()) {
      *found = tensor;
    } else if (tensor.dtype == "u8" || random.one_in(2)) {
      tree->tensors.push_back(tensor);
    }
  }
  return put(write_tree(*tree, nullptr, 0), out, max_size);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  use_model_file({data, size});
  return 0;
}
