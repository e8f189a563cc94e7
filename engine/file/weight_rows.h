// Rows of a weight: what a file stores them as, and their way to the format that a product takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/kernels.h"

namespace headlane {

using kernels::Format;

class InputFile;
class RowTable;

// A matrix of a file, in whatever it stores: row i stands for scale[i] * data[i, ...] where there
// are scales.
struct WeightRows {
  Format format = Format::kF32;
  const void* data = nullptr;    // null: in `file`, at `offset`
  const float* scale = nullptr;  // [rows], of s8
  const InputFile* file = nullptr;
  int64_t offset = 0;
  RowTable* table = nullptr;  // who reads the rows of data; null: they are there
};

// The rows of a weight of k columns from `first` on; not of one with a table.
WeightRows rows_from(const WeightRows& weight, int64_t first, int64_t k);

// Where rows are put that are read from a file or converted. It grows to what it is used for.
class RowBuffer {
 public:
  // Rows first .. first + n of a weight of k columns, read where they are not there. Throws Error.
  // The rows that it returns are valid until the next call.
  WeightRows read(const WeightRows& weight, int64_t first, int64_t n, int64_t k);
  // Such rows in another format. Where that is theirs, they stay where they are. The kernels do not
  // matter: each set gives the same bits.
  WeightRows convert(const kernels::Table& kernels, const WeightRows& rows, int64_t n, int64_t k,
                     Format to);

 private:
  std::vector<std::byte> stored_, converted_;
  std::vector<float> floats_, scales_;
};

}  // namespace headlane
