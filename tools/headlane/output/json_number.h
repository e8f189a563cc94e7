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

// The double with the shortest decimal that reads back as the same float: 1e-12, where the float
// itself, widened, is 9.999999960041972e-13.
inline double as_written(float value) {
  char digits[32];
  const char* end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  double widened = 0;
  std::from_chars(digits, end, widened);
  return widened;
}

}  // namespace tool
