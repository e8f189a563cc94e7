// A file that is whole or not there. Where the file system can (O_TMPFILE), it has no name until it
// is whole, so that not even a killed command leaves something behind; elsewhere it has another
// name beside its own until then. A stream is written to as it is: standard output, a pipe, a
// character device.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace tool {

class OutputFile {
 public:
  // `path` is a regular file, a link to one, or free; or a stream, of which "-" is standard output.
  // All functions throw std::runtime_error with the path.
  explicit OutputFile(const std::string& path);
  ~OutputFile();  // removes what was not finished
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* data, size_t bytes);
  bool is_stream() const { return is_stream_; }
  void rewind();  // what is written next replaces what was written first; not of a stream
  void finish();

 private:
  [[noreturn]] void fail() const;
  bool open_stream(const std::string& path);
  void open_nameless();
  void open_named();
  void link();
  std::string next_name();

  std::string path_;       // as the user wrote it, for messages
  std::string target_;     // links followed
  std::string temporary_;  // the name that must go; "": there is none
  std::FILE* file_ = nullptr;
  bool is_stream_ = false;
  int n_names_ = 0;
};

void write_output(const std::string& path, std::string_view contents);

}  // namespace tool
