// Rows of floats or bf16 into bf16, u8 or groups of s8, and rows of weights into s8. Bound by what
// it reads.
#pragma once

#include "kernels/loops-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// Vectors of a row of either element, as floats.
struct F32Row {
  const float* x;
  F32 load_at(int64_t i, int64_t n) const { return load_up_to(x + i, n); }
};
struct Bf16Row {
  const Bf16* x;
  F32 load_at(int64_t i, int64_t n) const {
    return n == kWidth ? load_bf16(x + i) : load_bf16_n(x + i, n);
  }
};

template <typename Row>
inline void row_to_bf16(Row row, int64_t n, Bf16* y) {
  for_each_vector(n, [&](int64_t i, int64_t width) {
    const F32 x = row.load_at(i, width);  // zeros beyond its end
    width == kWidth ? store_bf16(y + i, x) : store_bf16_n(y + i, x, width);
  });
  for (int64_t i = n; i % 32 != 0; ++i) y[i] = 0;
}

// A row of u8 needs the range of the whole row. There are several partial results, so that
// operations overlap.
struct RowRange {
  static constexpr int kParts = 4;
  F32 smallest[kParts], largest[kParts], differences[kParts];

  RowRange() {
    for (int i = 0; i < kParts; ++i) smallest[i] = largest[i] = differences[i] = broadcast(0.0f);
  }
  void add(int part, F32 x) {
    smallest[part] = min(smallest[part], x);
    largest[part] = max(largest[part], x);
    differences[part] = differences[part] + (x - x);
  }
  float low() const {
    return reduce_min(min(min(smallest[0], smallest[1]), min(smallest[2], smallest[3])));
  }
  float high() const {
    return reduce_max(max(max(largest[0], largest[1]), max(largest[2], largest[3])));
  }
  // 0, or NaN where an element is not finite.
  float wrong() const {
    return reduce_add((differences[0] + differences[1]) + (differences[2] + differences[3]));
  }
};

template <typename Row>
inline RowRange range_of(Row row, int64_t n) {
  constexpr int64_t kStep = RowRange::kParts * kWidth;
  RowRange range;
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) {
    HEADLANE_UNROLL
    for (int part = 0; part < RowRange::kParts; ++part) {
      range.add(part, row.load_at(i + part * kWidth, kWidth));
    }
  }
  for (; i < n; i += kWidth) range.add(0, row.load_at(i, smaller(kWidth, n - i)));
  return range;
}

// A NaN in the row becomes its scale, and so shows in all of the row's products.
template <typename Row>
inline void row_to_u8(Row row, int64_t n, uint8_t* y) {
  const RowRange of_row = range_of(row, n);
  const float low = of_row.low(), range = of_row.high() - low;
  const float inverse = range > kLeastRange ? 255.0f / range : 0.0f;
  const float zero = round_even(broadcast(-low * inverse)).get(0);
  const F32 least = broadcast(0.0f), most = broadcast(255.0f);
  for_each_vector(n, [&](int64_t i, int64_t width) {
    const F32 q = fma(row.load_at(i, width), broadcast(inverse), broadcast(zero));
    store_bytes_n(y + i, max(least, min(most, q)), width);
  });
  for (int64_t i = n; i % 64 != 0; ++i) y[i] = 0;
  const float wrong = of_row.wrong();
  const bool finite = wrong == 0.0f;
  const RowScale scale = {range / 255.0f + wrong, finite ? static_cast<int32_t>(zero) : 0};
  __builtin_memcpy(y + row_scale_offset(n), &scale, sizeof(scale));
}

// Where an element is not finite, `wrong` is NaN, and the scale and the sum too.
template <typename Row>
inline void group_to_s8(Row row, int64_t first, int64_t n, int8_t* codes, float* scale,
                        float* sum) {
  constexpr int64_t kVectors = kGroupSize / kWidth;
  F32 x[kVectors], most = broadcast(0.0f), wrong = broadcast(0.0f);
  for (int64_t i = 0; i < kVectors; ++i) {
    const int64_t left = n - i * kWidth;
    x[i] = left > 0 ? row.load_at(first + i * kWidth, smaller(left, kWidth)) : broadcast(0.0f);
    most = max(most, abs(x[i]));
    wrong = wrong + (x[i] - x[i]);
  }
  const float largest = reduce_max(most), fault = reduce_add(wrong);
  const F32 inverse = broadcast(fault == 0.0f && largest > kLeastRange ? 127.0f / largest : 0.0f);
  F32 total = broadcast(0.0f);
  for (int64_t i = 0; i < kVectors; ++i) {
    const F32 q = max(broadcast(-127.0f), min(broadcast(127.0f), round_even(x[i] * inverse)));
    store_bytes_n(codes + i * kWidth, q, kWidth);
    total = total + q;
  }
  *scale = largest / 127.0f + fault;
  *sum = *scale * reduce_add(total);
}

template <typename Row>
inline void row_to_s8_groups(Row row, int64_t n, int8_t* y) {
  float* scales = reinterpret_cast<float*>(y + group_scales_offset(n));
  float* sums = reinterpret_cast<float*>(y + group_sums_offset(n));
  for (int64_t g = 0; g < groups_in(n); ++g) {
    const int64_t first = g * kGroupSize;
    group_to_s8(row, first, smaller(kGroupSize, n - first), y + first, scales + g, sums + g);
  }
}

template <typename Row>
inline void convert_row(const ConvertArgs& args, Row row, void* y) {
  if (args.to == Element::kBf16) return row_to_bf16(row, args.cols, static_cast<Bf16*>(y));
  if (args.to == Element::kS8Groups) {
    return row_to_s8_groups(row, args.cols, static_cast<int8_t*>(y));
  }
  row_to_u8(row, args.cols, static_cast<uint8_t*>(y));
}

inline void convert(const ConvertArgs& args) {
  assert(args.to != Element::kF32);
  assert(args.from == Element::kF32 || args.from == Element::kBf16);
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* x = static_cast<const float*>(args.x) + r * args.ldx;
    void* y = static_cast<float*>(args.y) + r * args.ldy;
    if (args.from == Element::kF32) {
      convert_row(args, F32Row{x}, y);
    } else {
      convert_row(args, Bf16Row{reinterpret_cast<const Bf16*>(x)}, y);
    }
  }
}

// A row with a number that is not finite gets the scale NaN.
inline void quantize_weights(const float* w, int64_t k, int8_t* q, float* scale) {
  const RowRange range = range_of(F32Row{w}, k);
  const float most = range.high() > -range.low() ? range.high() : -range.low();
  const float wrong = range.wrong();
  const bool scales = wrong == 0.0f && most > kLeastRange;
  const F32 inverse = broadcast(scales ? 127.0f / most : 0.0f);
  *scale = most / 127.0f + wrong;
  const F32 bound = broadcast(127.0f);
  for_each_vector(k, [&](int64_t i, int64_t n) {
    const F32 x = load_up_to(w + i, n) * inverse;
    store_bytes_n(q + i, max(broadcast(-127.0f), min(bound, x)), n);
  });
}

}  // namespace headlane::kernels::HEADLANE_ISA
