#include <vector>

#include "tests/support/kernel_test.h"

namespace headlane::kernels {
namespace {

using test::fill_random;
using test::GuardedFloats;

// W [n, k] as panels of a product, which ends at a guard page.
class Packed {
 public:
  Packed(const Product& product, GuardedFloats* w, const float* bias, int64_t n, int64_t k)
      : bytes_(product.packed_bytes(n, k)) {
    for (int64_t first = 0; first < n; first += product.nr) {
      product.pack_panel(
          {.rows = std::min(product.nr, n - first),
           .k = k,
           .w = w->data() + first * k,
           .bias = bias ? bias + first : nullptr,
           .panel = bytes_.data() + first / product.nr * product.panel_bytes(product.nr, k)});
    }
  }
  const void* data() { return bytes_.data(); }

 private:
  test::Guarded<char> bytes_;
};

class Gemm : public test::KernelTest {
 protected:
  const Product& product() const { return kernels().product(Precision::kF32); }

  // A, W, bias random; C checked against float64 within the bound, element by element.
  void check(int64_t m, int64_t n, int64_t k) {
    SCOPED_TRACE("m " + std::to_string(m) + " n " + std::to_string(n) + " k " + std::to_string(k));
    std::mt19937 random(static_cast<uint32_t>(m * 1000003 + n * 1009 + k));
    const Product& gemm = product();
    GuardedFloats a(m * k), w(n * k), bias(n);
    fill_random(&a, &random);
    fill_random(&w, &random);
    fill_random(&bias, &random);
    Packed packed(gemm, &w, bias.data(), n, k);
    const int64_t ldc = padded_stride(n);
    GuardedFloats c(m * ldc);
    gemm.run({.m = m,
              .k = k,
              .n = n,
              .panel_begin = 0,
              .panel_end = gemm.n_panels(n),
              .a = a.data(),
              .lda = k,
              .packed = packed.data(),
              .c = c.data(),
              .ldc = ldc});
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = bias[j], magnitudes = std::fabs(bias[j]);
        for (int64_t kk = 0; kk < k; ++kk) {
          const double product = double{a[i * k + kk]} * w[j * k + kk];
          sum += product;
          magnitudes += std::fabs(product);
        }
        ASSERT_NEAR(c[i * ldc + j], sum, test::product_bound(k, magnitudes)) << i << ", " << j;
      }
    }
  }
};

// On, one below and one above each block size: MR, NR, the vectors of a panel, and size 1.
TEST_P(Gemm, MatchesFloat64AroundTileSizes) {
  const int64_t mr = product().mr, nr = product().nr;
  for (const int64_t m : {int64_t{1}, mr - 1, mr, mr + 1, 2 * mr + 3}) {
    for (const int64_t n : {int64_t{1}, nr - 1, nr, nr + 1, nr / 2, nr / 3 + 1, 2 * nr + 5}) {
      for (const int64_t k : {1, 2, 15, 16, 17, 33}) check(m, n, k);
    }
  }
}

// KC is 256 (AVX2) and 384 (AVX-512): longer sums go through C.
TEST_P(Gemm, MatchesFloat64AroundDepthBlocks) {
  for (const int64_t k : {255, 256, 257, 383, 384, 385, 512, 769, 1536}) check(9, 50, k);
}

TEST_P(Gemm, EveryRowCountOfATile) {
  for (int64_t m = 1; m <= 2 * product().mr; ++m) check(m, 37, 26);
}

// The part of the panels, or of the rows, that one thread computes has the bits of the whole.
TEST_P(Gemm, PartsHaveTheBitsOfTheWhole) {
  const int64_t m = 29, n = 3 * product().nr + 7, k = 400;
  std::mt19937 random(1);
  const Product& gemm = product();
  GuardedFloats a(m * k), w(n * k);
  fill_random(&a, &random);
  fill_random(&w, &random);
  Packed packed(gemm, &w, nullptr, n, k);
  const int64_t ldc = padded_stride(n);
  GuardedFloats whole(m * ldc), parts(m * ldc);
  ProductArgs args{.m = m,
                   .k = k,
                   .n = n,
                   .panel_end = gemm.n_panels(n),
                   .a = a.data(),
                   .lda = k,
                   .packed = packed.data(),
                   .activation = Activation::kGelu,
                   .c = whole.data(),
                   .ldc = ldc};
  gemm.run(args);
  for (int64_t i = 0; i < m; i += 5) {
    for (int64_t p = 0; p < gemm.n_panels(n); ++p) {
      args.m = std::min<int64_t>(5, m - i);
      args.panel_begin = p;
      args.panel_end = p + 1;
      args.a = a.data() + i * k;
      args.c = parts.data() + i * ldc;
      gemm.run(args);
    }
  }
  for (int64_t i = 0; i < m; ++i) {
    ASSERT_EQ(0, std::memcmp(&whole[i * ldc], &parts[i * ldc], static_cast<size_t>(n) * 4)) << i;
  }
}

TEST_P(Gemm, AppliesTheActivationOnce) {
  const int64_t m = 13, n = 61, k = 390;
  std::mt19937 random(2);
  const Product& gemm = product();
  GuardedFloats a(m * k), w(n * k);
  fill_random(&a, &random, 0.05f);
  fill_random(&w, &random);
  Packed packed(gemm, &w, nullptr, n, k);
  const int64_t ldc = padded_stride(n);
  for (const Activation activation :
       {Activation::kGelu, Activation::kGeluTanh, Activation::kRelu}) {
    GuardedFloats plain(m * ldc), active(m * ldc), expected(n);
    ProductArgs args{.m = m,
                     .k = k,
                     .n = n,
                     .panel_end = gemm.n_panels(n),
                     .a = a.data(),
                     .lda = k,
                     .packed = packed.data(),
                     .c = plain.data(),
                     .ldc = ldc};
    gemm.run(args);
    args.activation = activation;
    args.c = active.data();
    gemm.run(args);
    for (int64_t i = 0; i < m; ++i) {
      kernels().activate_f32(activation, n, &plain[i * ldc], expected.data());
      for (int64_t j = 0; j < n; ++j) ASSERT_EQ(active[i * ldc + j], expected[j]) << i << ", " << j;
    }
  }
}

// A NaN in one row of A shows in that row of C alone.
TEST_P(Gemm, NanStaysInItsRow) {
  const int64_t m = 11, n = 40, k = 20;
  std::mt19937 random(3);
  const Product& gemm = product();
  GuardedFloats a(m * k), w(n * k);
  fill_random(&a, &random);
  fill_random(&w, &random);
  a[4 * k + 7] = std::nanf("");
  Packed packed(gemm, &w, nullptr, n, k);
  const int64_t ldc = padded_stride(n);
  GuardedFloats c(m * ldc);
  gemm.run({.m = m,
            .k = k,
            .n = n,
            .panel_end = gemm.n_panels(n),
            .a = a.data(),
            .lda = k,
            .packed = packed.data(),
            .activation = Activation::kGelu,
            .c = c.data(),
            .ldc = ldc});
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) ASSERT_EQ(std::isnan(c[i * ldc + j]), i == 4) << i << ", " << j;
  }
}

HEADLANE_FOR_EACH_ISA(Gemm);

}  // namespace
}  // namespace headlane::kernels
