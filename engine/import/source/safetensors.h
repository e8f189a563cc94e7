// The weights of a Hugging Face folder: model.safetensors, or the shards that
// model.safetensors.index.json lists. A .safetensors file is
//
//   offset 0   header length in bytes, u64, little endian
//          8   header: JSON   { "NAME": {"dtype", "shape", "data_offsets": [begin, end]}, ... }
//              data; the offsets count from here, and nothing is aligned
//
// Files are hostile until checked, as .headlane files are. A key "__metadata__" is skipped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/file/input_file.h"
#include "engine/import/source/checkpoint.h"

namespace headlane {

enum class SafetensorsType { kF32, kF16, kBF16, kF64, kOther };

struct SafetensorsEntry {
  SafetensorsType type = SafetensorsType::kOther;
  std::string type_name;  // as in the file, for messages
  std::vector<int64_t> shape;
  int64_t offset = 0, bytes = 0;  // in the file, inside of it
};

// One file. Throws Error(kIo, kBadFile, or kUnsupported for a dtype it does not know).
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path);
  const std::string& path() const { return file_.path(); }
  const std::unordered_map<std::string, SafetensorsEntry>& entries() const { return entries_; }
  // As Checkpoint: of an entry of this file.
  void check_type(const std::string& name) const;
  void read(const std::string& name, int64_t first, std::span<float> to) const;
  // Bytes from `first` on of an entry of any type, which must have so many.
  void read_bytes(const std::string& name, int64_t first, std::span<std::byte> to) const;

 private:
  InputFile file_;
  std::unordered_map<std::string, SafetensorsEntry> entries_;
};

// All files of a model.
class SafetensorsModel : public Checkpoint {
 public:
  // Throws Error(kIo) if `dir` has neither model.safetensors nor the index.
  explicit SafetensorsModel(const std::string& dir);
  // All tensors of one file.
  static SafetensorsModel of_file(const std::string& path);
  // One more file, whose tensors are called `prefix` and their name in the file. Returns these
  // names.
  std::vector<std::string> add_file(const std::string& path, const std::string& prefix);

  // Tensors are called what `name_of` makes of their names from now on; those of which it makes ""
  // are left out. Returns how many. Throws Error(kBadFile) if two get the same name.
  int64_t rename(std::string (*name_of)(const std::string& name));

  std::vector<std::string> names() const override;
  bool contains(const std::string& name) const override { return places_.contains(name); }
  const std::vector<int64_t>& shape_of(const std::string& name) const override;
  void read(const std::string& name, int64_t first, std::span<float> to) const override;

  // Tensors that are no weights as they are, of any type; each must be there.
  const SafetensorsEntry& entry_of(const std::string& name) const;
  void read_bytes(const std::string& name, int64_t first, std::span<std::byte> to) const;
  // All elements of a small one, of type I32 or I64.
  std::vector<int64_t> read_integers(const std::string& name) const;

  std::string where(const std::string& name) const override;
  void check_type(const std::string& name) const override;

 private:
  SafetensorsModel() = default;
  void open_single(const std::string& path);
  void open_shards(const std::string& dir, const std::string& index_path);

  std::string list_path_;  // the file that says which tensors there are, for messages
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  struct Place {
    const SafetensorsFile* file = nullptr;
    std::string name;  // in the file
  };
  std::unordered_map<std::string, Place> places_;
  std::vector<std::pair<std::string, std::string>> added_;  // prefixes, and the files of each
};

// IEEE 754 half and bfloat16 bits to f32; exact, since f32 holds every value of both.
float f32_from_f16(uint16_t bits);
float f32_from_bf16(uint16_t bits);

}  // namespace headlane
