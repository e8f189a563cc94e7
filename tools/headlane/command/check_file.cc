#include <stdexcept>

#include "tools/headlane/command/info.h"
#include "tools/headlane/output/report.h"

namespace tool {
namespace {

const char* checksum_state(const headlane_file_check& found) {
  if (found.has_checksum == 0) return "none";
  return found.checksum_matches != 0 ? "matches" : "does not match";
}

struct BadTensors {
  Json json = Json::array();
  std::string lines;
};

void add_bad_tensor(void* user, const headlane_tensor_check* tensor) {
  auto* bad = static_cast<BadTensors*>(user);
  bad->json.add(
      Json::object("name", tensor->name, "n_nan", tensor->n_nan, "n_infinite", tensor->n_infinite));
  constexpr size_t kNameColumns = 36;
  bad->lines += "  " + padded(tensor->name, kNameColumns) + " " + std::to_string(tensor->n_nan) +
                " NaN, " + std::to_string(tensor->n_infinite) + " infinite\n";
}

void add_count(const std::string& label, const std::string& key, int64_t n, Report* report) {
  report->add_json(key, n);
  report->add_line(padded(label, Report::kKeyColumns) + std::to_string(n));
}

}  // namespace

void check_file(const InfoOptions& options) {
  const std::string& path = options.run.model_path;
  BadTensors bad;
  headlane_file_check found = HEADLANE_INIT(headlane_file_check);
  check(headlane_check_file(path.c_str(), add_bad_tensor, &bad, &found));
  Report report;
  report.add("file", path);
  report.add("checksum", checksum_state(found));
  add_count("tensors", "n_tensors", found.n_tensors, &report);
  add_count("NaN", "n_nan", found.n_nan, &report);
  add_count("infinite", "n_infinite", found.n_infinite, &report);
  report.add_lines(bad.lines);
  report.add_json("bad_tensors", std::move(bad.json));
  report.print(options.as_json);
  if (found.has_checksum != 0 && found.checksum_matches == 0) {
    throw std::runtime_error(path + ": the checksum does not match: the file was damaged");
  }
  if (found.n_bad_tensors > 0) {
    throw std::runtime_error(path + ": " + std::to_string(found.n_bad_tensors) +
                             " tensors have NaN or infinite weights");
  }
}

}  // namespace tool
