// Products in bf16 against float64 of the same bf16.
#include "tests/support/activated.h"
#include "tests/support/narrow_product.h"

namespace headlane::kernels {
namespace {

using test::activated;
using test::kBf16Eps;
using test::kEps;
using test::narrow_activation_error;
using test::NarrowProduct;
using test::NarrowRows;
using test::nearest_bf16;

class GemmBf16 : public test::NarrowGemmTest {
 protected:
  static constexpr Element kA = Element::kBf16;

  void check(int64_t m, int64_t n, int64_t k, Activation activation, Element c_element) {
    SCOPED_TRACE("m " + std::to_string(m) + " n " + std::to_string(n) + " k " + std::to_string(k));
    NarrowProduct p(kA, m, n, k);
    NarrowRows c(c_element, m, n);
    p.run(kernels(), activation, &c);
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) check_element(p, &c, activation, i, j);
      if (c_element == Element::kF32) continue;
      for (int64_t j = n; j % 32 != 0; ++j) ASSERT_EQ(c.bf16(i)[j], 0) << i << ", " << j;
    }
  }

  static void check_element(NarrowProduct& p, NarrowRows* c, Activation activation, int64_t i,
                            int64_t j) {
    double sum = p.bias[j], magnitudes = std::fabs(p.bias[j]);
    for (int64_t kk = 0; kk < p.k; ++kk) {
      const double product = double{widen(p.a.bf16(i)[kk])} * widen(p.w_bf16[j * p.k + kk]);
      sum += product;
      magnitudes += std::fabs(product);
    }
    double bound = narrow_activation_error(activation, sum, test::product_bound(p.k, magnitudes));
    const double expected = activated(activation, sum);
    const bool narrow = c->element() == Element::kBf16;
    if (narrow) bound += kBf16Eps * (std::fabs(expected) + bound);
    ASSERT_NEAR(narrow ? widen(c->bf16(i)[j]) : c->row(i)[j], expected, bound) << i << ", " << j;
  }
};

// On, one below and one above each block size; 16, 32 and 48 are vectors of a panel.
TEST_P(GemmBf16, MatchesFloat64AroundTileSizes) {
  const int64_t nr = kernels().product(Precision::kBf16).nr;
  for (const int64_t n : {int64_t{1}, int64_t{15}, int64_t{17}, nr - 1, nr, nr + 1, 2 * nr + 5}) {
    for (const int64_t k : {1, 2, 3, 31, 32, 33, 64}) {
      check(17, n, k, Activation::kNone, Element::kF32);
    }
  }
}

TEST_P(GemmBf16, MatchesFloat64WhenDeep) {
  for (const int64_t k : {383, 384, 1536, 1537}) {
    check(33, 50, k, Activation::kNone, Element::kF32);
  }
}

TEST_P(GemmBf16, ARowHasTheSameBitsInAnyNumber) {
  for (const int64_t k : {1, 32, 33, 390, 800}) check_row_counts(kA, 53, k);
}

TEST_P(GemmBf16, PartsHaveTheBitsOfTheWhole) {
  check_parts(kA, Element::kF32);
  check_parts(kA, Element::kBf16);
}

TEST_P(GemmBf16, ResultsInBf16AreFilledUpWithZeros) {
  const int64_t nr = kernels().product(Precision::kBf16).nr;
  for (const int64_t n : {int64_t{1}, int64_t{31}, int64_t{32}, int64_t{33}, int64_t{47}, nr - 1,
                          nr + 1, 2 * nr + 17}) {
    check(9, n, 35, Activation::kNone, Element::kBf16);
  }
}

TEST_P(GemmBf16, AppliesTheActivation) {
  for (const Activation activation :
       {Activation::kGelu, Activation::kGeluTanh, Activation::kRelu, Activation::kSilu}) {
    for (const Element c_element : {Element::kF32, Element::kBf16}) {
      check(13, 61, 3, activation, c_element);    // sums around 0
      check(13, 61, 390, activation, c_element);  // and far from it
    }
  }
}

TEST_P(GemmBf16, NanStaysInItsRow) {
  NarrowProduct p(kA, 19, 40, 20);
  p.a.bf16(4)[7] = nearest_bf16(std::nanf(""));
  p.a.bf16(11)[19] = nearest_bf16(INFINITY);
  NarrowRows c(Element::kF32, 19, 40), narrow(Element::kBf16, 19, 40);
  p.run(kernels(), Activation::kNone, &c);
  p.run(kernels(), Activation::kNone, &narrow);
  for (int64_t i = 0; i < 19; ++i) {
    for (int64_t j = 0; j < 40; ++j) {
      ASSERT_EQ(std::isnan(c.row(i)[j]), i == 4) << i << ", " << j;
      ASSERT_EQ(std::isinf(c.row(i)[j]), i == 11) << i << ", " << j;
      ASSERT_EQ(narrow.bf16(i)[j], nearest_bf16(c.row(i)[j])) << i << ", " << j;
    }
  }
  // And through an activation, which must not make a number of it.
  p.run(kernels(), Activation::kGelu, &c);
  for (int64_t j = 0; j < 40; ++j) ASSERT_TRUE(std::isnan(c.row(4)[j])) << j;
}

HEADLANE_FOR_EACH_NARROW_ISA(GemmBf16);

}  // namespace
}  // namespace headlane::kernels
