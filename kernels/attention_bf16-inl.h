// Attention in bf16, where products of bf16 are the machine's own: the loops are those of floats,
// rows are pairs. What the instruction set brings has a NativeBf16, which multiplies them, and says
// how many keys are a block.
#pragma once

#include "kernels/attention_scores-inl.h"
#include "kernels/math-inl.h"
#include "kernels/rotary-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// 2^x for x <= 127, to 7.5e-5: a bf16 is off by up to 3.9e-3. Five operations: the fraction, three
// fused steps, the scaling.
inline F32 exp2_narrow(F32 x) {
  constexpr float kC[] = {0.999925196f, 0.695833564f, 0.226067156f, 0.0780245215f};
  return scale_by_floor(polynomial(fraction(x), kC), x);
}

template <>
struct AttentionTile<Bf16> {
  static constexpr int64_t kMR = NativeBf16::kMR, kNR = NativeBf16::kNR;
  static constexpr int64_t kBC = kBf16BC, kGroupRows = 512;
  static constexpr int64_t kPerGroup = 2, kStep = NativeBf16::kStep;
  using Unit = NativeBf16::Unit;
  static_assert(kBC % kNR == 0 && kBC % (kPerGroup * kStep) == 0);

  static auto strips(int64_t rows) { return NativeBf16::strips(rows); }
  static int64_t groups(int64_t dim) { return round_up((dim + 1) / 2, kStep); }
  // Rows are read whole steps at a time: what lies behind a shorter one is another head's, or
  // nothing.
  static bool copies(const AttentionBf16Args& args) {
    return args.rotary || args.head_dim % (2 * kStep) != 0 || args.ldq % 2 != 0 ||
           args.ldk % 2 != 0;
  }
  static void copy_row(const AttentionBf16Args& args, int64_t position, const Bf16* x, float* row,
                       Bf16* y) {
    const int64_t whole = 2 * groups(args.head_dim);
    if (!args.rotary) {
      for (int64_t c = 0; c < whole; ++c) y[c] = c < args.head_dim ? x[c] : Bf16{0};
      return;
    }
    float* turned = row + round_up(args.head_dim, kRowAlign);
    for_each_vector(args.head_dim, [&](int64_t c, int64_t width) {
      store_up_to(row + c, load_bf16_n(x + c, width), width);
    });
    turn_row(args, position, row, turned);
    for_each_vector(args.head_dim, [&](int64_t c, int64_t width) {
      store_bf16_n(y + c, load_up_to(turned + c, width), width);
    });
    for (int64_t c = args.head_dim; c < whole; ++c) y[c] = 0;
  }
  static F32 exp2(F32 x) { return exp2_narrow(x); }
  static void store_p(Bf16* p, F32 x) { store_bf16(p, x); }
  static void store_o(Bf16* o, F32 x, int64_t n) {
    n == kWidth ? store_bf16(o, x) : store_bf16_n(o, x, n);
  }

  static void pack_values(const Bf16* v, int64_t ldv, int64_t n, int64_t v_dim, const uint8_t* seen,
                          float* to, int64_t ld, F32* differences) {
    const auto row = [&](int64_t j, int64_t c, int64_t width) -> F32 {
      if (j >= n || (seen && seen[j] == 0)) return broadcast(0.0f);
      const Bf16* x = v + j * ldv + c;
      return width == kWidth ? load_bf16(x) : load_bf16_n(x, width);
    };
    for (int64_t g = 0; g < groups(n); ++g) {
      for_each_vector(v_dim, [&](int64_t c, int64_t width) {
        const F32 first = row(2 * g, c, width), second = row(2 * g + 1, c, width);
        *differences = *differences + (first - first) + (second - second);
        store_groups(reinterpret_cast<uint32_t*>(to + g * ld + c), join_bf16(first, second));
      });
    }
  }

  static void multiply(Unit* unit, int64_t rows, int64_t n, int64_t groups, const Bf16* a,
                       int64_t lda, const float* b, int64_t ldb, const float* init, float* tile,
                       int64_t ld) {
    NativeBf16::multiply(unit, rows, n, groups, reinterpret_cast<const uint32_t*>(a), lda / 2,
                         reinterpret_cast<const uint32_t*>(b), ldb, init, tile, ld);
  }
};

}  // namespace headlane::kernels::HEADLANE_ISA
