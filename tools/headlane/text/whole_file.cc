#include "tools/headlane/text/whole_file.h"

#include <stdexcept>

#include "tools/headlane/text/lines.h"

namespace tool {

std::string read_whole_file(const std::string& path) {
  constexpr size_t kMostBytes = size_t{256} << 20;
  std::string text;
  for_each_line(path, [&](const std::string& line, int64_t) {
    text += line + "\n";
    if (text.size() > kMostBytes) throw std::runtime_error(shown_name(path) + ": is too large");
  });
  return text;
}

}  // namespace tool
