// A file that is whole or not there. If the file system can do it (O_TMPFILE), the file has no name
// until it is whole, so that even a killed process leaves nothing behind. On other file systems it
// has another name, in the same folder, until then.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace headlane {

class OutputFile {
 public:
  enum class Until { kNameless, kNamed };  // kNamed: even where the file system needs none

  // `path`: a regular file, which is replaced, a link to one, which stays, or free. All functions
  // throw Error(kIo).
  explicit OutputFile(const std::string& path, Until until = Until::kNameless);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();  // removes what was not committed

  void write(std::span<const std::byte> bytes);
  // The data is on the disk before the name is: after a crash `path` is old or new, never short.
  void commit();

 private:
  OutputFile(const std::string& path, std::string target);
  void open_nameless();
  void open_named();
  void link();
  std::string next_name();

  std::string path_;       // as the caller wrote it, for messages
  std::string target_;     // links followed
  std::string temporary_;  // the name that must go; "": there is none
  int fd_ = -1;
  int n_names_ = 0;
};

}  // namespace headlane
