#include "tests/support/kernel_test.h"
#include "tests/support/narrow.h"

namespace headlane::kernels {
namespace {

using test::fill_random;
using test::Guarded;
using test::GuardedFloats;
using test::kEps;

class RotateKernel : public test::KernelTest {
 protected:
  // y's elements are within two roundings of their two products, and bf16's own.
  template <typename Y>
  void check(int64_t head_dim, int64_t dims, bool interleaved) {
    constexpr int64_t kHeads = 3;
    SCOPED_TRACE("head_dim " + std::to_string(head_dim) + " dims " + std::to_string(dims));
    std::mt19937 random(static_cast<uint32_t>(head_dim * 1000 + dims));
    GuardedFloats x(kHeads * head_dim), table(dims);
    fill_random(&x, &random, 2.0f);
    fill_random(&table, &random);
    Guarded<Y> y(kHeads * head_dim);
    kernels().rotate({.n_heads = kHeads,
                      .head_dim = head_dim,
                      .rotary = table.data(),
                      .rotary_dims = dims,
                      .interleaved = interleaved,
                      .x = x.data(),
                      .format = sizeof(Y) == 2 ? Format::kBf16 : Format::kF32,
                      .y = y.data()});
    const auto at = [&](int64_t i) -> double {
      if constexpr (sizeof(Y) == 2) return widen(y[i]);
      return y[i];
    };
    const double own = sizeof(Y) == 2 ? test::kBf16Eps : 0;
    const int64_t half = dims / 2;
    for (int64_t h = 0; h < kHeads; ++h) {
      const float* head = x.data() + h * head_dim;
      for (int64_t c = 0; c < half; ++c) {
        const int64_t i = interleaved ? 2 * c : c, partner = interleaved ? i + 1 : c + half;
        const double cosine = table[c], sine = table[half + c];
        const double a = head[i], b = head[partner];
        const double near = (2 * kEps + own) * (std::fabs(a) + std::fabs(b)) *
                            (std::fabs(cosine) + std::fabs(sine));
        ASSERT_NEAR(at(h * head_dim + i), a * cosine - b * sine, near);
        ASSERT_NEAR(at(h * head_dim + partner), b * cosine + a * sine, near);
      }
      for (int64_t i = dims; i < head_dim; ++i) {
        ASSERT_NEAR(at(h * head_dim + i), head[i], own * std::fabs(head[i])) << i;
      }
    }
  }
};

// Around vectors (8, 16) and their halves; 0: only rounded.
TEST_P(RotateKernel, MatchesFloat64) {
  for (const bool interleaved : {false, true}) {
    for (const int64_t dims : {0, 2, 6, 8, 14, 16, 18, 30, 32, 34, 64, 128}) {
      for (const int64_t more : {0, 1, 9}) {
        if (dims + more == 0) continue;
        check<float>(dims + more, dims, interleaved);
        check<Bf16>(dims + more, dims, interleaved);
      }
    }
  }
}

// Codes and scales are those of the turned floats, rounded as quantize_weights rounds rows.
TEST_P(RotateKernel, RoundsToCodesWithAScaleForEachHead) {
  constexpr int64_t kHeads = 3;
  for (const int64_t dims : {0, 2, 14, 16, 34, 64}) {
    for (const int64_t head_dim : {dims + 1, dims + 16, dims + 23}) {
      for (const bool interleaved : {false, true}) {
        std::mt19937 random(static_cast<uint32_t>(head_dim * 1000 + dims));
        GuardedFloats x(kHeads * head_dim), table(dims), turned(kHeads * head_dim);
        fill_random(&x, &random, 2.0f);
        fill_random(&table, &random);
        for (int64_t i = 0; i < head_dim; ++i) x[head_dim + i] = 0;
        x[2 * head_dim + dims] = std::nanf("");
        Guarded<int8_t> y(kHeads * head_dim), codes(head_dim);
        GuardedFloats scales(kHeads);
        RotateArgs args = {.n_heads = kHeads,
                           .head_dim = head_dim,
                           .rotary = table.data(),
                           .rotary_dims = dims,
                           .interleaved = interleaved,
                           .x = x.data(),
                           .y = turned.data()};
        kernels().rotate(args);
        args.format = Format::kS8;
        args.y = y.data();
        args.scales = scales.data();
        kernels().rotate(args);
        float scale = 0, most = 0;
        kernels().quantize_weights(turned.data(), head_dim, codes.data(), &scale);
        for (int64_t i = 0; i < head_dim; ++i) most = std::max(most, std::fabs(turned[i]));
        EXPECT_EQ(scales[0], most / 127.0f);
        EXPECT_EQ(scales[0], scale);
        EXPECT_EQ(0, std::memcmp(y.data(), codes.data(), static_cast<size_t>(head_dim)));
        for (int64_t i = 0; i < head_dim; ++i) {
          EXPECT_LE(std::fabs(y[i] * scale - turned[i]), scale * 0.50001f) << i;
        }
        EXPECT_EQ(scales[1], 0.0f);
        EXPECT_TRUE(std::isnan(scales[2]));
      }
    }
  }
}

// Floats of bf16 are bf16 again, and so are codes made of them those of the floats.
TEST_P(RotateKernel, ReadsBf16) {
  for (const int64_t head_dim : {1, 7, 16, 33, 64}) {
    std::mt19937 random(static_cast<uint32_t>(head_dim));
    GuardedFloats x(2 * head_dim), y(2 * head_dim), scales(2), scales_of_bf16(2);
    fill_random(&x, &random);
    Guarded<Bf16> narrow(2 * head_dim);
    Guarded<int8_t> codes(2 * head_dim), codes_of_bf16(2 * head_dim);
    kernels().rotate({.n_heads = 2,
                      .head_dim = head_dim,
                      .x = x.data(),
                      .format = Format::kBf16,
                      .y = narrow.data()});
    RotateArgs args = {.n_heads = 2,
                       .head_dim = head_dim,
                       .element = Element::kBf16,
                       .x = narrow.data(),
                       .y = y.data()};
    kernels().rotate(args);
    for (int64_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i], widen(narrow[i]));
    args.format = Format::kS8;
    args.y = codes_of_bf16.data();
    args.scales = scales_of_bf16.data();
    kernels().rotate(args);
    args.element = Element::kF32;
    args.x = y.data();
    args.y = codes.data();
    args.scales = scales.data();
    kernels().rotate(args);
    EXPECT_EQ(0, std::memcmp(codes.data(), codes_of_bf16.data(), static_cast<size_t>(y.size())));
    EXPECT_EQ(0, std::memcmp(scales.data(), scales_of_bf16.data(), 2 * sizeof(float)));
  }
}

HEADLANE_FOR_EACH_ISA(RotateKernel);

}  // namespace
}  // namespace headlane::kernels
