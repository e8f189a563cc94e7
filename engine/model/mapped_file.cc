#include "engine/model/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <cstdint>
#include <new>
#include <system_error>
#include <utility>

#include "engine/error.h"

namespace headlane {
namespace {

// Closes the descriptor when the mapping is made or fails: a mapping does not need it.
struct Descriptor {
  int fd;
  ~Descriptor() { ::close(fd); }
};

}  // namespace

void fail_io(const std::string& path, const char* action, int error) {
  // Unlike strerror, message() is safe in threads.
  fail(Status::kIo, "%s: cannot %s: %s", path.c_str(), action,
       std::system_category().message(error).c_str());
}

MappedFile::MappedFile(const std::string& path) : path_(path) {
  // O_NONBLOCK: opening a pipe must not wait for its other end.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) fail_io(path, "open", errno);
  const Descriptor descriptor{fd};
  struct stat info;
  if (::fstat(fd, &info) != 0) fail_io(path, "open", errno);
  if (S_ISDIR(info.st_mode)) fail_io(path, "read", EISDIR);
  if (!S_ISREG(info.st_mode)) fail(Status::kIo, "%s: not a regular file", path.c_str());
  if (info.st_size == 0) return;  // mmap refuses a length of 0
  void* data = ::mmap(nullptr, static_cast<size_t>(info.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) fail_io(path, "map", errno);
  data_ = static_cast<const std::byte*>(data);
  size_ = static_cast<size_t>(info.st_size);
}

MappedFile::MappedFile(std::string name, size_t size) : path_(std::move(name)), own_(true) {
  if (size == 0) return;
  void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<const std::byte*>(data);
  size_ = size;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      own_(other.own_) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(own_, other.own_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

std::span<std::byte> MappedFile::own_bytes() {
  assert(own_);
  return {const_cast<std::byte*>(data_), size_};
}

std::string_view MappedFile::text(size_t offset, size_t size) const {
  assert(offset <= size_ && size <= size_ - offset);
  if (size == 0) return {};
  return {reinterpret_cast<const char*>(data_) + offset, size};
}

void MappedFile::release(std::span<const std::byte> range) const {
  if (range.empty() || own_) return;
  assert(range.data() >= data_ && range.data() + range.size() <= data_ + size_);
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(range.data());
  const uintptr_t first = (begin + page - 1) / page * page;
  const uintptr_t last = (begin + range.size()) / page * page;
  // A hint: if the system refuses, the pages just stay.
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace headlane
