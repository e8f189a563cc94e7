// Facts that are printed as lines for people, or as JSON for programs.
#pragma once

#include <string>
#include <type_traits>

#include "tools/headlane/output/json.h"

namespace tool {

class Report {
 public:
  static constexpr size_t kKeyColumns = 19;

  // A member of the JSON, and a line: the key, then the value as JSON shows it, strings as they
  // are.
  template <typename T>
  void add(const std::string& key, const T& value) {
    if constexpr (std::is_convertible_v<T, std::string>) {
      add(key, Json(value), value);
    } else {
      add(key, Json(value), Json(value).dump());
    }
  }
  void add(const std::string& key, Json value, const std::string& text);
  // One of the two alone.
  void add_json(const std::string& key, Json value) { json_.set(key, std::move(value)); }
  void add_line(const std::string& line) { lines_ += line + "\n"; }
  void add_lines(const std::string& lines) { lines_ += lines; }

  void print(bool as_json) const;

 private:
  Json json_ = Json::object();
  std::string lines_;
};

// `text`, and spaces behind it to `width` characters at least.
std::string padded(std::string text, size_t width);

}  // namespace tool
