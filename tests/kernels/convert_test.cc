// Rows between floats, bf16 and u8, and weights into s8: the same bits on every row of the table.
#include "tests/support/narrow.h"

namespace headlane::kernels {
namespace {

using test::fill_random;
using test::Guarded;
using test::GuardedFloats;
using test::kEps;
using test::NarrowRows;
using test::nearest_bf16;

float from_bits(uint32_t bits) {
  float x = 0;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// Rows of floats with a gap between them, as a view of some columns has.
struct FloatRows {
  FloatRows(int64_t n_rows, int64_t n_cols)
      : rows(n_rows), cols(n_cols), ld(n_cols + 3), data((rows - 1) * ld + cols) {}
  float* row(int64_t r) { return data.data() + r * ld; }
  int64_t rows, cols, ld;
  GuardedFloats data;
};

class ConvertKernel : public test::KernelTest {
 protected:
  static void convert(const Table& table, FloatRows& x, NarrowRows* y) {
    table.convert({.rows = x.rows,
                   .cols = x.cols,
                   .from = Element::kF32,
                   .to = y->element(),
                   .x = x.data.data(),
                   .ldx = x.ld,
                   .y = y->row(0),
                   .ldy = y->ld()});
  }
  static void convert(const Table& table, int64_t rows, int64_t cols, NarrowRows& x,
                      NarrowRows* y) {
    table.convert({.rows = rows,
                   .cols = cols,
                   .from = x.element(),
                   .to = y->element(),
                   .x = x.row(0),
                   .ldx = x.ld(),
                   .y = y->row(0),
                   .ldy = y->ld()});
  }

  // To bf16: each the nearest, NaN where it was, zeros behind.
  void check_bf16(FloatRows& x) {
    NarrowRows y(Element::kBf16, x.rows, x.cols), of_ref(Element::kBf16, x.rows, x.cols);
    convert(kernels(), x, &y);
    convert(*supported().front(), x, &of_ref);
    for (int64_t r = 0; r < x.rows; ++r) {
      for (int64_t i = 0; i < x.cols; ++i) {
        const float value = x.row(r)[i];
        if (std::isnan(value)) {
          ASSERT_TRUE(std::isnan(widen(y.bf16(r)[i]))) << value;
        } else {
          ASSERT_EQ(y.bf16(r)[i], nearest_bf16(value)) << value;
        }
      }
      for (int64_t i = x.cols; i % 32 != 0; ++i) ASSERT_EQ(y.bf16(r)[i], 0) << r << ", " << i;
      ASSERT_TRUE(y.same_row(&of_ref, r)) << r;
    }
  }

  // To u8, from these floats and from the bf16 next to them: as kernels.h promises, and ref's bits.
  void check_u8(FloatRows& x) {
    NarrowRows wide(Element::kU8, x.rows, x.cols), of_ref(Element::kU8, x.rows, x.cols);
    convert(kernels(), x, &wide);
    convert(*supported().front(), x, &of_ref);
    for (int64_t r = 0; r < x.rows; ++r) {
      check_u8_row(x.row(r), x.cols, wide.u8(r), wide.scale(r));
      ASSERT_TRUE(wide.same_row(&of_ref, r)) << r;
    }
    NarrowRows bf16(Element::kBf16, x.rows, x.cols);
    convert(kernels(), x, &bf16);
    NarrowRows narrow(Element::kU8, x.rows, x.cols);
    convert(kernels(), x.rows, x.cols, bf16, &narrow);
    convert(*supported().front(), x.rows, x.cols, bf16, &of_ref);
    for (int64_t r = 0; r < x.rows; ++r) {
      for (int64_t i = 0; i < x.cols; ++i) x.row(r)[i] = widen(bf16.bf16(r)[i]);
      check_u8_row(x.row(r), x.cols, narrow.u8(r), narrow.scale(r));
      ASSERT_TRUE(narrow.same_row(&of_ref, r)) << r;
    }
  }

  // To groups of s8, from these floats and from the bf16 next to them: half a step at most, in
  // steps of which four roundings come on top, of up to 127; zeros behind; the sums of the codes;
  // and ref's bits.
  void check_groups(FloatRows& x) {
    NarrowRows wide(Element::kS8Groups, x.rows, x.cols), narrow(Element::kS8Groups, x.rows, x.cols),
        of_ref(Element::kS8Groups, x.rows, x.cols), bf16(Element::kBf16, x.rows, x.cols);
    convert(kernels(), x, &wide);
    convert(*supported().front(), x, &of_ref);
    for (int64_t r = 0; r < x.rows; ++r) {
      check_groups_row(x.row(r), x.cols, wide.s8(r), wide.group_scales(r), wide.group_sums(r));
      ASSERT_TRUE(wide.same_row(&of_ref, r)) << r;
    }
    convert(kernels(), x, &bf16);
    convert(kernels(), x.rows, x.cols, bf16, &narrow);
    convert(*supported().front(), x.rows, x.cols, bf16, &of_ref);
    for (int64_t r = 0; r < x.rows; ++r) ASSERT_TRUE(narrow.same_row(&of_ref, r)) << r;
  }

  static void check_groups_row(const float* x, int64_t n, const int8_t* codes, const float* scales,
                               const float* sums) {
    for (int64_t g = 0; g < groups_in(n); ++g) {
      double most = 0;
      int total = 0;
      for (int64_t i = g * kGroupSize; i < (g + 1) * kGroupSize; ++i) {
        ASSERT_GE(codes[i], -127);
        total += codes[i];
        if (i >= n) {
          ASSERT_EQ(codes[i], 0) << i;
          continue;
        }
        most = std::max<double>(most, std::fabs(x[i]));
        const double off = std::fabs(double{scales[g]} * codes[i] - x[i]);
        ASSERT_LE(off, scales[g] * (0.5 + 4 * 127 * test::kEps) + 1e-36) << i << ": " << x[i];
      }
      ASSERT_EQ(scales[g], static_cast<float>(most) / 127.0f);
      ASSERT_EQ(sums[g], scales[g] * static_cast<float>(total));
    }
  }

  // Half a step at most: what rounding to one of 256 costs, or at an end of the range, where the
  // zero was rounded too, cutting off. In steps, up to 256 of them, five float32 roundings come on
  // top: two in the step's inverse, one in the sum that is rounded, two in the scale.
  static void check_u8_row(const float* x, int64_t n, const uint8_t* u, RowScale scale) {
    ASSERT_GE(scale.zero, 0);
    ASSERT_LE(scale.zero, 255);
    double low = 0, high = 0;
    for (int64_t i = 0; i < n; ++i) {
      low = std::min<double>(low, x[i]);
      high = std::max<double>(high, x[i]);
    }
    ASSERT_NEAR(scale.scale, (high - low) / 255, 3 * kEps * (high - low) / 255);
    const double bound = scale.scale * (0.5 + 5 * 256 * kEps);
    for (int64_t i = 0; i < n; ++i) {
      const double back = double{scale.scale} * (u[i] - scale.zero);
      ASSERT_NEAR(back, x[i], bound) << i;
      if (x[i] == 0) {
        ASSERT_EQ(u[i], scale.zero) << i;
      }
    }
  }
};

constexpr int64_t kLengths[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 100, 384};

TEST_P(ConvertKernel, ToBf16IsTheNearestForAnyLength) {
  std::mt19937 random(1);
  for (const int64_t cols : kLengths) {
    FloatRows x(3, cols);
    fill_random(&x.data, &random);
    check_bf16(x);
  }
}

// Any bits: NaN with all kinds of payloads, infinities, denormals, ties, and what rounds to them.
TEST_P(ConvertKernel, ToBf16IsTheNearestForAnyBits) {
  std::mt19937 random(2);
  FloatRows x(40, 1000);
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t i = 0; i < x.cols; ++i) x.row(r)[i] = from_bits(static_cast<uint32_t>(random()));
  }
  check_bf16(x);
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t i = 0; i < x.cols; ++i) {
      const uint32_t upper = static_cast<uint32_t>(random()) << 16;
      constexpr uint32_t kLower[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};  // 0x8000 is a tie
      x.row(r)[i] = from_bits(upper | kLower[i % 6]);
    }
  }
  check_bf16(x);
  const float special[] = {0.0f,
                           -0.0f,
                           INFINITY,
                           -INFINITY,
                           1e-45f,
                           3.4028235e38f,
                           -3.3961e38f,
                           from_bits(0x7f800001),
                           -1e-40,
                           from_bits(0xffffffff),
                           1.17549435e-38f,
                           from_bits(0x7f7f8000)};
  FloatRows few(1, 12);
  std::copy(special, special + 12, few.row(0));
  check_bf16(few);
}

TEST_P(ConvertKernel, FromBf16ToBf16IsACopy) {
  std::mt19937 random(3);
  for (const int64_t cols : kLengths) {
    NarrowRows x(Element::kBf16, 2, cols), y(Element::kBf16, 2, cols);
    for (int64_t r = 0; r < 2; ++r) {
      for (int64_t i = 0; i < cols; ++i) x.bf16(r)[i] = static_cast<Bf16>(random());
    }
    convert(kernels(), 2, cols, x, &y);
    for (int64_t r = 0; r < 2; ++r) {
      for (int64_t i = 0; i < cols; ++i) {
        const bool nan = std::isnan(widen(x.bf16(r)[i]));
        ASSERT_EQ(std::isnan(widen(y.bf16(r)[i])), nan);
        ASSERT_TRUE(nan || y.bf16(r)[i] == x.bf16(r)[i]) << r << ", " << i;
      }
      for (int64_t i = cols; i % 32 != 0; ++i) ASSERT_EQ(y.bf16(r)[i], 0) << r << ", " << i;
    }
  }
}

TEST_P(ConvertKernel, ToU8IsWithinHalfAStepForAnyLength) {
  std::mt19937 random(4);
  for (const int64_t cols : kLengths) {
    for (const float scale : {1e-20f, 1.0f, 1e20f}) {
      FloatRows x(5, cols);
      fill_random(&x.data, &random, scale);
      check_u8(x);
    }
  }
}

// Rows of each sign alone, around means far from 0, with one element far out, constant, of zeros.
TEST_P(ConvertKernel, ToU8IsWithinHalfAStepForAnyRange) {
  std::mt19937 random(5);
  const int64_t cols = 70;
  for (int round = 0; round < 50; ++round) {
    FloatRows x(8, cols);
    fill_random(&x.data, &random);
    for (int64_t i = 0; i < cols; ++i) {
      x.row(0)[i] = std::fabs(x.row(0)[i]);
      x.row(1)[i] = -std::fabs(x.row(1)[i]);
      x.row(2)[i] += 1000;
      x.row(3)[i] -= 3;
      x.row(4)[i] = i == round ? 1e6f : x.row(4)[i];
      x.row(5)[i] = static_cast<float>(round) - 7;
      x.row(6)[i] = 0;
      x.row(7)[i] = i % 3 == 0 ? 0.0f : x.row(7)[i];
    }
    check_u8(x);
  }
}

// Numbers next to the smallest: a step's inverse would overflow there.
TEST_P(ConvertKernel, ToU8OfDenormals) {
  for (const float size : {1e-45f, 1e-40f, 1e-38f, 1e-37f, 1e-36f, 1e-30f}) {
    FloatRows x(1, 20);
    for (int64_t i = 0; i < 20; ++i) x.row(0)[i] = size * static_cast<float>(i % 5 - 2);
    NarrowRows y(Element::kU8, 1, 20), of_ref(Element::kU8, 1, 20);
    convert(kernels(), x, &y);
    convert(*supported().front(), x, &of_ref);
    ASSERT_TRUE(y.same_row(&of_ref, 0)) << size;
    const RowScale scale = y.scale(0);
    ASSERT_GE(scale.zero, 0);
    ASSERT_LE(scale.zero, 255);
    for (int64_t i = 0; i < 20; ++i) {
      // A number below 1e-36 may become 0.
      const double back = double{scale.scale} * (y.u8(0)[i] - scale.zero);
      ASSERT_NEAR(back, x.row(0)[i], std::max(1e-36, 0.51 * scale.scale)) << size << ", " << i;
    }
  }
}

TEST_P(ConvertKernel, ToU8SaysWhatIsNotFinite) {
  std::mt19937 random(6);
  for (const float poison : {std::nanf(""), INFINITY, -INFINITY}) {
    for (const int64_t at : {0, 15, 16, 36}) {
      FloatRows x(3, 37);
      fill_random(&x.data, &random);
      x.row(1)[at] = poison;
      NarrowRows y(Element::kU8, 3, 37), bf16(Element::kBf16, 3, 37), again(Element::kU8, 3, 37);
      convert(kernels(), x, &y);
      convert(kernels(), x, &bf16);
      convert(kernels(), 3, 37, bf16, &again);
      for (int64_t r = 0; r < 3; ++r) {
        ASSERT_EQ(std::isnan(y.scale(r).scale), r == 1) << poison << " at " << at;
        ASSERT_EQ(std::isnan(again.scale(r).scale), r == 1) << poison << " at " << at;
      }
    }
  }
}

TEST_P(ConvertKernel, GroupsHaveScalesOfTheirOwn) {
  std::mt19937 random(7);
  for (const int64_t cols : {1, 7, 31, 32, 33, 64, 100, 384}) {
    FloatRows x(3, cols);
    std::normal_distribution<float> normal;
    for (int64_t r = 0; r < x.rows; ++r) {
      const float size = r == 0 ? 1.0f : r == 1 ? 1e-20f : 1e30f;
      for (int64_t i = 0; i < cols; ++i) x.row(r)[i] = size * normal(random);
    }
    check_groups(x);
  }
}

TEST_P(ConvertKernel, WhatIsNotFiniteShowsInItsGroupAlone) {
  for (const float bad : {std::nanf(""), INFINITY, -INFINITY}) {
    FloatRows x(1, 100);
    for (int64_t i = 0; i < 100; ++i) x.row(0)[i] = static_cast<float>(i) - 50;
    x.row(0)[40] = bad;
    NarrowRows y(Element::kS8Groups, 1, 100);
    convert(kernels(), x, &y);
    for (int64_t g = 0; g < 4; ++g) {
      EXPECT_EQ(std::isnan(y.group_scales(0)[g]), g == 1) << bad << " " << g;
      EXPECT_EQ(std::isnan(y.group_sums(0)[g]), g == 1) << bad << " " << g;
    }
    EXPECT_EQ(std::count(y.s8(0) + 32, y.s8(0) + 64, 0), 32) << bad;
  }
}

HEADLANE_FOR_EACH_NARROW_ISA(ConvertKernel);

class QuantizeKernel : public test::KernelTest {
 protected:
  // The nearest of 255 steps; four float32 roundings of up to 128 steps come on top.
  void check(GuardedFloats& w) {
    const int64_t k = w.size();
    Guarded<int8_t> q(k), of_ref(k);
    float scale = -1, ref_scale = -1;
    kernels().quantize_weights(w.data(), k, q.data(), &scale);
    supported().front()->quantize_weights(w.data(), k, of_ref.data(), &ref_scale);
    double most = 0;
    for (int64_t i = 0; i < k; ++i) most = std::max<double>(most, std::fabs(w[i]));
    ASSERT_EQ(scale, static_cast<float>(most) / 127.0f);
    ASSERT_EQ(scale, ref_scale);
    for (int64_t i = 0; i < k; ++i) {
      ASSERT_EQ(q[i], of_ref[i]) << i;
      ASSERT_GE(q[i], -127) << i;
      ASSERT_NEAR(double{scale} * q[i], w[i], std::max(1e-36, scale * (0.5 + 4 * 128 * kEps))) << i;
    }
  }
};

TEST_P(QuantizeKernel, IsWithinHalfAStepForAnyLength) {
  std::mt19937 random(7);
  for (const int64_t k : kLengths) {
    for (const float spread : {1e-20f, 0.05f, 1e20f}) {
      GuardedFloats w(k);
      fill_random(&w, &random, spread);
      check(w);
    }
  }
}

TEST_P(QuantizeKernel, WhatIsNotFiniteIsSeenInTheScale) {
  for (const float poison : {NAN, INFINITY, -INFINITY}) {
    for (const int64_t at : {0, 15, 36}) {
      std::mt19937 random(8);
      GuardedFloats w(37);
      fill_random(&w, &random);
      w[at] = poison;
      Guarded<int8_t> q(37);
      float scale = 0;
      kernels().quantize_weights(w.data(), 37, q.data(), &scale);
      EXPECT_TRUE(std::isnan(scale)) << poison << " at " << at;
      for (int64_t i = 0; i < 37; ++i) ASSERT_EQ(q[i], 0) << poison << " at " << at;
    }
  }
}

TEST_P(QuantizeKernel, RowsOfOneValue) {
  for (const float value : {0.0f, -0.0f, 1.0f, -3.0f, 1e-45f, -1e-40f, 1e-37f, 3e38f}) {
    GuardedFloats w(21);
    std::fill_n(w.data(), 21, value);
    check(w);
    w[3] = 0;
    check(w);
  }
}

HEADLANE_FOR_EACH_NARROW_ISA(QuantizeKernel);

}  // namespace
}  // namespace headlane::kernels
