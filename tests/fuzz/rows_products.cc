// Products in f32, bf16 and 8-bit integers, and of any kind that there is.
#include "tests/fuzz/rows.h"
#include "tests/support/activated.h"
#include "tests/support/any_product.h"
#include "tests/support/narrow_product.h"

namespace headlane::fuzz {
namespace {

using kernels::Activation;
using kernels::Element;
using test::GuardedFloats;
using test::NarrowProduct;
using test::NarrowRows;

struct Shape {
  int64_t m, n, k;
};

// A few hundred thousand products at most, deep ones among them.
Shape any_shape(Problems* problems) {
  Shape shape{problems->size(40), problems->size(160), problems->size(900)};
  shape.k = std::min(shape.k, std::max<int64_t>(1, 200000 / (shape.m * shape.n)));
  return shape;
}

// A sum, and what it may be off by.
struct Sum {
  double value = 0, magnitudes = 0;
  void add(double product) {
    value += product;
    magnitudes += std::fabs(product);
  }
};

// -inf times the 0 that an activation makes of it may be NaN or stay infinite; it must not be a
// number.
void check_activated(const Place& place, Activation activation, double actual, double x,
                     double bound) {
  const bool smooth = activation == Activation::kGelu || activation == Activation::kGeluTanh ||
                      activation == Activation::kSilu;
  if (smooth && x == -INFINITY) {
    if (std::isfinite(actual)) finding(place.kernel, "an activation made a number of -inf");
    return;
  }
  const double expected = std::isnan(x) ? x : test::activated(activation, x);
  check_near(place, actual, expected, bound);
}

void compare_gemm_f32(Problems* problems) {
  const auto [m, n, k] = any_shape(problems);
  const Activation activation = problems->activation();
  const bool has_bias = problems->flag();
  GuardedFloats a(m * k), w(n * k), bias(n);
  problems->fill(&a, true);
  problems->fill(&w, false);
  problems->fill(&bias, true);
  for (const kernels::Table* table : rows_to_compare()) {
    const kernels::Product& gemm = table->product(kernels::Precision::kF32);
    test::Guarded<char> packed(gemm.packed_bytes(n, k));
    for (int64_t first = 0; first < n; first += gemm.nr) {
      const int64_t at = first / gemm.nr * gemm.panel_bytes(gemm.nr, k);
      gemm.pack_panel({.rows = std::min(gemm.nr, n - first),
                       .k = k,
                       .w = w.data() + first * k,
                       .bias = has_bias ? bias.data() + first : nullptr,
                       .panel = packed.data() + at});
    }
    const int64_t ldc = kernels::padded_stride(n);
    GuardedFloats c(m * ldc);
    gemm.run({.m = m,
              .k = k,
              .n = n,
              .panel_begin = 0,
              .panel_end = gemm.n_panels(n),
              .a = a.data(),
              .lda = k,
              .packed = packed.data(),
              .activation = activation,
              .c = c.data(),
              .ldc = ldc});
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        Sum sum;
        sum.add(has_bias ? bias[j] : 0.0f);
        for (int64_t kk = 0; kk < k; ++kk) sum.add(double{a[i * k + kk]} * w[j * k + kk]);
        // Activations are nowhere steeper than 1.13, and right to 4 roundings of |x|.
        const double bound = 1.13 * test::product_bound(k, sum.magnitudes) +
                             4 * test::kEps * std::fabs(sum.value) + 1e-37;
        check_activated({*table, "gemm_f32"}, activation, c[i * ldc + j], sum.value, bound);
      }
    }
  }
}

void compare_gemm_bf16(Problems* problems) {
  const auto [m, n, k] = any_shape(problems);
  const Activation activation = problems->activation();
  const Element c_element = problems->flag() ? Element::kBf16 : Element::kF32;
  NarrowProduct p(Element::kBf16, m, n, k);
  for (int64_t r = 0; r < m; ++r) {
    for (int64_t i = 0; i < k; ++i) p.a.bf16(r)[i] = test::nearest_bf16(problems->number_or_odd());
  }
  for (const kernels::Table* table : rows_to_compare()) {
    NarrowRows c(c_element, m, n);
    p.run(*table, activation, &c);
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        Sum sum;
        sum.add(p.bias[j]);
        for (int64_t kk = 0; kk < k; ++kk) {
          sum.add(double{kernels::widen(p.a.bf16(i)[kk])} * kernels::widen(p.w_bf16[j * k + kk]));
        }
        double bound = test::narrow_activation_error(
            activation, sum.value, test::product_bound(k, sum.magnitudes) + 1e-37);
        const bool narrow = c_element == Element::kBf16;
        if (narrow) {
          const double value = std::isfinite(sum.value) ? std::fabs(sum.value) : 0;
          bound += test::kBf16Eps * (value + bound);
        }
        const double actual = narrow ? kernels::widen(c.bf16(i)[j]) : c.row(i)[j];
        check_activated({*table, "gemm_bf16"}, activation, actual, sum.value, bound);
      }
    }
  }
}

// Sums are exact and the roundings of both rows the same.
void compare_gemm_int8(Problems* problems) {
  const auto [m, n, k] = any_shape(problems);
  NarrowProduct p(Element::kU8, m, n, k);
  for (int64_t r = 0; r < m && problems->odd();
       ++r) {  // the ends of bytes, where products saturate
    for (int64_t i = 0; i < k; ++i) p.a.u8(r)[i] = problems->random().one_in(2) ? 255 : 0;
    p.a.set_scale(r, {std::fabs(problems->number_or_odd()), problems->flag() ? 0 : 255});
  }
  for (int64_t i = 0; i < n * k && problems->odd(); ++i) {
    p.w_s8[i] = static_cast<int8_t>(problems->random().one_in(2) ? 127 : -128);
  }
  for (const kernels::Table* table : rows_to_compare()) {
    NarrowRows c(Element::kF32, m, n);
    p.run(*table, Activation::kNone, &c);
    for (int64_t i = 0; i < m; ++i) {
      const kernels::RowScale row = p.a.scale(i);
      for (int64_t j = 0; j < n; ++j) {
        int64_t sum = 0;
        for (int64_t kk = 0; kk < k; ++kk) {
          sum += int64_t{p.a.u8(i)[kk] - row.zero} * p.w_s8[j * k + kk];
        }
        check_bits({*table, "gemm_int8"}, c.row(i)[j],
                   std::fma(static_cast<float>(sum), row.scale * p.w_scale[j], p.bias[j]));
      }
    }
  }
}

// Any kind, on numbers alone.
void compare_products(Problems* problems) {
  const auto [m, n, k] = any_shape(problems);
  const kernels::ProductKind& kind =
      kernels::kProductKinds[problems->from(0, kernels::kPrecisions - 1)];
  test::AnyProduct p(kind, m, n, k, [&] { return problems->number(); });
  for (const kernels::Table* table : rows_to_compare()) {
    NarrowRows c(Element::kF32, m, n);
    p.run(*table, &c, 0, m, 0, table->product(kind.precision).n_panels(n));
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        const auto [value, bound] = p.expected(i, j);
        check_near({*table, kind.name}, c.row(i)[j], value, bound + 1e-37);
      }
    }
  }
}

// Rows of u8 are chosen by each row of the table alike, so bytes are equal; bf16 is rounding.
void compare_convert(Problems* problems) {
  const int64_t rows = problems->size(5), cols = problems->size(300);
  const Element to = problems->flag() ? Element::kBf16 : Element::kU8;
  NarrowRows x(Element::kF32, rows, cols);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < cols; ++i) {
      x.row(r)[i] = to == Element::kBf16 ? problems->number_or_odd() : problems->number();
    }
  }
  NarrowRows results[] = {{to, rows, cols}, {to, rows, cols}};
  for (size_t t = 0; t < 2; ++t) {
    rows_to_compare()[t]->convert({.rows = rows,
                                   .cols = cols,
                                   .from = Element::kF32,
                                   .to = to,
                                   .x = x.row(0),
                                   .ldx = x.ld(),
                                   .y = results[t].row(0),
                                   .ldy = results[t].ld()});
  }
  for (int64_t r = 0; r < rows; ++r) {
    if (!results[0].same_row(&results[1], r)) finding("convert", "two rows give other bytes");
    for (int64_t i = 0; i < cols && to == Element::kBf16; ++i) {
      check_bits({*rows_to_compare()[0], "convert"}, kernels::widen(results[0].bf16(r)[i]),
                 kernels::widen(test::nearest_bf16(x.row(r)[i])));
    }
  }
}

// The same bytes and the same scale from all rows of the table.
void compare_quantize(Problems* problems) {
  const int64_t k = problems->size(900);
  GuardedFloats w(k);
  problems->fill(&w, true);
  test::Guarded<int8_t> results[] = {test::Guarded<int8_t>(k), test::Guarded<int8_t>(k)};
  float scales[] = {0, 0};
  for (size_t t = 0; t < 2; ++t) {
    rows_to_compare()[t]->quantize_weights(w.data(), k, results[t].data(), &scales[t]);
  }
  check_bits({*rows_to_compare()[1], "quantize_weights"}, scales[1], scales[0]);
  if (std::isnan(scales[0])) return;  // and so does all that is made of the row
  for (int64_t i = 0; i < k; ++i) {
    if (results[0][i] != results[1][i]) finding("quantize_weights", "two rows give other bytes");
  }
}

constexpr Row kRows[] = {
    {"gemm_f32", compare_gemm_f32},   {"gemm_bf16", compare_gemm_bf16},
    {"gemm_int8", compare_gemm_int8}, {"products", compare_products},
    {"convert", compare_convert},     {"quantize_weights", compare_quantize},
};

}  // namespace

std::span<const Row> product_rows() { return kRows; }

}  // namespace headlane::fuzz
