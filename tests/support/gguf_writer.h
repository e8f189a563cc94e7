// GGUF files for tests, field by field and tensor by tensor, right or wrong.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace headlane {

class GgufBytes {
 public:
  template <typename T>
  GgufBytes& number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  GgufBytes& text(std::string_view value) {
    number<uint64_t>(value.size());
    bytes_ += value;
    return *this;
  }
  GgufBytes& raw(std::string_view value) {
    bytes_ += value;
    return *this;
  }

  // The beginning of a file, and its fields.
  GgufBytes& begin(uint64_t n_tensors, uint64_t n_fields, uint32_t version = 3) {
    return raw("GGUF").number(version).number(n_tensors).number(n_fields);
  }
  GgufBytes& text_field(std::string_view key, std::string_view value) {
    return text(key).number<uint32_t>(8).text(value);
  }
  GgufBytes& u32_field(std::string_view key, uint32_t value) {
    return text(key).number<uint32_t>(4).number(value);
  }
  GgufBytes& f32_field(std::string_view key, float value) {
    return text(key).number<uint32_t>(6).number(value);
  }
  // Dimensions as the file has them, the last one first.
  GgufBytes& tensor(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type,
                    uint64_t offset) {
    text(name).number(static_cast<uint32_t>(dims.size()));
    for (const uint64_t dim : dims) number(dim);
    return number(type).number(offset);
  }
  GgufBytes& align(size_t alignment = 32) {
    while (bytes_.size() % alignment != 0) bytes_ += '\0';
    return *this;
  }

  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

}  // namespace headlane
