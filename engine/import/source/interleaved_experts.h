// The experts of gpt-oss's folders as other mixtures have them: tensors gate_proj, up_proj and
// down_proj [n, rows, k], and their biases [n, rows]. The folder has the rows of gate and up by
// turns in one tensor: as the transpose of each expert's, or as codes of MXFP4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "engine/import/source/checkpoint.h"
#include "engine/import/source/safetensors.h"

namespace headlane {

class InterleavedExperts : public Checkpoint {
 public:
  // `tensors` must outlive it. `coded`: config.json says that experts are in MXFP4. Throws Error
  // that names a tensor: kUnsupported if it is of the other kind, or has a type or shape that it
  // cannot have.
  InterleavedExperts(const SafetensorsModel& tensors, bool coded);

  std::vector<std::string> names() const override;
  bool contains(const std::string& name) const override;
  const std::vector<int64_t>& shape_of(const std::string& name) const override;
  void read(const std::string& name, int64_t first, std::span<float> to) const override;
  // Codes of MXFP4 are as of GGUF files.
  GroupFormat group_format_of(const std::string& name) const override;
  void read_groups(const std::string& name, int64_t first, std::span<std::byte> to) const override;

 protected:
  std::string where(const std::string& name) const override;
  void check_type(const std::string& name) const override;

 private:
  enum class Kind { kTransposed, kCoded, kBias };
  // Rows first, first + step, ... of each expert's in a tensor of the folder.
  struct Part {
    Kind kind;
    std::string source, scales;  // scales: of kCoded alone
    int64_t first = 0, step = 1;
    std::vector<int64_t> shape;  // [n, rows, k], or [n, rows] of biases

    int64_t rows() const { return shape[1]; }
    int64_t k() const { return shape.size() > 2 ? shape[2] : 1; }
  };

  void add(const std::string& experts, const std::string& product, Kind kind);
  std::vector<int64_t> shape_in_folder(const std::string& source, size_t n_sizes) const;
  // n rows from `row` on of all experts' rows beneath each other.
  void read_rows(const Part& part, int64_t row, int64_t n, float* to) const;
  void read_transposed(const Part& part, int64_t expert, int64_t row, int64_t n, float* to) const;
  void read_biases(const Part& part, int64_t expert, int64_t row, int64_t n, float* to) const;
  // Such rows in blocks of GGUF's type MXFP4.
  std::vector<std::byte> read_blocks(const Part& part, int64_t expert, int64_t row,
                                     int64_t n) const;

  const SafetensorsModel& tensors_;
  std::map<std::string, Part> parts_;
  std::set<std::string> sources_;
};

}  // namespace headlane
