// Scores of labels and documents, as they are printed.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>

namespace tool {

// Whether a score stands before another: the higher first, NaNs last.
inline bool is_before(float a, float b) {
  if (std::isnan(a) || std::isnan(b)) return !std::isnan(a) && std::isnan(b);
  return a > b;
}

inline std::string shown_score(float score) {
  char text[32];
  std::snprintf(text, sizeof text, "%7.4f", static_cast<double>(score));
  return text;
}

// The number of a line, behind its score.
inline std::string padded_number(int64_t number) {
  char text[32];
  std::snprintf(text, sizeof text, " %5lld", static_cast<long long>(number));
  return text;
}

}  // namespace tool
