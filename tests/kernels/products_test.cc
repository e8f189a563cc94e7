// Each kind of product that there is, on each instruction set. What is special to one is in its
// gemm_*_test.cc.
#include "tests/support/any_product.h"

namespace headlane::kernels {
namespace {

using test::AnyProduct;
using test::NarrowRows;

class Products : public test::KernelTest {
 protected:
  static AnyProduct random_product(const ProductKind& kind, int64_t m, int64_t n, int64_t k) {
    std::mt19937 random(static_cast<uint32_t>(m * 1000003 + n * 1009 + k));
    std::normal_distribution<float> normal;
    return {kind, m, n, k, [&] { return normal(random); }};
  }
};

TEST_P(Products, MatchFloat64OfWhatTheirOperandsStandFor) {
  for (const ProductKind& kind : kProductKinds) {
    for (const int64_t k : {1, 31, 32, 33, 100}) {
      AnyProduct p = random_product(kind, 9, 50, k);
      NarrowRows c(Element::kF32, p.m, p.n);
      p.run(kernels(), &c, 0, p.m, 0, kernels().product(kind.precision).n_panels(p.n));
      for (int64_t i = 0; i < p.m; ++i) {
        for (int64_t j = 0; j < p.n; ++j) {
          const AnyProduct::Expected e = p.expected(i, j);
          ASSERT_NEAR(c.row(i)[j], e.value, e.bound) << kind.name << ", k " << k;
        }
      }
    }
  }
}

TEST_P(Products, PartsHaveTheBitsOfTheWhole) {
  for (const ProductKind& kind : kProductKinds) {
    const Product& product = kernels().product(kind.precision);
    AnyProduct p = random_product(kind, 7, 2 * product.nr + 3, 65);
    NarrowRows whole(Element::kF32, p.m, p.n), parts(Element::kF32, p.m, p.n);
    p.run(kernels(), &whole, 0, p.m, 0, 3);
    for (int64_t i = 0; i < p.m; i += 3) {
      const int64_t rows = std::min<int64_t>(3, p.m - i);
      for (int64_t panel = 0; panel < 3; ++panel) {
        p.run(kernels(), &parts, i, rows, panel, panel + 1);
      }
    }
    for (int64_t i = 0; i < p.m; ++i) {
      ASSERT_EQ(0, std::memcmp(whole.row(i), parts.row(i), static_cast<size_t>(p.n) * 4))
          << kind.name << ", row " << i;
    }
  }
}

HEADLANE_FOR_EACH_NARROW_ISA(Products);

}  // namespace
}  // namespace headlane::kernels
