#include "tests/support/activated.h"
#include "tests/support/kernel_test.h"

namespace headlane::kernels {
namespace {

using test::activated;
using test::fill_random;
using test::GuardedFloats;
using test::kEps;

constexpr Activation kActivations[] = {Activation::kNone, Activation::kGelu, Activation::kGeluTanh,
                                       Activation::kRelu, Activation::kSilu};

class GateKernel : public test::KernelTest {};

// Activations are within 4 roundings of |x| (activation_test.cc); the product is one more.
TEST_P(GateKernel, MatchesFloat64AroundVectorSizes) {
  std::mt19937 random(1);
  for (const Activation activation : kActivations) {
    for (const int64_t d : {1, 7, 8, 9, 15, 16, 17, 33, 512}) {
      const int64_t rows = 3, ldx = 2 * d + 1, ldy = d + 5;
      GuardedFloats x(rows * ldx - 1), y(rows * ldy - 5);
      fill_random(&x, &random, 2.0f);
      kernels().gate_f32({.rows = rows,
                          .d = d,
                          .activation = activation,
                          .x = x.data(),
                          .ldx = ldx,
                          .y = y.data(),
                          .ldy = ldy});
      for (int64_t i = 0; i < y.size(); ++i) {
        const int64_t row = i / ldy, c = i % ldy;
        if (c >= d) {
          EXPECT_TRUE(std::isnan(y[i])) << "between rows";
          continue;
        }
        const float gated = x[row * ldx + c], factor = x[row * ldx + d + c];
        const double magnitude = std::fabs(double{gated} * factor);
        ASSERT_NEAR(y[i], activated(activation, gated) * factor, 5.001 * kEps * magnitude + 1e-37)
            << "activation " << static_cast<int>(activation) << " d " << d << " at " << i;
      }
    }
  }
}

TEST_P(GateKernel, MayWriteOverItsInput) {
  const int64_t rows = 3, d = 37;
  std::mt19937 random(2);
  GuardedFloats x(rows * 2 * d), y(rows * d), dense(rows * 2 * d);
  fill_random(&x, &random);
  GateF32Args args{.rows = rows,
                   .d = d,
                   .activation = Activation::kGeluTanh,
                   .x = x.data(),
                   .ldx = 2 * d,
                   .y = y.data(),
                   .ldy = d};
  kernels().gate_f32(args);
  for (const int64_t ldy : {d, 2 * d}) {
    for (int64_t i = 0; i < x.size(); ++i) dense[i] = x[i];
    args.x = args.y = dense.data();
    args.ldy = ldy;
    kernels().gate_f32(args);
    for (int64_t r = 0; r < rows; ++r) {
      EXPECT_EQ(0, std::memcmp(args.y + r * ldy, y.data() + r * d, d * sizeof(float))) << r;
    }
  }
}

TEST_P(GateKernel, SecondFactorsLieElsewhere) {
  const int64_t rows = 3, d = 21;
  std::mt19937 random(4);
  GuardedFloats together(rows * 2 * d), x(rows * d), up(rows * d), expected(rows * d), y(rows * d);
  fill_random(&together, &random);
  for (int64_t i = 0; i < rows * d; ++i) {
    x[i] = together[i / d * 2 * d + i % d];
    up[i] = together[i / d * 2 * d + d + i % d];
  }
  GateF32Args args{.rows = rows,
                   .d = d,
                   .activation = Activation::kSilu,
                   .x = together.data(),
                   .ldx = 2 * d,
                   .y = expected.data(),
                   .ldy = d};
  kernels().gate_f32(args);
  args.x = x.data();
  args.up = up.data();
  args.ldx = d;
  args.y = y.data();
  kernels().gate_f32(args);
  EXPECT_EQ(0,
            std::memcmp(y.data(), expected.data(), static_cast<size_t>(rows * d) * sizeof(float)));
}

TEST_P(GateKernel, NanShowsWhereItIs) {
  const int64_t d = 20;
  for (const Activation activation : kActivations) {
    GuardedFloats x(2 * d), y(d);
    for (int64_t i = 0; i < 2 * d; ++i) x[i] = 1.0f;
    x[3] = x[d + 19] = std::nanf("");
    kernels().gate_f32({.rows = 1, .d = d, .activation = activation, .x = x.data(), .y = y.data()});
    for (int64_t i = 0; i < d; ++i) EXPECT_EQ(std::isnan(y[i]), i == 3 || i == 19) << i;
  }
}

HEADLANE_FOR_EACH_ISA(GateKernel);

}  // namespace
}  // namespace headlane::kernels
