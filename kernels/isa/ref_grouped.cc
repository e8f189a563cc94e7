// Products of weights and activations in groups, in plain C++.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "kernels/isa/ref_narrow.h"

namespace headlane::kernels::ref {
namespace {

constexpr int64_t kNR = 16;

// A panel is the columns' biases, then rows [nr, groups] of W as they came.
template <typename Group>
int64_t panel_bytes(int64_t, int64_t k) {
  return round_up_to(kNR * (4 + groups_in(k) * int64_t{sizeof(Group)}), 64);
}

template <typename Group>
void pack(const PanelArgs& args) {
  char* out = static_cast<char*>(args.panel);
  std::memset(out, 0, static_cast<size_t>(panel_bytes<Group>(kNR, args.k)));
  if (args.bias) std::memcpy(out, args.bias, static_cast<size_t>(args.rows) * sizeof(float));
  std::memcpy(out + kNR * 4, args.w,
              static_cast<size_t>(args.rows * groups_in(args.k)) * sizeof(Group));
}

// Code i, as a number that its scale multiplies.
int code_of(const S8Group& group, int64_t i) { return group.codes[i]; }
int code_of(const S6Group& group, int64_t i) { return group.code(i) - kS6Offset; }
int code_of(const U5Group& group, int64_t i) { return group.code(i); }
int code_of(const U4Group& group, int64_t i) { return group.code(i); }
// The scale of code i, and what its product is less by.
template <typename Group>
float scale_of(const Group& group, int64_t) {
  return widen_f16(group.scale);
}
float scale_of(const S6Group& group, int64_t i) { return widen_f16(group.scales[i / 16]); }
template <typename Group>
constexpr bool kHasMin = requires(const Group& group) {
  group.min;
};
template <typename Group>
float weight_of(const Group& group, int64_t i) {
  const float product = static_cast<float>(code_of(group, i)) * scale_of(group, i);
  if constexpr (kHasMin<Group>) return product - widen_f16(group.min);
  return product;
}

// The sum of a column's weights, and of its bias, with row `a`.
template <typename Group>
float element(const Group* w, float bias, const char* a, int64_t k) {
  constexpr int64_t kColumns = std::is_same_v<Group, S6Group> ? kGroupSize / 2 : kGroupSize;
  const auto* codes = reinterpret_cast<const int8_t*>(a);
  const auto* scales = reinterpret_cast<const float*>(a + group_scales_offset(k));
  const auto* sums = reinterpret_cast<const float*>(a + group_sums_offset(k));
  float sum = bias;
  for (int64_t g = 0; g < groups_in(k); ++g) {
    for (int64_t first = 0; first < kGroupSize; first += kColumns) {
      int products = 0;
      for (int64_t i = first; i < first + kColumns; ++i) {
        products += code_of(w[g], i) * codes[g * kGroupSize + i];
      }
      sum = std::fma(static_cast<float>(products), scale_of(w[g], first) * scales[g], sum);
    }
    if constexpr (kHasMin<Group>) sum = std::fma(-widen_f16(w[g].min), sums[g], sum);
  }
  return sum;
}

template <typename Group>
void run(const ProductArgs& args) {
  assert(args.m >= 0 && args.k >= 1 && args.ldc % kRowAlign == 0);
  for (int64_t p = args.panel_begin; p < args.panel_end; ++p) {
    const char* panel = static_cast<const char*>(args.packed) + p * panel_bytes<Group>(kNR, args.k);
    const auto* bias = reinterpret_cast<const float*>(panel);
    const auto* w = reinterpret_cast<const Group*>(panel + kNR * 4);
    for (int64_t r = 0; r < args.m; ++r) {
      const char* a =
          reinterpret_cast<const char*>(static_cast<const float*>(args.a) + r * args.lda);
      float* row = static_cast<float*>(args.c) + r * args.ldc;
      auto* narrow = reinterpret_cast<Bf16*>(row);
      const int64_t end = std::min((p + 1) * kNR, args.n);
      for (int64_t j = p * kNR; j < end; ++j) {
        const int64_t column = j - p * kNR;
        const float sum = element(w + column * groups_in(args.k), bias[column], a, args.k);
        const float x = activate(args.activation, sum);
        if (args.c_element == Element::kF32) row[j] = x;
        if (args.c_element == Element::kBf16) narrow[j] = to_bf16(x);
      }
      const bool ends_row = args.c_element == Element::kBf16 && end == args.n;
      for (int64_t j = args.n; ends_row && j % 32 != 0; ++j) narrow[j] = 0;
    }
  }
}

template <typename Group>
constexpr Product make_product() {
  return {.name = "ref",
          .layout = "rows",
          .native = true,
          .mr = 1,
          .nr = kNR,
          .panel_bytes = panel_bytes<Group>,
          .pack_panel = pack<Group>,
          .run = run<Group>};
}

}  // namespace

float weight_in_groups(Format format, const void* row, int64_t i) {
  const auto of = [i](const auto* groups) {
    return weight_of(groups[i / kGroupSize], i % kGroupSize);
  };
  if (format == Format::kS8Groups) return of(static_cast<const S8Group*>(row));
  if (format == Format::kS6Groups) return of(static_cast<const S6Group*>(row));
  if (format == Format::kU5Groups) return of(static_cast<const U5Group*>(row));
  return of(static_cast<const U4Group*>(row));
}

void row_to_s8_groups(Element from, const void* row, int64_t n, int8_t* y) {
  const auto x = [&](int64_t i) {
    return from == Element::kF32 ? static_cast<const float*>(row)[i]
                                 : from_bf16(static_cast<const Bf16*>(row)[i]);
  };
  auto* scales = reinterpret_cast<float*>(y + group_scales_offset(n));
  auto* sums = reinterpret_cast<float*>(y + group_sums_offset(n));
  for (int64_t g = 0; g < groups_in(n); ++g) {
    const int64_t first = g * kGroupSize, size = std::min(kGroupSize, n - first);
    float most = 0;
    bool finite = true;
    for (int64_t i = 0; i < size; ++i) {
      most = std::max(most, std::fabs(x(first + i)));
      finite = finite && std::isfinite(x(first + i));
    }
    const float inverse = most > kLeastRange ? 127.0f / most : 0.0f;
    int total = 0;
    for (int64_t i = 0; i < kGroupSize; ++i) {
      const float q = i < size && finite ? std::nearbyint(x(first + i) * inverse) : 0.0f;
      y[first + i] = static_cast<int8_t>(std::clamp(q, -127.0f, 127.0f));
      total += y[first + i];
    }
    scales[g] = finite ? most / 127.0f : std::numeric_limits<float>::quiet_NaN();
    sums[g] = scales[g] * static_cast<float>(total);
  }
}

void fill_grouped_products(Table* table) {
  table->product(Precision::kInt8Groups) = make_product<S8Group>();
  table->product(Precision::kInt6) = make_product<S6Group>();
  table->product(Precision::kInt5) = make_product<U5Group>();
  table->product(Precision::kInt4) = make_product<U4Group>();
}

}  // namespace headlane::kernels::ref
