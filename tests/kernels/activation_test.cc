#include <vector>

#include "tests/support/activated.h"
#include "tests/support/kernel_test.h"

namespace headlane::kernels {
namespace {

using test::activated;
using test::GuardedFloats;
using test::kEps;

class ActivationKernel : public test::KernelTest {
 protected:
  std::vector<float> apply(Activation activation, const std::vector<float>& x) {
    const int64_t n = static_cast<int64_t>(x.size());
    GuardedFloats in(n), out(n);
    std::copy(x.begin(), x.end(), in.data());
    kernels().activate_f32(activation, n, in.data(), out.data());
    return {out.data(), out.data() + n};
  }
};

// Within 4 roundings of |x| everywhere: the sum of erf's or the polynomial's error and three
// roundings. From 0.6 on, where tanh is 1 - 2 / (e^(2x) + 1), its quotient of at most 2 is wrong by
// four roundings of 1, e^(2x) and its argument make 1.2 of them, and the difference one more.
TEST_P(ActivationKernel, MatchesFloat64) {
  std::vector<float> x;
  for (double v = -12; v <= 12; v += 1.0 / 1024) x.push_back(static_cast<float>(v + 1e-5));
  for (float v = 1e-30f; v < 1e4f; v *= 1.37f) x.insert(x.end(), {v, -v});
  for (const Activation activation : {Activation::kGelu, Activation::kGeluTanh, Activation::kRelu,
                                      Activation::kSilu, Activation::kTanh}) {
    const std::vector<float> y = apply(activation, x);
    for (size_t i = 0; i < x.size(); ++i) {
      const double size = std::fabs(x[i]);
      const double least = activation == Activation::kTanh && size >= 0.6 ? 7 : 0;
      ASSERT_NEAR(y[i], activated(activation, x[i]), std::max(4 * size, least) * kEps + 1e-38)
          << "x " << x[i] << " activation " << static_cast<int>(activation);
    }
  }
}

TEST_P(ActivationKernel, SpecialValues) {
  const float inf = INFINITY, nan = std::nanf("");
  for (const Activation activation :
       {Activation::kGelu, Activation::kGeluTanh, Activation::kRelu, Activation::kSilu}) {
    const std::vector<float> y = apply(activation, {0.0f, inf, 3e38f, nan, -inf});
    EXPECT_EQ(y[0], 0.0f);
    EXPECT_EQ(y[1], inf) << static_cast<int>(activation);
    EXPECT_EQ(y[2], 3e38f);
    EXPECT_TRUE(std::isnan(y[3]));
    // The formulas have infinity times zero there: it must show, as NaN or infinity.
    EXPECT_EQ(std::isfinite(y[4]), activation == Activation::kRelu) << y[4];
  }
}

TEST_P(ActivationKernel, SpecialValuesOfTanh) {
  const std::vector<float> y =
      apply(Activation::kTanh, {0.0f, INFINITY, 3e38f, std::nanf(""), -INFINITY, -3e38f});
  EXPECT_EQ(y[0], 0.0f);
  EXPECT_EQ(y[1], 1.0f);
  EXPECT_EQ(y[2], 1.0f);
  EXPECT_TRUE(std::isnan(y[3]));
  EXPECT_EQ(y[4], -1.0f);
  EXPECT_EQ(y[5], -1.0f);
}

TEST_P(ActivationKernel, EveryLength) {
  for (int64_t n = 0; n <= 40; ++n) {
    const std::vector<float> y = apply(Activation::kRelu, std::vector<float>(n, -1.0f));
    for (const float value : y) ASSERT_EQ(value, 0.0f);
  }
}

HEADLANE_FOR_EACH_ISA(ActivationKernel);

}  // namespace
}  // namespace headlane::kernels
