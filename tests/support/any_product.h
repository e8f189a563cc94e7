// A product of any kind on numbers of the caller's, against float64: what holds for each row of
// kernels::kProductKinds, without knowing it.
#pragma once

#include <vector>

#include "engine/file/weight_rows.h"
#include "tests/support/narrow.h"

namespace headlane::test {

using kernels::Product;
using kernels::ProductKind;

class AnyProduct {
 public:
  template <typename Number>
  AnyProduct(const ProductKind& kind, int64_t m, int64_t n, int64_t k, Number number)
      : m(m), n(n), k(k), kind_(kind), a_(kind.a, m, k), bias_(n) {
    const kernels::Table& kernels = *kernels::supported().front();
    const auto filled = [&](int64_t size) {
      std::vector<float> numbers(static_cast<size_t>(size));
      std::generate(numbers.begin(), numbers.end(), number);
      return numbers;
    };
    for (int64_t j = 0; j < n; ++j) bias_[j] = number();
    for (int64_t r = 0; r < m; ++r) {
      const std::vector<float> x = filled(k);
      if (kind.a == Element::kF32) {
        std::copy_n(x.data(), k, a_.row(r));
      } else {
        kernels.convert({.rows = 1, .cols = k, .to = kind.a, .x = x.data(), .y = a_.row(r)});
      }
    }
    floats_ = filled(n * k);
    const WeightRows floats = {Format::kF32, floats_.data()};
    w_ = stored_.convert(kernels, floats, n, k, kind.w);
    meant_ = floats_of_stored_.convert(kernels, w_, n, k, Format::kF32);
  }

  // Rows first .. first + rows of A and some of the panels, into their place of c, which has all of
  // the result's rows.
  void run(const kernels::Table& kernels, NarrowRows* c, int64_t first, int64_t rows,
           int64_t panel_begin, int64_t panel_end) {
    const Product& product = kernels.product(kind_.precision);
    Guarded<char> packed(product.packed_bytes(n, k));
    const int64_t row_size = kernels::row_bytes(kind_.w, k);
    for (int64_t p = 0; p < product.n_panels(n); ++p) {
      const int64_t column = p * product.nr;
      product.pack_panel({.rows = std::min(product.nr, n - column),
                          .k = k,
                          .w = static_cast<const char*>(w_.data) + column * row_size,
                          .scale = w_.scale ? w_.scale + column : nullptr,
                          .bias = bias_.data() + column,
                          .panel = packed.data() + p * product.panel_bytes(product.nr, k)});
    }
    product.run({.m = rows,
                 .k = k,
                 .n = n,
                 .panel_begin = panel_begin,
                 .panel_end = panel_end,
                 .a = a_.row(first),
                 .lda = a_.ld(),
                 .packed = packed.data(),
                 .c = c->row(first),
                 .ldc = c->ld()});
  }

  // The value of element [i, j], and its bound: the roundings of a sum of k products,
  // and those of scales: of a row of A, of one of W, of both, and of the sum that they multiply. A
  // minimum is summed apart from what it is taken from.
  struct Expected {
    double value, bound;
  };
  Expected expected(int64_t i, int64_t j) {
    double value = bias_[j], magnitudes = std::fabs(value);
    for (int64_t kk = 0; kk < k; ++kk) {
      const double product = a(i, kk) * static_cast<const float*>(meant_.data)[j * k + kk];
      value += product;
      magnitudes += std::fabs(product) + 2 * std::fabs(a(i, kk) * min(j, kk));
    }
    return {value, product_bound(k + 4, magnitudes)};
  }

  int64_t m, n, k;

 private:
  double min(int64_t j, int64_t kk) const {
    const auto of = [&](const auto* groups) {
      return kernels::widen_f16(groups[j * kernels::groups_in(k) + kk / kernels::kGroupSize].min);
    };
    if (kind_.w == Format::kU5Groups) return of(static_cast<const kernels::U5Group*>(w_.data));
    if (kind_.w == Format::kU4Groups) return of(static_cast<const kernels::U4Group*>(w_.data));
    return 0;
  }

  double a(int64_t i, int64_t kk) {
    switch (kind_.a) {
      case Element::kBf16:
        return kernels::widen(a_.bf16(i)[kk]);
      case Element::kU8:
        return double{a_.scale(i).scale} * (a_.u8(i)[kk] - a_.scale(i).zero);
      case Element::kS8Groups:
        return double{a_.group_scales(i)[kk / kernels::kGroupSize]} * a_.s8(i)[kk];
      case Element::kF32:
        break;
    }
    return a_.row(i)[kk];
  }

  const ProductKind& kind_;
  NarrowRows a_;
  GuardedFloats bias_;
  std::vector<float> floats_;
  RowBuffer stored_, floats_of_stored_;
  WeightRows w_, meant_;
};

}  // namespace headlane::test
