// Golden models, sessions and distances as the tests of bf16 and int8 use them.
#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>

#include "tests/api/encoder.h"
#include "tests/support/lines.h"
#include "tests/support/npy.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {

inline std::string golden_bert(const std::string& name) {
  return std::string(HEADLANE_GOLDEN_DIR "/bert/") + name;
}

// The folder of "bert/NAME" or "encoders/NAME".
inline std::string golden_encoder(const std::string& name) {
  return std::string(HEADLANE_GOLDEN_DIR "/") + name;
}

// All of them.
inline std::vector<std::string> golden_encoders() {
  std::vector<std::string> names;
  for (const std::string folder : {"bert/", "encoders/"}) {
    for (const auto& entry : std::filesystem::directory_iterator(golden_encoder(folder))) {
      if (entry.is_directory()) names.push_back(folder + entry.path().filename().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

// As headlane_convert does; "" is the default.
inline void convert_to(const std::string& folder, const std::string& path,
                       const std::string& precision) {
  headlane_convert_options options = HEADLANE_INIT(headlane_convert_options);
  if (!precision.empty()) options.precision = precision.c_str();
  check(headlane_convert(folder.c_str(), path.c_str(), &options));
}

// A session that asks for a precision of its own.
inline SessionHandle session_of(headlane_model* model, const char* precision, int n_threads = 1,
                                int64_t max_tokens = 512) {
  headlane_session_options options = HEADLANE_INIT(headlane_session_options);
  options.max_tokens = max_tokens;
  options.n_threads = n_threads;
  options.precision = precision;
  headlane_session* session = nullptr;
  check(headlane_session_create(model, &options, &session));
  return SessionHandle(session);
}

// How far rows of d are from those wanted, relative to the length of these: the farthest of them.
// NaN counts as infinitely far.
inline double farthest_row(const std::vector<float>& got, const std::vector<float>& wanted,
                           size_t d) {
  EXPECT_EQ(got.size(), wanted.size());
  if (got.size() != wanted.size()) return INFINITY;
  double farthest = 0;
  for (size_t row = 0; row + d <= got.size(); row += d) {
    double squares = 0, length = 0;
    for (size_t i = row; i < row + d; ++i) {
      squares += std::pow(double{got[i]} - wanted[i], 2);
      length += std::pow(double{wanted[i]}, 2);
    }
    const double distance = std::sqrt(squares / length);
    if (!(distance <= farthest)) farthest = std::isnan(distance) ? INFINITY : distance;
  }
  return farthest;
}

inline double smallest_cosine(const std::vector<float>& a, const std::vector<float>& b, size_t d) {
  EXPECT_EQ(a.size(), b.size());
  if (a.size() != b.size()) return -1;
  double smallest = 1;
  for (size_t row = 0; row + d <= a.size(); row += d) {
    double dot = 0, of_a = 0, of_b = 0;
    for (size_t i = row; i < row + d; ++i) {
      dot += double{a[i]} * b[i];
      of_a += double{a[i]} * a[i];
      of_b += double{b[i]} * b[i];
    }
    const double cosine = dot / std::sqrt(of_a * of_b);
    if (!(cosine >= smallest)) smallest = std::isnan(cosine) ? -1 : cosine;
  }
  return smallest;
}

}  // namespace headlane::test
