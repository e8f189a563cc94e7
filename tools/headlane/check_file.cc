#include <cstdio>
#include <nlohmann/json.hpp>

#include "tools/headlane/commands.h"

namespace tool {
namespace {

using nlohmann::ordered_json;

const char* checksum_state(const headlane_file_check& found) {
  if (found.has_checksum == 0) return "none";
  return found.checksum_matches != 0 ? "matches" : "does not match";
}

void print(const ordered_json& report) {
  std::printf("%-18s %s\n", "file", report["file"].get<std::string>().c_str());
  std::printf("%-18s %s\n", "checksum", report["checksum"].get<std::string>().c_str());
  std::printf("%-18s %s\n", "tensors", report["n_tensors"].dump().c_str());
  std::printf("%-18s %s\n", "NaN", report["n_nan"].dump().c_str());
  std::printf("%-18s %s\n", "infinite", report["n_infinite"].dump().c_str());
  for (const auto& tensor : report["bad_tensors"]) {
    std::printf("  %-36s %s NaN, %s infinite\n", tensor["name"].get<std::string>().c_str(),
                tensor["n_nan"].dump().c_str(), tensor["n_infinite"].dump().c_str());
  }
}

}  // namespace

void check_file(const InfoOptions& options) {
  const std::string& path = options.run.model_path;
  ordered_json bad = ordered_json::array();
  headlane_file_check found{};
  found.struct_size = sizeof found;
  check(headlane_check_file(
      path.c_str(),
      [](void* user, const headlane_tensor_check* tensor) {
        static_cast<ordered_json*>(user)->push_back(
            {{"name", tensor->name}, {"n_nan", tensor->n_nan}, {"n_infinite", tensor->n_infinite}});
      },
      &bad, &found));
  const ordered_json report = {
      {"file", path},         {"checksum", checksum_state(found)}, {"n_tensors", found.n_tensors},
      {"n_nan", found.n_nan}, {"n_infinite", found.n_infinite},    {"bad_tensors", bad}};
  if (options.as_json) {
    std::printf("%s\n", report.dump(2).c_str());
  } else {
    print(report);
  }
  if (found.has_checksum != 0 && found.checksum_matches == 0) {
    throw std::runtime_error(path + ": the checksum does not match: the file was damaged");
  }
  if (found.n_bad_tensors > 0) {
    throw std::runtime_error(path + ": " + std::to_string(found.n_bad_tensors) +
                             " tensors have NaN or infinite weights");
  }
}

}  // namespace tool
