// A GGUF file, in which llama.cpp and its relatives keep a model:
//
//   offset 0   "GGUF", version u32 (2 or 3), number of tensors u64, number of fields u64
//              fields: key, type u32, value
//              tensors: name, number of dimensions u32, dimensions u64 (the last one first),
//                type u32, offset u64
//              zeros to the next multiple of the field "general.alignment", or of 32
//              data; the offsets of tensors count from here
//
// A key, a name or a string is its length u64 and its bytes; an array is the type of its elements
// u32, their number u64, and they. All numbers are little endian. Files are hostile until checked.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "engine/file/input_file.h"
#include "engine/file/json.h"
#include "engine/import/source/gguf_types.h"

namespace headlane {

struct GgufEntry {
  const GgufType* type = nullptr;
  std::vector<int64_t> shape;     // in our order, the rows first
  int64_t offset = 0, bytes = 0;  // in the file, inside of it
};

class GgufFile {
 public:
  // Throws Error: kIo; kBadFile; kUnsupported for another version, arrays of arrays, or a type that
  // it does not know.
  explicit GgufFile(const std::string& path);

  const std::string& path() const { return file_.path(); }
  // An object: keys of strings, numbers, booleans, and arrays of one of these.
  const Json& fields() const { return fields_; }
  const std::map<std::string, GgufEntry>& entries() const { return entries_; }
  // "FILE: tensor "NAME"", which messages begin with.
  std::string where(const std::string& name) const;

  // These are as Checkpoint's, and `name` is an entry of this file.
  void check_type(const std::string& name) const;
  void read(const std::string& name, int64_t first, std::span<float> to) const;
  // `to` is whole rows in the format of the entry's type, from row `first` on; the type has
  // to_groups.
  void read_groups(const std::string& name, int64_t first, std::span<std::byte> to) const;

 private:
  InputFile file_;
  Json fields_;
  std::map<std::string, GgufEntry> entries_;
};

}  // namespace headlane
