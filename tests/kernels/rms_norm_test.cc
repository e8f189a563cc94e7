#include "tests/support/kernel_test.h"

namespace headlane::kernels {
namespace {

using test::fill_random;
using test::GuardedFloats;
using test::kEps;

class RmsNormKernel : public test::KernelTest {
 protected:
  // The sum of d squares of sums that were rounded once is off by (d + 3) eps, relative, and its
  // root by half of that; the mean, eps, the root, its inverse and two products are six roundings,
  // and s has its own.
  void check(int64_t rows, int64_t d, bool residual, float spread) {
    SCOPED_TRACE("rows " + std::to_string(rows) + " d " + std::to_string(d));
    std::mt19937 random(static_cast<uint32_t>(rows * 7919 + d));
    const int64_t ldx = d + 3, ld_residual = d + 1, ldy = d + 2;
    GuardedFloats x(rows * ldx - 3), r(rows * ld_residual - 1), gamma(d), y(rows * ldy - 2);
    fill_random(&x, &random, spread);
    fill_random(&r, &random, spread);
    fill_random(&gamma, &random);
    const float eps = 1e-6f;
    kernels().rms_norm_f32({.rows = rows,
                            .d = d,
                            .x = x.data(),
                            .ldx = ldx,
                            .residual = residual ? r.data() : nullptr,
                            .ld_residual = ld_residual,
                            .gamma = gamma.data(),
                            .eps = eps,
                            .y = y.data(),
                            .ldy = ldy});
    for (int64_t i = 0; i < y.size(); ++i) {
      const int64_t row = i / ldy, c = i % ldy;
      if (c >= d) {
        EXPECT_TRUE(std::isnan(y[i])) << "between rows";
        continue;
      }
      const auto s = [&](int64_t j) {
        return double{x[row * ldx + j]} + (residual ? r[row * ld_residual + j] : 0.0f);
      };
      double squares = 0;
      for (int64_t j = 0; j < d; ++j) squares += s(j) * s(j);
      const double n = static_cast<double>(d);
      const double expected = s(c) / std::sqrt(squares / n + double{eps}) * gamma[c];
      const double bound = ((n + 3) / 2 + 7) * kEps * std::fabs(expected) * 1.001;
      ASSERT_NEAR(y[i], expected, bound + 1e-37) << row << ", " << c;
    }
  }
};

TEST_P(RmsNormKernel, MatchesFloat64AroundVectorSizes) {
  for (const int64_t d :
       {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 312, 512, 768, 1023}) {
    check(3, d, false, 1.0f);
    check(3, d, true, 1.0f);
  }
}

// Where eps is most of what is under the root, and where it is nothing.
TEST_P(RmsNormKernel, MatchesFloat64ForSmallAndLargeRows) {
  check(2, 384, true, 1e-4f);
  check(2, 384, true, 1e6f);
}

// By hand: the squares of 3 and 4 have the mean 12.5; 3.5 more make the root 4.
TEST_P(RmsNormKernel, WorkedExample) {
  GuardedFloats x(2), gamma(2), y(2);
  x[0] = 3, x[1] = -4;
  gamma[0] = 2, gamma[1] = 5;
  kernels().rms_norm_f32(
      {.rows = 1, .d = 2, .x = x.data(), .gamma = gamma.data(), .eps = 3.5f, .y = y.data()});
  EXPECT_EQ(y[0], 1.5f);
  EXPECT_EQ(y[1], -5.0f);
}

TEST_P(RmsNormKernel, MayWriteOverItsInputs) {
  const int64_t d = 45;
  std::mt19937 random(6);
  for (const bool over_residual : {false, true}) {
    GuardedFloats x(d), r(d), gamma(d), y(d);
    for (GuardedFloats* p : {&x, &r, &gamma}) fill_random(p, &random);
    LayerNormF32Args args{.rows = 1,
                          .d = d,
                          .x = x.data(),
                          .residual = r.data(),
                          .gamma = gamma.data(),
                          .eps = 1e-6f,
                          .y = y.data()};
    kernels().rms_norm_f32(args);
    args.y = over_residual ? r.data() : x.data();
    kernels().rms_norm_f32(args);
    EXPECT_EQ(0, std::memcmp(args.y, y.data(), d * sizeof(float)));
  }
  GuardedFloats x(d), gamma(d), y(d);
  fill_random(&x, &random);
  fill_random(&gamma, &random);
  LayerNormF32Args args{.rows = 1, .d = d, .x = x.data(), .gamma = gamma.data(), .y = y.data()};
  kernels().rms_norm_f32(args);
  args.y = x.data();
  kernels().rms_norm_f32(args);
  EXPECT_EQ(0, std::memcmp(x.data(), y.data(), d * sizeof(float)));
}

// A row of zeros is what eps is for.
TEST_P(RmsNormKernel, ZerosStayZeros) {
  const int64_t d = 20;
  GuardedFloats x(d), gamma(d), y(d);
  for (int64_t i = 0; i < d; ++i) x[i] = 0.0f, gamma[i] = 2.0f;
  kernels().rms_norm_f32(
      {.rows = 1, .d = d, .x = x.data(), .gamma = gamma.data(), .eps = 1e-6f, .y = y.data()});
  for (int64_t i = 0; i < d; ++i) EXPECT_EQ(y[i], 0.0f);
}

TEST_P(RmsNormKernel, NanShowsInItsRowAlone) {
  const int64_t d = 37;
  std::mt19937 random(4);
  GuardedFloats x(2 * d), gamma(d), y(2 * d);
  fill_random(&x, &random);
  fill_random(&gamma, &random);
  x[36] = std::nanf("");
  kernels().rms_norm_f32({.rows = 2,
                          .d = d,
                          .x = x.data(),
                          .ldx = d,
                          .gamma = gamma.data(),
                          .eps = 1e-6f,
                          .y = y.data(),
                          .ldy = d});
  for (int64_t i = 0; i < 2 * d; ++i) EXPECT_EQ(std::isnan(y[i]), i < d) << i;
}

HEADLANE_FOR_EACH_ISA(RmsNormKernel);

}  // namespace
}  // namespace headlane::kernels
