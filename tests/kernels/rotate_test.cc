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
                      .element = sizeof(Y) == 2 ? Element::kBf16 : Element::kF32,
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

HEADLANE_FOR_EACH_ISA(RotateKernel);

}  // namespace
}  // namespace headlane::kernels
