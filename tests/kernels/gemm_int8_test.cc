// Products in 8-bit integers: their sums are exact and their roundings two, so every row of the
// table has the same bits, those of a plain model.
#include "tests/support/narrow_product.h"

namespace headlane::kernels {
namespace {

using test::NarrowProduct;
using test::NarrowRows;
using test::nearest_bf16;

class GemmInt8 : public test::NarrowGemmTest {
 protected:
  static constexpr Element kA = Element::kU8;

  static float expected(NarrowProduct& p, int64_t i, int64_t j) {
    const RowScale row = p.a.scale(i);
    int64_t sum = 0;
    for (int64_t kk = 0; kk < p.k; ++kk) {
      sum += int64_t{p.a.u8(i)[kk] - row.zero} * p.w_s8[j * p.k + kk];
    }
    EXPECT_EQ(sum, static_cast<int32_t>(sum)) << "the model itself overflows";
    return std::fma(static_cast<float>(sum), row.scale * p.w_scale[j], p.bias[j]);
  }

  void check(NarrowProduct& p) {
    SCOPED_TRACE("m " + std::to_string(p.m) + " n " + std::to_string(p.n) + " k " +
                 std::to_string(p.k));
    NarrowRows c(Element::kF32, p.m, p.n), narrow(Element::kBf16, p.m, p.n);
    p.run(kernels(), Activation::kNone, &c);
    p.run(kernels(), Activation::kNone, &narrow);
    for (int64_t i = 0; i < p.m; ++i) {
      for (int64_t j = 0; j < p.n; ++j) {
        const float right = expected(p, i, j);
        ASSERT_EQ(0, std::memcmp(&c.row(i)[j], &right, sizeof right))
            << i << ", " << j << ": " << c.row(i)[j] << " instead of " << right;
        ASSERT_EQ(narrow.bf16(i)[j], nearest_bf16(right)) << i << ", " << j;
      }
      for (int64_t j = p.n; j % 32 != 0; ++j) ASSERT_EQ(narrow.bf16(i)[j], 0) << i << ", " << j;
    }
  }

  // All of A and all of W one value each.
  void check_extremes(int64_t m, int64_t n, int64_t k) {
    struct Extreme {
      uint8_t u;
      int32_t zero;
      int8_t w;
    };
    // 255 * 127 + 255 * 127 is beyond 16 bits, in which VPMADDUBSW saturates; -128 is in no weight
    // of ours, but files may hold it.
    for (const Extreme& x : {Extreme{255, 0, 127},
                             {255, 0, -127},
                             {255, 0, -128},
                             {0, 255, 127},
                             {0, 255, -128},
                             {255, 255, 127},
                             {128, 128, -127}}) {
      NarrowProduct p(kA, m, n, k);
      for (int64_t i = 0; i < m; ++i) {
        std::fill_n(p.a.u8(i), k, x.u);
        p.a.set_scale(i, {0.5f, x.zero});
      }
      std::fill_n(p.w_s8.data(), n * k, x.w);
      check(p);
    }
  }
};

TEST_P(GemmInt8, HasTheBitsOfTheModelAroundTileSizes) {
  const int64_t nr = kernels().product(Precision::kInt8).nr;
  for (const int64_t n : {int64_t{1}, int64_t{15}, int64_t{17}, nr - 1, nr, nr + 1, 2 * nr + 5}) {
    for (const int64_t k : {1, 2, 3, 4, 5, 31, 63, 64, 65, 390}) {
      NarrowProduct p(kA, 17, n, k);
      check(p);
    }
  }
}

TEST_P(GemmInt8, HasTheBitsOfTheModelWhenDeep) {
  for (const int64_t k : {384, 1536, 1539}) {
    NarrowProduct p(kA, 33, 50, k);
    check(p);
  }
}

TEST_P(GemmInt8, ExtremesDoNotSaturate) {
  check_extremes(9, 50, 4);
  check_extremes(9, 50, 67);
}

TEST_P(GemmInt8, SumsDoNotOverflowUpToTheLongest) {
  check_extremes(2, 17, kind_of(Precision::kInt8).most_k);
  NarrowProduct p(kA, 2, 17, kind_of(Precision::kInt8).most_k);
  check(p);
}

TEST_P(GemmInt8, ARowHasTheSameBitsInAnyNumber) {
  for (const int64_t k : {3, 64, 390, 800}) check_row_counts(kA, 53, k);
}

TEST_P(GemmInt8, PartsHaveTheBitsOfTheWhole) {
  check_parts(kA, Element::kF32);
  check_parts(kA, Element::kBf16);
}

// A row of zeros is its bias alone; one that holds NaN says so by its scale, and shows it alone.
TEST_P(GemmInt8, ZerosAndNanStayInTheirRows) {
  const int64_t m = 19, n = 50, k = 30;
  std::mt19937 random(3);
  test::GuardedFloats x(m * k);
  test::fill_random(&x, &random);
  std::fill_n(x.data() + 5 * k, k, 0.0f);
  x[4 * k + 7] = std::nanf("");
  x[11 * k + 29] = INFINITY;
  x[12 * k] = -INFINITY;
  NarrowProduct p(kA, m, n, k);
  kernels().convert({.rows = m,
                     .cols = k,
                     .from = Element::kF32,
                     .to = kA,
                     .x = x.data(),
                     .ldx = k,
                     .y = p.a.row(0),
                     .ldy = p.a.ld()});
  NarrowRows c(Element::kF32, m, n);
  for (const Activation activation : {Activation::kNone, Activation::kGelu}) {
    p.run(kernels(), activation, &c);
    for (int64_t i = 0; i < m; ++i) {
      const bool bad = i == 4 || i == 11 || i == 12;
      for (int64_t j = 0; j < n; ++j) {
        ASSERT_EQ(std::isnan(c.row(i)[j]), bad) << i << ", " << j;
        if (i == 5 && activation == Activation::kNone) {
          ASSERT_EQ(c.row(i)[j], p.bias[j]) << j;
        }
      }
    }
  }
}

HEADLANE_FOR_EACH_NARROW_ISA(GemmInt8);

}  // namespace
}  // namespace headlane::kernels
