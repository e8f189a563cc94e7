#include "tools/headlane/npy.h"

#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace tool {

// The header has a fixed size, so that it can be written again once the number of rows is known.
constexpr size_t kHeaderBytes = 128;

NpyWriter::NpyWriter(const std::string& path, int64_t cols)
    : path_(path), temporary_(path + ".tmp" + std::to_string(getpid())), cols_(cols) {
  file_ = std::fopen(temporary_.c_str(), "wb");
  if (file_ == nullptr) fail();
  write_header();
}

NpyWriter::~NpyWriter() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  std::remove(temporary_.c_str());
}

void NpyWriter::fail() const {
  throw std::runtime_error(path_ + ": " + std::system_category().message(errno));
}

void NpyWriter::write(const void* data, size_t bytes) {
  if (std::fwrite(data, 1, bytes, file_) != bytes) fail();
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
  write(header.data(), header.size());
}

void NpyWriter::append(const float* rows, int64_t n_rows) {
  write(rows, static_cast<size_t>(n_rows * cols_) * sizeof(float));
  n_rows_ += n_rows;
}

void NpyWriter::finish() {
  if (std::fseek(file_, 0, SEEK_SET) != 0) fail();
  write_header();
  std::FILE* file = file_;
  file_ = nullptr;
  if (std::fclose(file) != 0 || std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    std::remove(temporary_.c_str());
    errno = error;
    fail();
  }
}

}  // namespace tool
