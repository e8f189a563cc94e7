// Writes a float32 .npy file row by row: the number of rows is known only at the end.
#pragma once

#include <cstdint>
#include <string>

#include "tools/headlane/output_file.h"

namespace tool {

class NpyWriter {
 public:
  NpyWriter(const std::string& path, int64_t cols);

  void append(const float* rows, int64_t n_rows);  // [n_rows, cols]
  void finish();

 private:
  void write_header();

  OutputFile file_;
  int64_t cols_;
  int64_t n_rows_ = 0;
};

}  // namespace tool
