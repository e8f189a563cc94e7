#include "tools/headlane/output_file.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <stdexcept>
#include <system_error>

namespace tool {
namespace {

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

// The temporary is a file of its own: "x" is O_EXCL, which neither follows a link nor empties a
// file that is there.
OutputFile::OutputFile(const std::string& path) : path_(path), target_(file_to_replace(path)) {
  constexpr int kAttempts = 1000;
  for (int attempt = 0; file_ == nullptr; ++attempt) {
    temporary_ = target_ + ".tmp" + std::to_string(getpid()) + "-" + std::to_string(attempt);
    file_ = std::fopen(temporary_.c_str(), "wbx");
    if (file_ == nullptr && (errno != EEXIST || attempt == kAttempts)) fail();
  }
}

OutputFile::~OutputFile() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  std::remove(temporary_.c_str());
}

void OutputFile::fail() const {
  throw std::runtime_error(path_ + ": " + std::system_category().message(errno));
}

void OutputFile::write(const void* data, size_t bytes) {
  if (bytes == 0) return;  // data may be null, which fwrite does not take
  if (std::fwrite(data, 1, bytes, file_) != bytes) fail();
}

void OutputFile::rewind() {
  if (std::fseek(file_, 0, SEEK_SET) != 0) fail();
}

void OutputFile::finish() {
  std::FILE* file = file_;
  file_ = nullptr;
  if (std::fclose(file) != 0 || std::rename(temporary_.c_str(), target_.c_str()) != 0) {
    const int error = errno;
    std::remove(temporary_.c_str());
    errno = error;
    fail();
  }
}

void write_output(const std::string& path, std::string_view contents) {
  OutputFile file(path);
  file.write(contents.data(), contents.size());
  file.finish();
}

}  // namespace tool
