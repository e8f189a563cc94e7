#include "engine/import/source/json_file.h"

#include <sys/stat.h>

#include <cerrno>

#include "engine/file/input_file.h"
#include "engine/file/limits.h"

namespace headlane {

Json read_json_file(const std::string& path) {
  return parse_json(read_whole_file(path, file_limits::kJsonFileBytes), path);
}

std::optional<Json> read_json_file_if_present(const std::string& path) {
  if (!file_exists(path)) return std::nullopt;
  return read_json_file(path);
}

bool file_exists(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

}  // namespace headlane
