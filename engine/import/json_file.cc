#include "engine/import/json_file.h"

#include <sys/stat.h>

#include <cerrno>

#include "engine/error.h"
#include "engine/model/mapped_file.h"

namespace headlane {

nlohmann::json read_json_file(const std::string& path) {
  constexpr size_t kMaxBytes = size_t{256} << 20;  // the largest tokenizer.json have some 30 MiB
  const MappedFile file(path);
  const size_t size = file.bytes().size();
  if (size > kMaxBytes) {
    fail(Status::kBadFile, "%s has %zu bytes; a JSON file may have %zu", path.c_str(), size,
         kMaxBytes);
  }
  return parse_json(file.text(0, size), path);
}

std::optional<nlohmann::json> read_json_file_if_present(const std::string& path) {
  if (!file_exists(path)) return std::nullopt;
  return read_json_file(path);
}

bool file_exists(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

}  // namespace headlane
