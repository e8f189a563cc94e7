// Writes a float32 .npy file row by row: the number of rows is known only at the end.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

namespace tool {

class NpyWriter {
 public:
  // Writes to a temporary beside `path`, which finish() renames. `path` is a regular file, a link
  // to one, or free. Throws std::runtime_error.
  NpyWriter(const std::string& path, int64_t cols);
  ~NpyWriter();  // removes the temporary of a file that was not finished
  NpyWriter(const NpyWriter&) = delete;
  NpyWriter& operator=(const NpyWriter&) = delete;

  void append(const float* rows, int64_t n_rows);  // [n_rows, cols]
  void finish();

 private:
  void create_temporary();
  void write(const void* data, size_t bytes);
  void write_header();
  [[noreturn]] void fail() const;

  std::string path_;  // as the user wrote it, for messages
  std::string target_, temporary_;
  int64_t cols_;
  int64_t n_rows_ = 0;
  std::FILE* file_ = nullptr;
};

}  // namespace tool
