// NumPy's .npy files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/headlane/output_file.h"

namespace tool {

// An array of float32 or of booleans, in C order.
struct NpyArray {
  std::vector<int64_t> shape;
  bool is_bool = false;
  std::vector<float> values;   // of float32
  std::vector<uint8_t> truth;  // of booleans: 0 or 1
  int64_t size() const;
};

// Throws std::runtime_error that names the path and what is wrong, also for other types and orders.
NpyArray read_npy(const std::string& path);
void write_npy(const std::string& path, const std::vector<int64_t>& shape, const float* values);

// Writes a float32 file row by row: the number of rows is known only at the end.
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
