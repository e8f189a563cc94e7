#include "engine/file/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "engine/base/error.h"
#include "engine/file/input_file.h"

namespace headlane {
namespace {

namespace fs = std::filesystem;

constexpr int kAttempts = 1000;

// The file that `path` stands for, symbolic links followed, so that a rename replaces the file and
// not the link. What is there and is no regular file is refused: a rename would replace a device
// too. The tool has the same in output_file.cc, since it sees the C API only.
std::string file_to_replace(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    fail(Status::kIo, "%s: not a regular file, so it is not replaced", path.c_str());
  }
  if (error && status.type() != fs::file_type::not_found) {  // a circle of links, for one
    fail_io(path, "create", error.value());
  }
  fs::path file = path;
  while (fs::is_symlink(file, error)) file = file.parent_path() / fs::read_symlink(file, error);
  return file.string();
}

// Where a file without a name can be linked from.
std::string name_of_descriptor(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

}  // namespace

// Delegating, so that an exception while opening ends what was opened.
OutputFile::OutputFile(const std::string& path, Until until)
    : OutputFile(path, file_to_replace(path)) {
  if (until == Until::kNameless) open_nameless();
  if (fd_ < 0) open_named();
}

OutputFile::OutputFile(const std::string& path, std::string target)
    : path_(path), target_(std::move(target)) {}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

// Leaves fd_ as it is where that cannot be: the reason, if it is the folder's, open_named() finds.
void OutputFile::open_nameless() {
  const fs::path folder = fs::path(target_).parent_path();
  const char* name = folder.empty() ? "." : folder.c_str();
  fd_ = ::open(name, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0644);
  if (fd_ < 0 || ::access(name_of_descriptor(fd_).c_str(), F_OK) == 0) return;
  ::close(std::exchange(fd_, -1));  // no /proc
}

std::string OutputFile::next_name() {
  static std::atomic<unsigned> counter{0};
  ++n_names_;
  return target_ + ".tmp" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
}

// Unlike mkstemp's, this name costs no 0600 that would have to be widened by the umask, which
// cannot be read without changing it. O_EXCL makes it as safe.
void OutputFile::open_named() {
  while (fd_ < 0) {
    std::string name = next_name();
    fd_ = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd_ >= 0) {
      temporary_ = std::move(name);
    } else if (errno != EEXIST || n_names_ > kAttempts) {
      fail_io(path_, "create", errno);
    }
  }
}

void OutputFile::write(std::span<const std::byte> bytes) {
  constexpr size_t kMaxWrite = size_t{1} << 30;  // Linux writes at most 2 GiB - 4 KiB at once
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), std::min(bytes.size(), kMaxWrite));
    if (n < 0 && errno != EINTR) fail_io(path_, "write", errno);
    if (n > 0) bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

// Gives the nameless file its name, or, where the target is there already, which no link replaces,
// another one.
void OutputFile::link() {
  const std::string from = name_of_descriptor(fd_);
  const auto link_to = [&](const std::string& to) {
    return ::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) == 0;
  };
  if (link_to(target_)) return;
  while (errno == EEXIST && n_names_ <= kAttempts) {
    std::string name = next_name();
    if (link_to(name)) {
      temporary_ = std::move(name);
      return;
    }
  }
  fail_io(path_, "create", errno);
}

void OutputFile::commit() {
  if (::fsync(fd_) != 0) fail_io(path_, "write", errno);
  if (temporary_.empty()) link();
  if (::close(std::exchange(fd_, -1)) != 0) fail_io(path_, "write", errno);
  if (temporary_.empty()) return;
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail_io(path_, "replace", errno);
  temporary_.clear();
}

}  // namespace headlane
