#include "kernels/isa/ref_narrow.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace headlane::kernels::ref {
namespace {

constexpr int64_t kNR = 16;

// A panel is rows [nr, k] of W as they came, behind what its columns need.
struct Bf16Panel {
  float bias[kNR];
  const Bf16* w(int64_t j, int64_t k) const {
    return reinterpret_cast<const Bf16*>(this + 1) + j * k;
  }
};
struct U8Panel {
  float bias[kNR], scale[kNR];
  const int8_t* w(int64_t j, int64_t k) const {
    return reinterpret_cast<const int8_t*>(this + 1) + j * k;
  }
};

template <typename Panel>
int64_t panel_bytes(int64_t, int64_t k) {
  constexpr int64_t kSize = sizeof(Panel) == sizeof(Bf16Panel) ? 2 : 1;
  return round_up_to(static_cast<int64_t>(sizeof(Panel)) + kNR * k * kSize, 64);
}

void pack_bf16(const PanelArgs& args) {
  Bf16Panel head = {};
  if (args.bias) std::copy_n(args.bias, args.rows, head.bias);
  std::memset(args.panel, 0, static_cast<size_t>(panel_bytes<Bf16Panel>(kNR, args.k)));
  std::memcpy(args.panel, &head, sizeof(head));
  std::memcpy(static_cast<char*>(args.panel) + sizeof(head), args.w,
              static_cast<size_t>(args.rows * args.k) * 2);
}

void pack_u8(const PanelArgs& args) {
  U8Panel head = {};
  if (args.bias) std::copy_n(args.bias, args.rows, head.bias);
  std::copy_n(args.scale, args.rows, head.scale);
  std::memset(args.panel, 0, static_cast<size_t>(panel_bytes<U8Panel>(kNR, args.k)));
  std::memcpy(args.panel, &head, sizeof(head));
  std::memcpy(static_cast<char*>(args.panel) + sizeof(head), args.w,
              static_cast<size_t>(args.rows * args.k));
}

// Element [r, j] of a panel's columns, before the activation.
float element(const Bf16Panel& panel, const ProductArgs& args, int64_t r, int64_t j) {
  const auto* a = reinterpret_cast<const Bf16*>(static_cast<const float*>(args.a) + r * args.lda);
  const Bf16* w = panel.w(j, args.k);
  float sum = panel.bias[j];
  for (int64_t i = 0; i < args.k; ++i) sum += from_bf16(a[i]) * from_bf16(w[i]);
  return sum;
}

float element(const U8Panel& panel, const ProductArgs& args, int64_t r, int64_t j) {
  const auto* a =
      reinterpret_cast<const uint8_t*>(static_cast<const float*>(args.a) + r * args.lda);
  RowScale row;
  std::memcpy(&row, a + row_scale_offset(args.k), sizeof(row));
  const int8_t* w = panel.w(j, args.k);
  int32_t sum = 0;
  for (int64_t i = 0; i < args.k; ++i) sum += (a[i] - row.zero) * w[i];
  return std::fma(static_cast<float>(sum), row.scale * panel.scale[j], panel.bias[j]);
}

template <typename Panel>
void run(const ProductArgs& args) {
  assert(args.m >= 0 && args.k >= 1 && args.ldc % kRowAlign == 0);
  for (int64_t p = args.panel_begin; p < args.panel_end; ++p) {
    const char* at = static_cast<const char*>(args.packed) + p * panel_bytes<Panel>(kNR, args.k);
    const Panel& panel = *reinterpret_cast<const Panel*>(at);
    const int64_t cols = std::min(kNR, args.n - p * kNR);
    for (int64_t r = 0; r < args.m; ++r) {
      float* row = static_cast<float*>(args.c) + r * args.ldc;
      for (int64_t j = 0; j < cols; ++j) {
        const float x = activate(args.activation, element(panel, args, r, j));
        if (args.c_element == Element::kF32) row[p * kNR + j] = x;
        if (args.c_element == Element::kBf16)
          reinterpret_cast<Bf16*>(row)[p * kNR + j] = to_bf16(x);
      }
      const bool ends_row = args.c_element == Element::kBf16 && (p + 1) * kNR >= args.n;
      for (int64_t j = args.n; ends_row && j % 32 != 0; ++j) reinterpret_cast<Bf16*>(row)[j] = 0;
    }
  }
}

float as_float(float x) { return x; }
float as_float(Bf16 x) { return from_bf16(x); }

template <typename T>
void row_to_u8(const T* row, int64_t n, uint8_t* y) {
  float low = 0, high = 0;
  bool finite = true;
  for (int64_t i = 0; i < n; ++i) {
    const float x = as_float(row[i]);
    low = x < low ? x : low;
    high = x > high ? x : high;
    finite = finite && std::isfinite(x);
  }
  const float range = high - low, inverse = range > kLeastRange ? 255.0f / range : 0.0f;
  const float zero = std::nearbyint(-low * inverse);
  for (int64_t i = 0; i < row_scale_offset(n); ++i) {
    const float q =
        i < n && finite ? std::nearbyint(std::fma(as_float(row[i]), inverse, zero)) : 0.0f;
    y[i] = static_cast<uint8_t>(std::clamp(q, 0.0f, 255.0f));
  }
  RowScale scale = {range / 255.0f, finite ? static_cast<int32_t>(zero) : 0};
  if (!finite) scale.scale = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(y + row_scale_offset(n), &scale, sizeof(scale));
}

}  // namespace

float from_bf16(Bf16 x) {
  const uint32_t bits = uint32_t{x} << 16;
  float result;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

Bf16 to_bf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  if (x != x) return static_cast<Bf16>((bits | 0x400000u) >> 16);
  return static_cast<Bf16>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

void convert(const ConvertArgs& args) {
  assert(args.to != Element::kF32);
  assert(args.from == Element::kF32 || args.from == Element::kBf16);
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* x = static_cast<const float*>(args.x) + r * args.ldx;
    float* y = static_cast<float*>(args.y) + r * args.ldy;
    const auto* narrow = reinterpret_cast<const Bf16*>(x);
    const bool from_floats = args.from == Element::kF32;
    if (args.to == Element::kBf16) {
      Bf16* to = reinterpret_cast<Bf16*>(y);
      for (int64_t i = 0; i < args.cols; ++i) to[i] = from_floats ? to_bf16(x[i]) : narrow[i];
      for (int64_t i = args.cols; i % 32 != 0; ++i) to[i] = 0;
    } else if (args.to == Element::kS8Groups) {
      row_to_s8_groups(args.from, x, args.cols, reinterpret_cast<int8_t*>(y));
    } else if (from_floats) {
      row_to_u8(x, args.cols, reinterpret_cast<uint8_t*>(y));
    } else {
      row_to_u8(narrow, args.cols, reinterpret_cast<uint8_t*>(y));
    }
  }
}

void quantize_weights(const float* w, int64_t k, int8_t* q, float* scale) {
  float most = 0;
  bool finite = true;
  for (int64_t i = 0; i < k; ++i) {
    most = std::max(most, std::fabs(w[i]));
    finite = finite && std::isfinite(w[i]);
  }
  const float inverse = most > kLeastRange ? 127.0f / most : 0.0f;
  *scale = finite ? most / 127.0f : std::numeric_limits<float>::quiet_NaN();
  for (int64_t i = 0; i < k; ++i) {
    const float x = finite ? std::clamp(w[i] * inverse, -127.0f, 127.0f) : 0.0f;
    q[i] = static_cast<int8_t>(std::nearbyint(x));
  }
}

void fill_narrow_products(Table* table) {
  table->product(Precision::kBf16) = {.name = "ref",
                                      .layout = "rows",
                                      .native = false,
                                      .mr = 1,
                                      .nr = kNR,
                                      .panel_bytes = panel_bytes<Bf16Panel>,
                                      .pack_panel = pack_bf16,
                                      .run = run<Bf16Panel>};
  table->product(Precision::kInt8) = {.name = "ref",
                                      .layout = "rows",
                                      .native = false,
                                      .mr = 1,
                                      .nr = kNR,
                                      .panel_bytes = panel_bytes<U8Panel>,
                                      .pack_panel = pack_u8,
                                      .run = run<U8Panel>};
  fill_grouped_products(table);
}

}  // namespace headlane::kernels::ref
