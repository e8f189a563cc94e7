// Makes .safetensors files for tests.
#pragma once

#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace headlane {

struct TestTensor {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  std::string data;
};

template <typename Element>
std::string data_of(const std::vector<Element>& values) {
  if (values.empty()) return {};
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Element)};
}

inline TestTensor f32_tensor(const std::string& name, const std::vector<int64_t>& shape,
                             const std::vector<float>& values) {
  return {name, "F32", shape, data_of(values)};
}

// A file with this header's text, whatever it says.
inline std::string safetensors_file(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
}

// Tensors one after the other. The data begin at `alignment` (a power of two) plus `skew`.
inline std::string safetensors_bytes(const std::vector<TestTensor>& tensors, size_t alignment = 8,
                                     size_t skew = 0) {
  nlohmann::json header = {{"__metadata__", {{"format", "pt"}}}};
  std::string data;
  for (const TestTensor& tensor : tensors) {
    header[tensor.name] = {{"dtype", tensor.dtype},
                           {"shape", tensor.shape},
                           {"data_offsets", {data.size(), data.size() + tensor.data.size()}}};
    data += tensor.data;
  }
  std::string text = header.dump();
  while ((8 + text.size()) % alignment != skew) text += ' ';
  return safetensors_file(text, data);
}

}  // namespace headlane
