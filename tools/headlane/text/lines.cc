#include "tools/headlane/text/lines.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <system_error>

namespace tool {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

struct Free {
  void operator()(char* memory) const { std::free(memory); }  // NOLINT(*-no-malloc)
};

}  // namespace

std::string shown_name(const std::string& path) {
  return path.empty() || path == "-" ? "standard input" : path;
}

// By C streams: those of C++ take an error of standard input for its end.
void for_each_line(const std::string& path,
                   const std::function<void(const std::string&, int64_t)>& body) {
  std::unique_ptr<std::FILE, CloseFile> opened;
  std::FILE* file = stdin;
  if (!path.empty() && path != "-") {
    opened.reset(std::fopen(path.c_str(), "rbe"));
    if (!opened) {
      throw std::runtime_error(path + ": cannot be read: " + std::system_category().message(errno));
    }
    file = opened.get();
  }
  std::unique_ptr<char, Free> room;
  size_t room_bytes = 0;
  int64_t bytes = 0;
  while (true) {
    char* memory = room.release();
    const ssize_t n = getline(&memory, &room_bytes, file);
    room.reset(memory);
    if (n < 0) break;
    bytes += n;
    std::string_view line(memory, static_cast<size_t>(n));
    if (line.ends_with('\n')) line.remove_suffix(1);
    body(std::string(line), bytes);
  }
  // Where memory ends, neither is set.
  if (std::ferror(file) != 0 || std::feof(file) == 0) {
    throw std::runtime_error(shown_name(path) + ": read error");
  }
}

}  // namespace tool
