#include "engine/file/input_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <new>
#include <string_view>
#include <system_error>
#include <utility>

#include "engine/base/error.h"

namespace headlane {

void fail_io(const std::string& path, const char* action, int error) {
  // Unlike strerror, message() is safe in threads.
  fail(Status::kIo, "%s: cannot %s: %s", path.c_str(), action,
       std::system_category().message(error).c_str());
}

InputFile::InputFile(const std::string& path) : path_(path) {
  // O_NONBLOCK: opening a pipe must not wait for its other end.
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd_ < 0) fail_io(path, "open", errno);
  try {
    struct stat info;
    if (::fstat(fd_, &info) != 0) fail_io(path, "open", errno);
    if (S_ISDIR(info.st_mode)) fail_io(path, "read", EISDIR);
    if (!S_ISREG(info.st_mode)) fail(Status::kIo, "%s: not a regular file", path.c_str());
    bytes_ = info.st_size;
    written_ = info.st_mtim;
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      bytes_(other.bytes_),
      written_(other.written_),
      map_(std::exchange(other.map_, nullptr)) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(bytes_, other.bytes_);
  std::swap(written_, other.written_);
  std::swap(map_, other.map_);
  return *this;
}

InputFile::~InputFile() {
  if (map_ != nullptr) {
    ::munmap(const_cast<std::byte*>(map_), static_cast<size_t>(bytes_));
  }
  if (fd_ >= 0) ::close(fd_);
}

void InputFile::map() {
  if (map_ != nullptr || bytes_ == 0) return;
  void* memory = ::mmap(nullptr, static_cast<size_t>(bytes_), PROT_READ, MAP_SHARED, fd_, 0);
  if (memory == MAP_FAILED && errno == ENOMEM) throw std::bad_alloc();
  if (memory == MAP_FAILED) fail_io(path_, "map", errno);
  map_ = static_cast<const std::byte*>(memory);
  check_unchanged();
}

void InputFile::read(int64_t offset, std::span<std::byte> to) const {
  assert(offset >= 0 && offset <= bytes_ && std::ssize(to) <= bytes_ - offset);
  constexpr size_t kMaxRead = size_t{1} << 30;  // Linux reads at most 2 GiB - 4 KiB at once
  while (!to.empty()) {
    const ssize_t n = ::pread(fd_, to.data(), std::min(to.size(), kMaxRead), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_io(path_, "read", errno);
    if (n == 0) {
      fail(Status::kBadFile, "%s was cut after it was opened: it had %lld bytes, and ends at %lld",
           path_.c_str(), static_cast<long long>(bytes_), static_cast<long long>(offset));
    }
    offset += n;
    to = to.subspan(static_cast<size_t>(n));
  }
  check_unchanged();
}

// After reading, so that what was read is of the file that was opened. A clock's tick, some
// milliseconds, is as exact as the system is about it.
void InputFile::check_unchanged() const {
  struct stat info;
  if (::fstat(fd_, &info) != 0) fail_io(path_, "read", errno);
  const bool same = info.st_size == bytes_ && info.st_mtim.tv_sec == written_.tv_sec &&
                    info.st_mtim.tv_nsec == written_.tv_nsec;
  if (same) return;
  fail(Status::kBadFile, "%s was %s after it was opened; open it anew", path_.c_str(),
       info.st_size < bytes_ ? "cut" : "written to");
}

std::string InputFile::read_text(int64_t offset, int64_t bytes) const {
  std::string text(static_cast<size_t>(bytes), '\0');
  read(offset, std::as_writable_bytes(std::span(text)));
  return text;
}

void refuse_lfs_pointer(const InputFile& file) {
  constexpr std::string_view kBegins = "version https://git-lfs.github.com/spec/";
  if (file.bytes() < std::ssize(kBegins)) return;
  if (file.read_text(0, std::ssize(kBegins)) != kBegins) return;
  fail(Status::kBadFile,
       "%s is not the file itself, only a pointer of git-lfs to it; fetch the file: run \"git lfs "
       "pull\" in its folder, or download it",
       file.path().c_str());
}

std::string read_whole_file(const std::string& path, int64_t max_bytes) {
  const InputFile file(path);
  refuse_lfs_pointer(file);
  if (file.bytes() > max_bytes) {
    fail(Status::kBadFile, "%s has %lld bytes; such a file may have %lld", path.c_str(),
         static_cast<long long>(file.bytes()), static_cast<long long>(max_bytes));
  }
  return file.read_text(0, file.bytes());
}

}  // namespace headlane
