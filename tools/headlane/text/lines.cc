#include "tools/headlane/text/lines.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <vector>

namespace tool {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

struct Free {
  void operator()(char* memory) const { std::free(memory); }  // NOLINT(*-no-malloc)
};

// A file, or standard input, by C streams: those of C++ take an error of standard input for its
// end.
class Input {
 public:
  explicit Input(const std::string& path) : path_(path) {
    if (path.empty() || path == "-") return;
    opened_.reset(std::fopen(path.c_str(), "rbe"));
    if (!opened_) {
      throw std::runtime_error(path + ": cannot be read: " + std::system_category().message(errno));
    }
    file_ = opened_.get();
  }

  std::FILE* file() const { return file_; }

  // Throws if reading ended before the end.
  void check_end() const {
    // Where memory ends, neither is set.
    if (std::ferror(file_) != 0 || std::feof(file_) == 0) {
      throw std::runtime_error(shown_name(path_) + ": read error");
    }
  }

 private:
  std::string path_;
  std::unique_ptr<std::FILE, CloseFile> opened_;
  std::FILE* file_ = stdin;
};

}  // namespace

std::string shown_name(const std::string& path) {
  return path.empty() || path == "-" ? "standard input" : path;
}

void for_each_line(const std::string& path,
                   const std::function<void(const std::string&, int64_t)>& body) {
  const Input input(path);
  std::unique_ptr<char, Free> room;
  size_t room_bytes = 0;
  int64_t bytes = 0;
  while (true) {
    char* memory = room.release();
    const ssize_t n = getline(&memory, &room_bytes, input.file());
    room.reset(memory);
    if (n < 0) break;
    bytes += n;
    std::string_view line(memory, static_cast<size_t>(n));
    if (line.ends_with('\n')) line.remove_suffix(1);
    body(std::string(line), bytes);
  }
  input.check_end();
}

std::string read_all(const std::string& path) {
  const Input input(path);
  std::string text;
  std::vector<char> some(1 << 16);
  while (const size_t n = std::fread(some.data(), 1, some.size(), input.file())) {
    text.append(some.data(), n);
  }
  input.check_end();
  return text;
}

}  // namespace tool
