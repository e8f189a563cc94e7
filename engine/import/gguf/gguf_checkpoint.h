// The tensors of a GGUF model, under the names and in the form that Hugging Face folders have them
// in, so that a family's importer reads both.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/import/source/checkpoint.h"
#include "engine/import/source/gguf_file.h"

namespace headlane {

// llama.cpp's converter changed a tensor in these ways, which reading undoes.
struct GgufForm {
  // Heads of a weight whose rows were put into another order: of each head, row i of its first half
  // became row 2 i, and row i of its second half row 2 i + 1. 0: the rows are as they were.
  int64_t heads = 0;
  bool plus_one = false;  // 1 was added to each element
};

struct GgufTensor {
  std::string source;  // its name in the file
  GgufForm form;
};

// All files of a model: one, or those that the field "split.count" counts.
class GgufCheckpoint : public Checkpoint {
 public:
  // Throws Error as GgufFile, and if files of a split are missing or are not of one model.
  explicit GgufCheckpoint(const std::string& path);

  const std::string& path() const { return files_.front()->path(); }
  // Throws Error if `out_path` is one of its files.
  void refuse_to_be_replaced(const std::string& out_path) const;
  const Json& fields() const { return files_.front()->fields(); }
  // The tensor of the file, or null.
  const GgufEntry* entry(const std::string& source) const;

  // `names` are the tensors by the names that importers ask for. All others keep their own, except
  // that those `left_out` are not there any more.
  void set_names(const std::map<std::string, GgufTensor>& names,
                 std::span<const std::string> left_out = {});

  std::vector<std::string> names() const override;
  bool contains(const std::string& name) const override;
  const std::vector<int64_t>& shape_of(const std::string& name) const override;
  void read(const std::string& name, int64_t first, std::span<float> to) const override;
  GroupFormat group_format_of(const std::string& name) const override;
  void read_groups(const std::string& name, int64_t first, std::span<std::byte> to) const override;

 protected:
  std::string where(const std::string& name) const override;
  void check_type(const std::string& name) const override;

 private:
  void add_splits(const std::string& path, int64_t count);
  void add_file(const std::string& path);
  const GgufFile& file_of(const std::string& source) const;
  const GgufTensor& tensor(const std::string& name) const { return names_.at(name); }
  // Where the row of a reordered tensor is in the file.
  static int64_t stored_row(const GgufTensor& tensor, int64_t n_rows, int64_t row);
  void read_reordered(const GgufTensor& tensor, int64_t first, std::span<float> to) const;

  std::vector<std::unique_ptr<GgufFile>> files_;
  std::map<std::string, const GgufFile*> places_;  // by their names in the files
  std::map<std::string, GgufTensor> names_;
};

}  // namespace headlane
