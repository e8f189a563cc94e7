#include "tests/support/kernel_test.h"

namespace headlane::kernels {
namespace {

using test::fill_random;
using test::GuardedFloats;

class AddKernel : public test::KernelTest {};

// One rounding: the same bits everywhere.
TEST_P(AddKernel, IsTheSum) {
  std::mt19937 random(1);
  for (const int64_t rows : {0, 1, 3}) {
    for (const int64_t d : {1, 7, 8, 15, 16, 17, 33, 384}) {
      const int64_t lda = d + 1, ldb = d, ldy = d + 5;
      GuardedFloats a(rows * lda), b(rows * ldb), y(rows * ldy);
      fill_random(&a, &random);
      fill_random(&b, &random);
      const AddF32Args args{.rows = rows,
                            .d = d,
                            .a = a.data(),
                            .lda = lda,
                            .b = b.data(),
                            .ldb = ldb,
                            .y = y.data(),
                            .ldy = ldy};
      kernels().add_f32(args);
      for (int64_t i = 0; i < rows * ldy; ++i) {
        const int64_t row = i / ldy, c = i % ldy;
        if (c >= d) {
          EXPECT_TRUE(std::isnan(y[i])) << "between rows";
        } else {
          ASSERT_EQ(y[i], a[row * lda + c] + b[row * ldb + c]) << row << ", " << c;
        }
      }
    }
  }
}

TEST_P(AddKernel, InPlace) {
  GuardedFloats a(50);
  for (int64_t i = 0; i < 50; ++i) a[i] = static_cast<float>(i);
  kernels().add_f32({.rows = 1, .d = 50, .a = a.data(), .b = a.data(), .y = a.data()});
  for (int64_t i = 0; i < 50; ++i) EXPECT_EQ(a[i], static_cast<float>(2 * i));
}

HEADLANE_FOR_EACH_ISA(AddKernel);

}  // namespace
}  // namespace headlane::kernels
