#include "engine/import/source/own_files.h"

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "engine/base/error.h"
#include "engine/file/input_file.h"

namespace headlane {
namespace {

namespace fs = std::filesystem;

bool is_inside(const fs::path& file, const fs::path& folder) {
  std::error_code error;
  fs::path above = fs::canonical(fs::absolute(file, error).parent_path(), error);
  while (!error && !fs::equivalent(folder, above, error)) {
    if (above == above.root_path()) return false;
    above = above.parent_path();
  }
  return !error;
}

bool is_result(const std::string& path) {
  constexpr std::string_view kOurs = "HEADLANE";
  const InputFile file(path);
  if (file.bytes() == 0) return true;
  const int64_t n = std::min(file.bytes(), static_cast<int64_t>(kOurs.size()));
  return file.read_text(0, n) == kOurs;
}

}  // namespace

void refuse_to_replace(const std::string& own, const std::string& out_path) {
  std::error_code error;
  if (!fs::is_regular_file(out_path, error)) return;
  if (!fs::equivalent(own, out_path, error) && !is_inside(out_path, own)) return;
  if (is_result(out_path)) return;
  fail(Status::kInvalidArgument,
       "%s: is a file of the model that is to be converted, so it is not replaced",
       out_path.c_str());
}

}  // namespace headlane
