// The weights of a Hugging Face folder: model.safetensors, or the shards that
// model.safetensors.index.json lists. A .safetensors file is
//
//   offset 0   header length in bytes, u64, little endian
//          8   header: JSON   { "NAME": {"dtype", "shape", "data_offsets": [begin, end]}, ... }
//              data; the offsets count from here, and nothing is aligned
//
// Files are hostile until checked, as .headlane files are. A key "__metadata__" is skipped.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/file/input_file.h"

namespace headlane {

enum class SafetensorsType { kF32, kF16, kBF16, kF64, kOther };

struct SafetensorsEntry {
  SafetensorsType type = SafetensorsType::kOther;
  std::string type_name;  // as in the file, for messages
  std::vector<int64_t> shape;
  int64_t offset = 0, bytes = 0;  // in the file, inside of it
};

// The elements of a tensor as f32.
class F32Data {
 public:
  explicit F32Data(std::vector<float> values) : values_(std::move(values)) {}
  F32Data(F32Data&&) = default;
  F32Data& operator=(F32Data&&) = default;

  std::span<const float> values() const { return values_; }

 private:
  std::vector<float> values_;
};

// One file. Throws Error(kIo, kBadFile, or kUnsupported for a dtype it does not know).
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path);
  const std::string& path() const { return file_.path(); }
  const std::unordered_map<std::string, SafetensorsEntry>& entries() const { return entries_; }
  // The elements of one of them. Throws Error: kUnsupported if they are no floats, or as InputFile.
  F32Data load_f32(const std::string& name) const;

 private:
  InputFile file_;
  std::unordered_map<std::string, SafetensorsEntry> entries_;
};

// All files of a model.
class SafetensorsModel {
 public:
  // Throws Error(kIo) if `dir` has neither model.safetensors nor the index.
  explicit SafetensorsModel(const std::string& dir);
  // All tensors of one file.
  static SafetensorsModel of_file(const std::string& path);

  std::vector<std::string> names() const;
  // Of a tensor that is there.
  const std::vector<int64_t>& shape_of(const std::string& name) const;
  bool contains(const std::string& name) const { return files_by_tensor_.contains(name); }
  // The tensor, which must have this shape and a floating type.
  // Throws Error: kBadFile if it is missing or of another shape, kUnsupported if of another type.
  F32Data load_f32(const std::string& name, const std::vector<int64_t>& shape) const;

 private:
  SafetensorsModel() = default;
  void open_single(const std::string& path);
  void open_shards(const std::string& dir, const std::string& index_path);

  std::string list_path_;  // the file that says which tensors there are, for messages
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::unordered_map<std::string, const SafetensorsFile*> files_by_tensor_;
};

// IEEE 754 half and bfloat16 bits to f32; exact, since f32 holds every value of both.
float f32_from_f16(uint16_t bits);
float f32_from_bf16(uint16_t bits);

}  // namespace headlane
