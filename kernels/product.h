// Products of rows of activations and packed weights: the kinds that there are, and what an
// instruction set has of each.
#pragma once

#include "kernels/element.h"
#include "kernels/format.h"

namespace headlane::kernels {

// The precision of products is a kind of product, which is an element of activations times a
// format of weights. Each one comes behind those that lose less.
enum class Precision { kF32, kBf16, kInt8, kInt8Groups, kInt6, kInt5, kInt4 };

struct ProductKind {
  Precision precision;
  const char* name;
  Element a;
  Format w;
  double speed;  // how much faster than in f32 it is expected to be, where it is native
  // The most columns of A that sums are exact for; beyond, and for weights that need more, the kind
  // whose precision is `higher` stands in.
  int64_t most_k;
  Precision higher;
  bool automatic;  // whether "auto" may choose it
};
inline constexpr ProductKind kProductKinds[] = {
    {Precision::kF32, "f32", Element::kF32, Format::kF32, 1, INT64_MAX, Precision::kF32, true},
    {Precision::kBf16, "bf16", Element::kBf16, Format::kBf16, 2, INT64_MAX, Precision::kBf16, true},
    // 65536 * 255 * 128 < 2^31
    {Precision::kInt8, "int8", Element::kU8, Format::kS8, 3, 65536, Precision::kBf16, true},
    {Precision::kInt8Groups, "int8g", Element::kS8Groups, Format::kS8Groups, 2, INT64_MAX,
     Precision::kBf16, false},
    {Precision::kInt6, "int6", Element::kS8Groups, Format::kS6Groups, 2, INT64_MAX,
     Precision::kInt8Groups, false},
    {Precision::kInt5, "int5", Element::kS8Groups, Format::kU5Groups, 2, INT64_MAX,
     Precision::kInt8Groups, false},
    {Precision::kInt4, "int4", Element::kS8Groups, Format::kU4Groups, 3, INT64_MAX,
     Precision::kInt8Groups, false},
};
inline constexpr int kPrecisions = sizeof(kProductKinds) / sizeof(ProductKind);

constexpr const ProductKind& kind_of(Precision precision) {
  return kProductKinds[static_cast<int>(precision)];
}
constexpr const char* name_of(Precision precision) { return kind_of(precision).name; }

constexpr bool kinds_are_in_order() {
  for (const ProductKind& kind : kProductKinds) {
    if (&kind != &kind_of(kind.precision)) return false;
  }
  return true;
}
static_assert(kinds_are_in_order());

// A product does one of these to each element after the bias.
enum class Activation { kNone, kGelu, kGeluTanh, kRelu, kSilu, kTanh };

// Some columns of a product: rows of W, which become a panel.
struct PanelArgs {
  int64_t rows = 0, k = 0;                    // rows <= nr
  const void* w = nullptr;                    // [rows, k] in the kind's format
  const float* scale = nullptr;               // [rows], of s8
  const float* bias = nullptr;                // [rows], or null
  Activation activation = Activation::kNone;  // of the products to come
  void* panel = nullptr;                      // panel_bytes(rows, k), 64-byte aligned
};

// Strides count floats, as views do.
struct ProductArgs {
  int64_t m = 0, k = 0;
  int64_t n = 0;
  int64_t panel_begin = 0, panel_end = 0;  // columns panel_begin * nr .. min(panel_end * nr, n)
  const void* a = nullptr;                 // [m, k] of the kind's element
  int64_t lda = 0;
  const void* packed = nullptr;  // panels, one behind the other, 64-byte aligned
  Activation activation = Activation::kNone;
  Element c_element = Element::kF32;  // f32, or bf16 of products in less than f32
  // [m, n], 64-byte aligned. Whole vectors, and of bf16 whole rows of 64 bytes, are written: ldc is
  // a multiple of kRowAlign, and holds n.
  void* c = nullptr;
  int64_t ldc = 0;
};

// C[m, n] = activation(A[m, k] * W[n, k]^T + bias[n]). W is packed once, in the order in which run
// reads it: panels of nr columns, each its bias and what else its columns need, then its k rows,
// zeros beyond n. Sums are in f32, or of u8 and s8, exactly, in 32-bit integers, whose scales are
// applied by the same two roundings in every table: fma(float(sum), row_scale * weight_scale[n],
// bias[n]).
//
// Where both have groups along K, each group's products are summed exactly, and the groups one
// after another, in every table alike, g counting them: sum = bias[n], then for each g
// sum = fma(float(sum_of_products), weight_scale[n, g] * row_scale[g], sum) and, of codes with a
// minimum, sum = fma(-min[n, g], row_sum[g], sum). Where weights have a scale for each half of a
// group, a half's products are summed, and the halves are added one after the other.
struct Product {
  // nr of who takes all columns as one panel, whatever their number.
  static constexpr int64_t kAllColumns = int64_t{1} << 40;

  const char* name = nullptr;  // who multiplies; null: nobody
  // How a panel's numbers lie. Panels of one precision, nr, layout and size are the same bytes
  // whoever packs them, so files may keep them. Null: they are of use to this process alone.
  const char* layout = nullptr;
  bool native = false;     // the machine multiplies these; otherwise they are widened first
  int64_t mr = 0, nr = 0;  // register tile
  int64_t (*panel_bytes)(int64_t rows, int64_t k) = nullptr;  // a multiple of 64
  void (*pack_panel)(const PanelArgs& args) = nullptr;
  void (*run)(const ProductArgs& args) = nullptr;

  int64_t n_panels(int64_t n) const { return (n + nr - 1) / nr; }
  int64_t packed_bytes(int64_t n, int64_t k) const {
    return n_panels(n) * panel_bytes(n < nr ? n : nr, k);
  }
};

}  // namespace headlane::kernels
