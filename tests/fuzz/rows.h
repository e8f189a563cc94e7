// Kernels of two rows of the dispatch table, `ref` and the fastest that this machine has, on random
// shapes and numbers: each against float64, within the bounds of the unit tests (tests/support).
#pragma once

#include <cmath>
#include <span>

#include "kernels/kernels.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/narrow.h"

namespace headlane::fuzz {

// The place of a comparison, for a finding.
struct Place {
  const kernels::Table& table;
  const char* kernel;
};

// A number that is none, or infinite, must be so in the result; a finite one must be near.
inline void check_near(const Place& place, double actual, double expected, double bound) {
  const bool right = std::isnan(expected)   ? std::isnan(actual)
                     : std::isinf(expected) ? actual == expected
                                            : std::fabs(actual - expected) <= bound;
  // A bound that is no number says nothing.
  if (right || !std::isfinite(bound)) return;
  char text[200];
  std::snprintf(text, sizeof text, "%s: %.9g, not %.9g within %.3g", place.table.isa, actual,
                expected, bound);
  finding(place.kernel, text);
}

inline void check_bits(const Place& place, float actual, float expected) {
  if (std::isnan(actual) && std::isnan(expected)) return;
  if (std::memcmp(&actual, &expected, sizeof actual) == 0) return;
  char text[200];
  std::snprintf(text, sizeof text, "%s: %.9g, not exactly %.9g", place.table.isa, double{actual},
                double{expected});
  finding(place.kernel, text);
}

// The slowest row and the fastest.
inline std::span<const kernels::Table* const> rows_to_compare() {
  static const kernels::Table* const rows[] = {kernels::supported().front(),
                                               kernels::supported().back()};
  return rows;
}

// Shape and numbers of a problem. The shape is the input's, so that libFuzzer finds its way around
// tiles; the numbers are random, of a spread that the input chooses, with odd ones among them if it
// says so.
class Problems {
 public:
  explicit Problems(Input* input)
      : input_(*input),
        spread_(input->one_of({1.0f, 1.0f, 0.01f, 30.0f})),
        odd_(input->one_in(3)),
        random_(input->number<uint32_t>()) {}

  int64_t size(int64_t most) { return input_.between(1, most); }
  int64_t from(int64_t least, int64_t most) { return input_.between(least, most); }
  bool flag() { return input_.flag(); }
  bool odd() const { return odd_; }
  float spread() const { return spread_; }
  Random& random() { return random_; }
  kernels::Activation activation() {
    return static_cast<kernels::Activation>(input_.between(0, 5));
  }

  float number() {
    const double uniform = static_cast<double>(random_.below(1 << 24)) / (1 << 23) - 1;
    return static_cast<float>(3 * spread_ * uniform * uniform * uniform);
  }
  float number_or_odd() {
    if (!odd_ || !random_.one_in(200)) return number();
    const float odd[] = {std::nanf(""), INFINITY, -INFINITY, 0.0f, -0.0f, 1e-42f};
    return odd[random_.below(std::size(odd))];
  }
  void fill(test::GuardedFloats* buffer, bool may_be_odd) {
    for (int64_t i = 0; i < buffer->size(); ++i) {
      (*buffer)[i] = may_be_odd ? number_or_odd() : number();
    }
  }

 private:
  Input& input_;
  float spread_;
  bool odd_;
  Random random_;
};

// Slots, by their names with spaces between, and what compares them.
struct Row {
  const char* slots;
  void (*compare)(Problems* problems);
};
// The rows of each file.
std::span<const Row> product_rows();    // rows_products.cc
std::span<const Row> attention_rows();  // rows_attention.cc
std::span<const Row> other_rows();      // rows_others.cc

}  // namespace headlane::fuzz
