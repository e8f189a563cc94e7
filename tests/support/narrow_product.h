// Operands of one product in bf16 or 8-bit integers, and its result for any part of it.
#pragma once

#include <memory>

#include "tests/support/narrow.h"

namespace headlane::test {

using kernels::Activation;
using kernels::Precision;
using kernels::Product;

inline const Product& product_of(const kernels::Table& kernels, Element a) {
  return kernels.product(a == Element::kBf16 ? Precision::kBf16 : Precision::kInt8);
}

// A and W random, W and its bias ending at guard pages. What a test changes, it changes before
// run(), which packs W first.
class NarrowProduct {
 public:
  NarrowProduct(Element element, int64_t m, int64_t n, int64_t k)
      : m(m),
        n(n),
        k(k),
        a(element, m, k),
        w_bf16(element == Element::kBf16 ? n * k : 0),
        w_s8(element == Element::kU8 ? n * k : 0),
        w_scale(n),
        bias(n) {
    std::mt19937 random(static_cast<uint32_t>(m * 1000003 + n * 1009 + k));
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < w_bf16.size(); ++i) w_bf16[i] = nearest_bf16(normal(random));
    for (int64_t i = 0; i < w_s8.size(); ++i) w_s8[i] = static_cast<int8_t>(random() % 255 - 127);
    for (int64_t j = 0; j < n; ++j) {
      bias[j] = normal(random);
      w_scale[j] = 0.01f + std::fabs(normal(random));
    }
    for (int64_t r = 0; r < m; ++r) fill_row(r, &random);
  }

  // Rows first .. first + rows, panels p_begin .. p_end (all: -1), into the same place of c, which
  // has the whole result's rows.
  void run(const kernels::Table& kernels, Activation activation, NarrowRows* c, int64_t first,
           int64_t rows, int64_t p_begin = 0, int64_t p_end = -1) {
    const Product& gemm = product_of(kernels, a.element());
    pack(gemm);
    gemm.run({.m = rows,
              .k = k,
              .n = n,
              .panel_begin = p_begin,
              .panel_end = p_end < 0 ? gemm.n_panels(n) : p_end,
              .a = a.row(first),
              .lda = a.ld(),
              .packed = packed_->data(),
              .activation = activation,
              .c_element = c->element(),
              .c = c->row(first),
              .ldc = c->ld()});
  }
  void run(const kernels::Table& kernels, Activation activation, NarrowRows* c) {
    run(kernels, activation, c, 0, m);
  }

  int64_t m, n, k;
  NarrowRows a;
  Guarded<Bf16> w_bf16;
  Guarded<int8_t> w_s8;
  GuardedFloats w_scale, bias;

 private:
  void fill_row(int64_t r, std::mt19937* random) {
    std::normal_distribution<float> normal;
    if (a.element() == Element::kBf16) {
      const int64_t end = kernels::round_up_to(k, 32);
      for (int64_t i = 0; i < end; ++i) {
        a.bf16(r)[i] = i < k ? nearest_bf16(normal(*random)) : Bf16{0};
      }
      return;
    }
    const int64_t end = kernels::row_scale_offset(k);
    for (int64_t i = 0; i < end; ++i) a.u8(r)[i] = static_cast<uint8_t>(i < k ? (*random)() : 0);
    const float scale = 0.01f + std::fabs(normal(*random));
    a.set_scale(r, {scale, static_cast<int32_t>((*random)() % 256)});
  }

  void pack(const Product& gemm) {
    if (packed_by_ == &gemm) return;
    packed_by_ = &gemm;
    const int64_t bytes = gemm.panel_bytes(gemm.nr, k);
    ASSERT_EQ(bytes % 64, 0);
    packed_ = std::make_unique<Guarded<char>>(gemm.n_panels(n) * bytes);
    for (int64_t p = 0; p < gemm.n_panels(n); ++p) {
      const int64_t first = p * gemm.nr;
      const void* w = w_bf16.data() + first * k;
      if (a.element() == Element::kU8) w = w_s8.data() + first * k;
      gemm.pack_panel({.rows = std::min(gemm.nr, n - first),
                       .k = k,
                       .w = w,
                       .scale = w_scale.data() + first,
                       .bias = bias.data() + first,
                       .panel = packed_->data() + p * bytes});
    }
  }

  std::unique_ptr<Guarded<char>> packed_;
  const Product* packed_by_ = nullptr;
};

// How far off an activation of a narrow product is, whose argument x is off by `error`.
// GELU is nowhere steeper than 1.13. gelu_narrow is right to 8.5e-5 within +-4.2, where it cuts its
// argument off; beyond, x is multiplied by what it is there, right to 2.4e-6. tanh's and SiLU,
// nowhere steeper than 1.1, are right to 4 roundings (activation_test.cc).
inline double narrow_activation_error(Activation activation, double x, double error) {
  switch (activation) {
    case Activation::kGelu:
      return 1.13 * error + 8.5e-5 + 2.4e-6 * std::fabs(x);
    case Activation::kGeluTanh:
    case Activation::kSilu:
    case Activation::kTanh:
      return 1.13 * error + 4 * kEps * std::fabs(x);
    case Activation::kRelu:
    case Activation::kNone:
      break;
  }
  return error;
}

// Tests of products of either element, on every row of the table.
class NarrowGemmTest : public KernelTest {
 protected:
  // Rows in fives and panels one by one have the bits of the whole, and touch nothing else.
  void check_parts(Element element, Element c_element) {
    const Product& gemm = product_of(kernels(), element);
    const int64_t m = 29, n = 3 * gemm.nr + 7, k = 401;
    NarrowProduct p(element, m, n, k);
    NarrowRows whole(c_element, m, n), parts(c_element, m, n);
    p.run(kernels(), Activation::kGelu, &whole);
    const int64_t size = c_element == Element::kBf16 ? 2 : 4;
    const std::vector<char> untouched(static_cast<size_t>(whole.ld() * 4), '\xff');
    const auto bytes = [&](int64_t row, int64_t col) { return parts.u8(row) + col * size; };
    for (int64_t i = 0; i < m; i += 5) {
      for (const int64_t panel : {int64_t{2}, int64_t{0}, int64_t{3}, int64_t{1}}) {
        const int64_t rows = std::min<int64_t>(5, m - i), end = (panel + 1) * gemm.nr;
        p.run(kernels(), Activation::kGelu, &parts, i, rows, panel, panel + 1);
        // The first of them comes upon rows that nobody has written.
        if (panel != 2) continue;
        for (int64_t r = i; r < i + rows; ++r) {
          ASSERT_EQ(0, std::memcmp(bytes(r, 0), untouched.data(),
                                   static_cast<size_t>(panel * gemm.nr * size)));
          ASSERT_EQ(0, std::memcmp(bytes(r, end), untouched.data(),
                                   static_cast<size_t>((n - end) * size)));
        }
      }
      if (i + 5 < m) {
        ASSERT_EQ(0, std::memcmp(bytes(i + 5, 0), untouched.data(), static_cast<size_t>(n * size)));
      }
    }
    for (int64_t r = 0; r < m; ++r) ASSERT_TRUE(whole.same_row(&parts, r)) << r;
  }

  // The first rows of a product of 33, for every number of them.
  void check_row_counts(Element element, int64_t n, int64_t k) {
    constexpr int64_t kMost = 131;
    NarrowProduct p(element, kMost, n, k);
    NarrowRows all(Element::kF32, kMost, n);
    p.run(kernels(), Activation::kNone, &all);
    // Each up to 17; then around strips of 32 rows, whose last one may be short, and blocks of 128.
    for (int64_t m = 1; m < kMost; m += m == 17 ? 14 : m == 33 ? 15 : m == 49 ? 78 : 1) {
      NarrowRows some(Element::kF32, kMost, n);
      p.run(kernels(), Activation::kNone, &some, 0, m);
      for (int64_t r = 0; r < m; ++r) {
        ASSERT_EQ(0, std::memcmp(all.row(r), some.row(r), static_cast<size_t>(n) * 4)) << m << r;
      }
      uint32_t bits = 0;
      std::memcpy(&bits, some.row(m), sizeof bits);
      ASSERT_EQ(bits, 0xffffffffu) << "row " << m << " of " << m << " was written";
    }
  }
};

}  // namespace headlane::test
