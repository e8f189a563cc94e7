// NumPy's .npy files.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "tools/headlane/output/output_file.h"

namespace tool {

// An array of float32 or of booleans, in C order.
struct NpyArray {
  std::vector<int64_t> shape;
  bool is_bool = false;
  std::vector<float> values;   // of float32
  std::vector<uint8_t> truth;  // of booleans: 0 or 1
  int64_t size() const;
};

// "-": standard input. Throws std::runtime_error that names the path and what is wrong, also for
// other types and orders.
NpyArray read_npy(const std::string& path);
void write_npy(const std::string& path, const std::vector<int64_t>& shape, const float* values);

// Writes a float32 file row by row: the number of rows is known only at the end. Since it stands at
// the front, rows that go into a stream wait until then in a file without a name.
class NpyWriter {
 public:
  NpyWriter(const std::string& path, int64_t cols);

  void append(const float* rows, int64_t n_rows);  // [n_rows, cols]
  void finish();

 private:
  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  void write_header();
  void write_waiting();

  OutputFile file_;
  std::unique_ptr<std::FILE, CloseFile> waiting_;  // of a stream
  int64_t cols_;
  int64_t n_rows_ = 0;
};

}  // namespace tool
