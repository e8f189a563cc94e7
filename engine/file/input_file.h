// A file that stays open and is read where and when somebody asks, into memory that is the reader's
// own. It is not mapped unless its user asked for that: a file that is cut while it is mapped takes
// pages away from under whoever reads them (SIGBUS), and with them the whole process. What is read
// is an Error then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <span>
#include <string>

namespace headlane {

// Throws Error(kIo): "PATH: cannot ACTION: what the system says of errno ERROR".
[[noreturn]] void fail_io(const std::string& path, const char* action, int error);

class InputFile {
 public:
  // Throws Error(kIo), also if `path` is a directory, a pipe or a device.
  explicit InputFile(const std::string& path);
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;
  ~InputFile();

  const std::string& path() const { return path_; }
  int64_t bytes() const { return bytes_; }  // as it was opened

  // Fills `to` from `offset`, all of it inside the file. From any thread. Throws Error: kIo, or
  // kBadFile if the file is not the one any more that was opened: shorter, or written to. (A file
  // that was replaced by renaming, or removed, is still there for who has it open.)
  void read(int64_t offset, std::span<std::byte> to) const;
  std::string read_text(int64_t offset, int64_t bytes) const;

  // Maps all of it, which no process that maps it too has in memory twice. Throws Error(kIo) or
  // std::bad_alloc.
  void map();
  // The bytes, [bytes()], or null if it was not mapped.
  const std::byte* mapped() const { return map_; }
  // Throws Error as read() if the file is not the one any more that was opened.
  void check_unchanged() const;

 private:
  std::string path_;
  int fd_ = -1;
  int64_t bytes_ = 0;
  timespec written_ = {};  // when it was last written to
  const std::byte* map_ = nullptr;
};

// Throws Error(kBadFile) if the file is what git leaves of a large one where git-lfs is not
// installed: three lines that say which file it stands for.
void refuse_lfs_pointer(const InputFile& file);

// The whole of a small file. Throws Error: as InputFile, and kBadFile if it has more than
// `max_bytes` or is a pointer of git-lfs.
std::string read_whole_file(const std::string& path, int64_t max_bytes);

}  // namespace headlane
