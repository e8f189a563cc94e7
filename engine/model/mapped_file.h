// A whole file mapped read-only (or memory of its own, which stands for one). The mapping is of the
// file as it was at open: who truncates it afterwards takes pages away from under the reader
// (SIGBUS). write_container therefore never writes in place; files are replaced by renaming.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace headlane {

// Throws Error(kIo): "PATH: cannot ACTION: what the system says of errno ERROR".
[[noreturn]] void fail_io(const std::string& path, const char* action, int error);

class MappedFile {
 public:
  // Throws Error(kIo), also if `path` is a directory, a pipe or a device.
  explicit MappedFile(const std::string& path);
  // Memory of its own in place of a file's, zeros; `name` is for messages. Throws std::bad_alloc.
  MappedFile(std::string name, size_t size);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // bytes() for writing; only of memory of its own.
  std::span<std::byte> own_bytes();
  // bytes() as text, from `offset`; both must be inside the file.
  std::string_view text(size_t offset, size_t size) const;

  // Tells the system that the whole pages inside `range`, a part of bytes(), are not needed soon.
  // They are read again when they are; memory of its own, which could not be, stays.
  void release(std::span<const std::byte> range) const;

 private:
  std::string path_;
  const std::byte* data_ = nullptr;  // null if the file is empty
  size_t size_ = 0;
  bool own_ = false;
};

}  // namespace headlane
