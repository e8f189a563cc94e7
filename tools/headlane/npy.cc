#include "tools/headlane/npy.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <stdexcept>
#include <system_error>

namespace tool {
namespace {

// The header has a fixed size, so that it can be written again once the number of rows is known.
constexpr size_t kHeaderBytes = 128;

// The file that `path` stands for, symbolic links followed, so that a rename replaces the file and
// not the link. What is there and is no regular file is refused: a rename would replace a device
// too. The engine does the same for .headlane files.
std::string file_to_replace(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw std::runtime_error(path + ": not a regular file, so it is not replaced");
  }
  if (error && status.type() != fs::file_type::not_found) {  // a circle of links, for one
    throw std::runtime_error(path + ": " + error.message());
  }
  fs::path file = path;
  while (fs::is_symlink(file, error)) file = file.parent_path() / fs::read_symlink(file, error);
  return file.string();
}

}  // namespace

NpyWriter::NpyWriter(const std::string& path, int64_t cols)
    : path_(path), target_(file_to_replace(path)), cols_(cols) {
  create_temporary();
  write_header();
}

// A file of its own: "x" is O_EXCL, which neither follows a link nor empties a file that is there.
void NpyWriter::create_temporary() {
  constexpr int kAttempts = 1000;
  for (int attempt = 0; file_ == nullptr; ++attempt) {
    temporary_ = target_ + ".tmp" + std::to_string(getpid()) + "-" + std::to_string(attempt);
    file_ = std::fopen(temporary_.c_str(), "wbx");
    if (file_ == nullptr && (errno != EEXIST || attempt == kAttempts)) fail();
  }
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
  if (std::fclose(file) != 0 || std::rename(temporary_.c_str(), target_.c_str()) != 0) {
    const int error = errno;
    std::remove(temporary_.c_str());
    errno = error;
    fail();
  }
}

}  // namespace tool
