#include "tools/headlane/npy.h"

namespace tool {
namespace {

// The header has a fixed size, so that it can be written again once the number of rows is known.
constexpr size_t kHeaderBytes = 128;

}  // namespace

NpyWriter::NpyWriter(const std::string& path, int64_t cols) : file_(path), cols_(cols) {
  write_header();
}

// NumPy's format, version 1.0: magic, version, length of the rest of the header, a Python literal
// padded with spaces and ended by a newline.
void NpyWriter::write_header() {
  std::string header("\x93NUMPY\x01\x00", 8);
  const size_t literal_bytes = kHeaderBytes - 10;
  header += static_cast<char>(literal_bytes & 0xff);
  header += static_cast<char>(literal_bytes >> 8);
  header += "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(n_rows_) + ", " +
            std::to_string(cols_) + "), }";
  header.resize(kHeaderBytes - 1, ' ');
  header += '\n';
  file_.write(header.data(), header.size());
}

void NpyWriter::append(const float* rows, int64_t n_rows) {
  file_.write(rows, static_cast<size_t>(n_rows * cols_) * sizeof(float));
  n_rows_ += n_rows;
}

void NpyWriter::finish() {
  file_.rewind();
  write_header();
  file_.finish();
}

}  // namespace tool
