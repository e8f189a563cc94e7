#include "tools/headlane/output/report.h"

#include <algorithm>

#include "tools/headlane/output/standard_streams.h"

namespace tool {

std::string padded(std::string text, size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

void Report::add(const std::string& key, Json value, const std::string& text) {
  add_json(key, std::move(value));
  add_line(padded(key, kKeyColumns) + text);
}

void Report::print(bool as_json) const { tool::print(as_json ? json_.dump(2) + "\n" : lines_); }

}  // namespace tool
