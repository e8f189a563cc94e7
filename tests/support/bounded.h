// Numbers in float64 that carry how far a float32 computation of them may be off: each operation
// adds what its inputs' errors do to its result, and its own roundings. So a reference written with
// them is its own bound, through as many operations as there are.
#pragma once

#include <cmath>
#include <vector>

#include "tests/support/kernel_test.h"

namespace headlane::test {

struct Bounded {
  double value = 0, error = 0;
  Bounded() = default;
  Bounded(double exact) : value(exact) {}  // NOLINT(google-explicit-constructor): numbers mix
  Bounded(double v, double e) : value(v), error(e) {}
};

inline Bounded operator+(Bounded a, Bounded b) {
  const double sum = a.value + b.value;
  return {sum, a.error + b.error + kEps * std::fabs(sum)};
}

inline Bounded operator-(Bounded a, Bounded b) { return a + Bounded(-b.value, b.error); }

inline Bounded operator*(Bounded a, Bounded b) {
  const double product = a.value * b.value;
  return {product, std::fabs(a.value) * b.error + std::fabs(b.value) * a.error + a.error * b.error +
                       kEps * std::fabs(product)};
}

// sum of a[i * step_a] * b[i * step_b] + start, in whatever order: k + 1 roundings of the terms'
// sizes, twice, since the library may take the sum in blocks.
template <typename A, typename B>
Bounded dot(int64_t k, const A* a, int64_t step_a, const B* b, int64_t step_b, Bounded start) {
  Bounded sum = start;
  double sizes = std::fabs(start.value);
  for (int64_t i = 0; i < k; ++i) {
    const Bounded product = Bounded(a[i * step_a]) * Bounded(b[i * step_b]);
    sum.value += product.value;
    sum.error += product.error;
    sizes += std::fabs(product.value);
  }
  sum.error += static_cast<double>(2 * k + 2) * kEps * sizes;
  return sum;
}

// The library's exponential is right to 4 roundings, and so is its argument, a scaled score.
inline Bounded exp(Bounded x) {
  const double e = std::exp(x.value);
  return {e, e * (std::expm1(x.error) + (4 + 2 * std::fabs(x.value)) * kEps)};
}

// tanh is right to 8 roundings, and nowhere steeper than 1.
inline Bounded tanh(Bounded x) {
  const double t = std::tanh(x.value);
  return {t, x.error + 8 * kEps * std::fabs(t) + kEps * std::fabs(x.value)};
}

inline Bounded operator/(Bounded a, Bounded b) {
  const double quotient = a.value / b.value;
  const double least = std::fabs(b.value) - b.error;  // of the divisor; it must not reach 0
  return {quotient, (a.error + std::fabs(quotient) * b.error) / least + kEps * std::fabs(quotient)};
}

inline Bounded sqrt(Bounded x) {
  const double root = std::sqrt(x.value);
  return {root, x.error / root + kEps * root};
}

// (x - mean) / sqrt(variance + eps) * gamma + beta; beta may be null.
inline std::vector<Bounded> layer_norm(const std::vector<Bounded>& x, const float* gamma,
                                       const float* beta, double eps) {
  const int64_t d = static_cast<int64_t>(x.size());
  const std::vector<double> ones(x.size(), 1.0);
  const Bounded n(static_cast<double>(d));
  const Bounded mean = dot(d, x.data(), 1, ones.data(), 1, 0) / n;
  std::vector<Bounded> centred, y;
  for (const Bounded& value : x) centred.push_back(value - mean);
  const Bounded variance = dot(d, centred.data(), 1, centred.data(), 1, 0) / n;
  const Bounded deviation = sqrt(variance + Bounded(eps));
  for (int64_t i = 0; i < d; ++i) {
    y.push_back(centred[i] / deviation * Bounded(gamma[i]) + Bounded(beta ? beta[i] : 0));
  }
  return y;
}

}  // namespace headlane::test
