// A file that is whole or not there. Where the file system can (O_TMPFILE), it has no name until it
// is whole, so that not even a killed command leaves something behind; elsewhere it has another
// name beside its own until then.
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
  ~OutputFile();  // removes what was not finished
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* data, size_t bytes);
  void rewind();  // what is written next replaces what was written first
  void finish();

 private:
  [[noreturn]] void fail() const;
  void open_nameless();
  void open_named();
  void link();
  std::string next_name();

  std::string path_;       // as the user wrote it, for messages
  std::string target_;     // links followed
  std::string temporary_;  // the name that must go; "": there is none
  std::FILE* file_ = nullptr;
  int n_names_ = 0;
};

void write_output(const std::string& path, std::string_view contents);

}  // namespace tool
