#pragma once

#include <charconv>
#include <string>

namespace tool {

// Appends the shortest decimal that reads back as the same float. JSON has no NaN or infinity; null
// stands for them.
inline void append_json_number(float value, std::string* out) {
  if (!(value - value == 0)) {
    *out += "null";
    return;
  }
  char digits[32];
  out->append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

}  // namespace tool
