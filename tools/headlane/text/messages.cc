#include "tools/headlane/text/messages.h"

#include <stdexcept>

#include "tools/headlane/output/json.h"
#include "tools/headlane/output/output_file.h"
#include "tools/headlane/text/whole_file.h"

namespace tool {

Messages::Messages(const std::string& system) {
  if (!system.empty()) add("system", system);
}

void Messages::add(const std::string& role, const std::string& content) {
  n_kept_ = list_.size();
  list_ += (list_.empty() ? "" : ",\n ") + Json::object("role", role, "content", content).dump();
}

void Messages::drop_last() { list_.resize(n_kept_); }

void Messages::save(const std::string& path) const { write_output(path, json() + "\n"); }

void Messages::load(const std::string& path) {
  const std::string text = Json::parse(read_whole_file(path)).dump();
  if (!text.starts_with('[') || !text.ends_with(']')) {
    throw std::runtime_error(path + ": is no JSON array of messages");
  }
  list_ = text.substr(1, text.size() - 2);
  n_kept_ = list_.size();
}

}  // namespace tool
