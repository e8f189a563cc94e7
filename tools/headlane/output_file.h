// A file that is whole or not there: written under a temporary name beside it, renamed at the end.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace tool {

class OutputFile {
 public:
  // `path` is a regular file, a link to one, or free. All functions throw std::runtime_error with
  // the path.
  explicit OutputFile(const std::string& path);
  ~OutputFile();  // removes the temporary of a file that was not finished
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* data, size_t bytes);
  void rewind();  // what is written next replaces what was written first
  void finish();

 private:
  [[noreturn]] void fail() const;

  std::string path_;  // as the user wrote it, for messages
  std::string target_, temporary_;
  std::FILE* file_ = nullptr;
};

void write_output(const std::string& path, std::string_view contents);

}  // namespace tool
