#include "tools/headlane/output/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace tool {
namespace {

constexpr int kAttempts = 1000;

// The file that `path` stands for, symbolic links followed, so that a rename replaces the file and
// not the link. What is there and is no regular file is refused: a rename would replace a device
// too. The engine does the same for .headlane files.
std::string file_to_replace(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    throw std::runtime_error(path +
                             ": neither a regular file, which would be replaced, nor a pipe "
                             "or a character device, which would be written to");
  }
  if (error && status.type() != fs::file_type::not_found) {  // a circle of links, for one
    throw std::runtime_error(path + ": " + error.message());
  }
  fs::path file = path;
  while (fs::is_symlink(file, error)) file = file.parent_path() / fs::read_symlink(file, error);
  return file.string();
}

// Returns the descriptor for "-" and for names such as /dev/stdout, /dev/fd/3, /proc/self/fd/3; -1
// for another name. A descriptor's file has its place in it, which opening it by its name would
// lose.
int descriptor_named(const std::string& path) {
  namespace fs = std::filesystem;
  if (path == "-") return STDOUT_FILENO;
  std::error_code error;
  fs::path file = path;
  const fs::path own = fs::canonical("/proc/self", error);
  constexpr int kMostLinks = 40;
  for (int i = 0; i < kMostLinks && !error && fs::is_symlink(file, error); ++i) {
    const std::string name = file.filename().string();
    const fs::path folder = fs::canonical(fs::absolute(file, error).parent_path(), error);
    int fd = -1;
    const auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), fd);
    if (folder == own / "fd" && bad == std::errc() && *end == '\0') return fd;
    file = file.parent_path() / fs::read_symlink(file, error);
  }
  return -1;
}

// Where a file without a name can be linked from.
std::string name_of_descriptor(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

}  // namespace

OutputFile::OutputFile(const std::string& path)
    : path_(path == "-" ? "standard output" : path), is_stream_(open_stream(path)) {
  if (is_stream_) return;
  target_ = file_to_replace(path);
  open_nameless();
  if (file_ == nullptr) open_named();
}

OutputFile::~OutputFile() {
  if (file_ != nullptr) std::fclose(file_);
  if (!temporary_.empty()) std::remove(temporary_.c_str());
}

std::string OutputFile::next_name() {
  return target_ + ".tmp" + std::to_string(getpid()) + "-" + std::to_string(n_names_++);
}

// Does nothing and returns false where `path` is no such name.
bool OutputFile::open_stream(const std::string& path) {
  const int named = descriptor_named(path);
  std::error_code ignored;
  const auto type = std::filesystem::status(path, ignored).type();
  const bool by_name =
      type == std::filesystem::file_type::fifo || type == std::filesystem::file_type::character;
  if (named < 0 && !by_name) return false;
  const int fd = named >= 0 ? fcntl(named, F_DUPFD_CLOEXEC, 0)
                            : open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) fail();
  file_ = fdopen(fd, "wb");
  if (file_ == nullptr) {
    close(fd);
    fail();
  }
  return true;
}

// Leaves file_ as it is where the file system has no such files, or they could not be named later.
void OutputFile::open_nameless() {
  const std::filesystem::path folder = std::filesystem::path(target_).parent_path();
  const int fd =
      open(folder.empty() ? "." : folder.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
  if (fd < 0) return;
  if (access(name_of_descriptor(fd).c_str(), F_OK) == 0) file_ = fdopen(fd, "wb");
  if (file_ == nullptr) close(fd);
}

// "x" is O_EXCL, which neither follows a link nor empties a file that is there.
void OutputFile::open_named() {
  while (file_ == nullptr) {
    const std::string name = next_name();
    file_ = std::fopen(name.c_str(), "wbx");
    if (file_ != nullptr) {
      temporary_ = name;
    } else if (errno != EEXIST || n_names_ > kAttempts) {
      fail();
    }
  }
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

// Gives the nameless file its name, or, where the target is there already, which no link replaces,
// another one.
void OutputFile::link() {
  const std::string from = name_of_descriptor(fileno(file_));
  const auto link_to = [&](const std::string& to) {
    return linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) == 0;
  };
  if (link_to(target_)) return;
  while (errno == EEXIST && n_names_ <= kAttempts) {
    const std::string name = next_name();
    if (!link_to(name)) continue;
    temporary_ = name;
    return;
  }
  fail();
}

void OutputFile::finish() {
  if (std::fflush(file_) != 0) fail();
  if (!is_stream_ && temporary_.empty()) link();
  if (std::fclose(std::exchange(file_, nullptr)) != 0) fail();
  if (temporary_.empty()) return;
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) fail();
  temporary_.clear();
}

void write_output(const std::string& path, std::string_view contents) {
  OutputFile file(path);
  file.write(contents.data(), contents.size());
  file.finish();
}

}  // namespace tool
