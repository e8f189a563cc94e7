#include "tests/support/kernel_test.h"

namespace headlane::kernels {
namespace {

using test::fill_random;
using test::GuardedFloats;
using test::kEps;

class LayerNormKernel : public test::KernelTest {
 protected:
  // With n = d: the mean is wrong by n eps mean|s|, which with the rounding of s moves each centred
  // value; the variance by (n + 4) eps relative; so does the result, relative to |normal| and the
  // shift.
  void check(int64_t rows, int64_t d, bool residual, float offset) {
    SCOPED_TRACE("rows " + std::to_string(rows) + " d " + std::to_string(d));
    std::mt19937 random(static_cast<uint32_t>(rows * 7919 + d));
    const int64_t ld = d + 3;
    GuardedFloats x(rows * ld - 3), r(rows * d), gamma(d), beta(d), y(rows * d);
    fill_random(&x, &random);
    fill_random(&r, &random);
    fill_random(&gamma, &random);
    fill_random(&beta, &random);
    for (int64_t i = 0; i < x.size(); ++i) x[i] += offset;
    const float eps = 1e-5f;
    kernels().layer_norm_f32({.rows = rows,
                              .d = d,
                              .x = x.data(),
                              .ldx = ld,
                              .residual = residual ? r.data() : nullptr,
                              .ld_residual = d,
                              .gamma = gamma.data(),
                              .beta = beta.data(),
                              .eps = eps,
                              .y = y.data(),
                              .ldy = d});
    for (int64_t i = 0; i < rows; ++i) {
      const auto s = [&](int64_t j) {
        return double{x[i * ld + j]} + (residual ? r[i * d + j] : 0.0f);
      };
      double mean = 0, magnitude = 0, variance = 0;
      for (int64_t j = 0; j < d; ++j) mean += s(j) / static_cast<double>(d);
      for (int64_t j = 0; j < d; ++j) magnitude += std::fabs(s(j)) / static_cast<double>(d);
      for (int64_t j = 0; j < d; ++j)
        variance += (s(j) - mean) * (s(j) - mean) / static_cast<double>(d);
      const double inverse = 1 / std::sqrt(variance + eps);
      const double n = static_cast<double>(d);
      for (int64_t j = 0; j < d; ++j) {
        const double normal = (s(j) - mean) * inverse;
        const double shift = ((n + 2) * magnitude + 2 * std::fabs(s(j))) * kEps * inverse;
        const double bound =
            std::fabs(gamma[j]) *
                (shift + std::fabs(normal) * ((n + 8) * kEps + shift * shift + shift)) +
            2 * kEps * (std::fabs(gamma[j] * normal) + std::fabs(beta[j]));
        ASSERT_NEAR(y[i * d + j], normal * gamma[j] + beta[j], bound + 1e-37) << i << ", " << j;
      }
    }
  }
};

TEST_P(LayerNormKernel, MatchesFloat64AroundVectorSizes) {
  for (const int64_t d :
       {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 312, 384, 768, 1023}) {
    check(3, d, false, 0.0f);
    check(3, d, true, 0.0f);
  }
}

TEST_P(LayerNormKernel, MatchesFloat64FarFromZero) { check(2, 384, true, 100.0f); }

TEST_P(LayerNormKernel, MayWriteOverItsInput) {
  const int64_t d = 45;
  std::mt19937 random(6);
  GuardedFloats x(d), r(d), gamma(d), beta(d), y(d);
  for (GuardedFloats* p : {&x, &r, &gamma, &beta}) fill_random(p, &random);
  LayerNormF32Args args{.rows = 1,
                        .d = d,
                        .x = x.data(),
                        .ldx = d,
                        .residual = r.data(),
                        .ld_residual = d,
                        .gamma = gamma.data(),
                        .beta = beta.data(),
                        .eps = 1e-12f,
                        .y = y.data(),
                        .ldy = d};
  kernels().layer_norm_f32(args);
  args.y = x.data();
  kernels().layer_norm_f32(args);
  EXPECT_EQ(0, std::memcmp(x.data(), y.data(), d * sizeof(float)));
}

// A constant row has no variance: eps alone keeps it finite, and the result is beta.
TEST_P(LayerNormKernel, ConstantRowGivesBeta) {
  const int64_t d = 20;
  GuardedFloats x(d), gamma(d), beta(d), y(d);
  for (int64_t i = 0; i < d; ++i) {
    x[i] = 3.0f;
    gamma[i] = 2.0f;
    beta[i] = static_cast<float>(i);
  }
  kernels().layer_norm_f32({.rows = 1,
                            .d = d,
                            .x = x.data(),
                            .ldx = d,
                            .gamma = gamma.data(),
                            .beta = beta.data(),
                            .eps = 1e-12f,
                            .y = y.data(),
                            .ldy = d});
  for (int64_t i = 0; i < d; ++i) EXPECT_EQ(y[i], static_cast<float>(i));
}

// No beta is a beta of zeros.
TEST_P(LayerNormKernel, WithoutBeta) {
  const int64_t d = 37;
  std::mt19937 random(3);
  GuardedFloats x(d), gamma(d), zeros(d), with(d), without(d);
  fill_random(&x, &random);
  fill_random(&gamma, &random);
  for (int64_t i = 0; i < d; ++i) zeros[i] = 0;
  LayerNormF32Args args{.rows = 1, .d = d, .x = x.data(), .gamma = gamma.data(), .eps = 1e-5f};
  args.beta = zeros.data();
  args.y = with.data();
  kernels().layer_norm_f32(args);
  args.beta = nullptr;
  args.y = without.data();
  kernels().layer_norm_f32(args);
  for (int64_t i = 0; i < d; ++i) EXPECT_EQ(with[i], without[i]);
}

HEADLANE_FOR_EACH_ISA(LayerNormKernel);

}  // namespace
}  // namespace headlane::kernels
