// Products in bf16 on vectors without instructions for them, and in bytes where
// gemm_widened_bytes-inl.h takes part: operands are widened first, two floats or two pairs of
// 16-bit integers from each group.
//
//   Loops, outermost first: blocks of rows of A; groups of a few panels; blocks of K; panels.
//
// A block of A's rows by a block of K is widened once for a group of panels, and a panel's block of
// K once for all rows of the block: 2 to 3 % of the work each. What is widened lies on the stack,
// and so do the sums of the group's panels, which go on from one block of K to the next. So an
// element's sum is one chain over K, the same as that of widening group by group on the way, which
// is what a few rows do.
#pragma once

#include "kernels/gemm_dots-inl.h"
#include "kernels/gemm_narrow-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// bf16: two floats a group. `Wide` is the Dot of what was widened, kApart how many steps of it the
// second half of a group is behind the first, kAhead whether it is worth widening before the loops.
struct WidenedBf16 : F32Sums {
  using Group = uint32_t;
  struct Pair {
    F32 first, second;
  };
  static Pair widen(Groups x) { return {first_bf16(x), second_bf16(x)}; }
  static Pair a(const uint32_t* p) { return widen(broadcast_group(p)); }
  static Pair b(const uint32_t* p) { return widen(load_groups(p)); }
  static Acc step(Acc sum, const Pair& a, const Pair& b) {
    return fma(a.second, b.second, fma(a.first, b.first, sum));
  }

  struct Wide : F32Sums {
    using Group = float;
    static constexpr bool kGoesOn = true;
    static F32 a(const float* p) { return broadcast(*p); }
    static F32 b(const float* p) { return load(p); }
    static Acc step(Acc sum, F32 a, F32 b) { return fma(a, b, sum); }
  };
  // 24 sums in registers leave room for widening on the way, and 48 columns of floats would not
  // stay in L1 (bench gemm_bf16).
  static constexpr bool kAhead = kNV < 3;
  static constexpr int64_t kApart = 1;
  static void widen_a(const uint32_t* a, float* to) {
    const Pair x = widen(load_groups(a));
    F32 low, high;
    interleave(x.first, x.second, &low, &high);
    store(to, low);
    store(to + kWidth, high);
  }
  static void widen_b(const uint32_t* b, float* first, float* second) {
    const Pair x = widen(load_groups(b));
    store(first, x.first);
    store(second, x.second);
  }
};

// One product's operands, as far as they are widened: some rows of A, some panels, a block of K.
template <typename Dot, typename Panels, typename Finish>
class WidenedProduct {
 public:
  using Group = typename Dot::Wide::Group;
  // On AVX2 28 or 37 KB of A, 6 or 8 of a panel, 28 of sums; on AVX-512 28, 18 and 28.
  static constexpr int64_t kRows = 72, kGroups = Panels::kPerGroup == 2 ? 64 : 48;
  static constexpr int64_t kPanels = kNR > 16 ? 2 : 6;
  static_assert(kGroups % kWidth == 0);

  explicit WidenedProduct(const ProductArgs& args)
      : args_(args),
        groups_(groups_of<DotTile<Dot>, Panels>(args.k)),
        panel_floats_(narrow_panel_bytes<DotTile<Dot>, Panels>(kNR, args.k) / 4) {}

  void run() {
    const Strips blocks(args_.m, kRows);
    for (int64_t i = 0; i < blocks.count(); ++i) {
      m0_ = blocks.begin(i);
      rows_ = blocks.rows(i);
      for (int64_t p = args_.panel_begin; p < args_.panel_end; p += kPanels) {
        multiply(p, smaller(p + kPanels, args_.panel_end));
      }
    }
    if (args_.panel_end * kNR >= args_.n && args_.c_element == Element::kBf16) {
      fill_row_ends(args_, round_up(args_.n, kWidth));
    }
  }

 private:
  const uint32_t* panel_groups(int64_t p) const {
    return static_cast<const uint32_t*>(args_.packed) + p * panel_floats_ +
           Panels::kHeaderRows * kNR;
  }

  void multiply(int64_t begin, int64_t end) {
    for (int64_t g0 = 0; g0 < groups_; g0 += kGroups) {
      const int64_t groups = smaller(kGroups, groups_ - g0);
      widen_rows(g0, groups);
      for (int64_t p = begin; p < end; ++p) {
        widen_panel(panel_groups(p) + g0 * kNR, groups);
        const uint32_t* next = p + 1 < end ? panel_groups(p + 1) + g0 * kNR
                               : g0 + groups < groups_
                                   ? panel_groups(begin) + (g0 + groups) * kNR
                                   : panel_groups(end < args_.panel_end ? end : begin);
        multiply_panel(p, tiles_[p - begin], g0, groups, next);
      }
    }
  }

  // Whole vectors of groups: rows of A have 64 bytes or more behind their last number's.
  void widen_rows(int64_t g0, int64_t groups) {
    const uint32_t* a = static_cast<const uint32_t*>(args_.a) + m0_ * args_.lda + g0;
    for (int64_t r = 0; r < rows_; ++r) {
      for (int64_t g = 0; g < groups; g += kWidth) {
        Dot::widen_a(a + r * args_.lda + g, a_[r] + 2 * g);
      }
    }
  }

  static Group* step_of(Group* b, int64_t g) {
    if (Dot::kApart == 1) return b + 2 * g * kNR;
    return b + (g / kWidth * 2 * kWidth + g % kWidth) * kNR;
  }

  void widen_panel(const uint32_t* b, int64_t groups) {
    for (int64_t g = 0; g < groups; ++g) {
      Group* to = step_of(b_, g);
      HEADLANE_UNROLL
      for (int64_t j = 0; j < kNR; j += kWidth) {
        Dot::widen_b(b + g * kNR + j, to + j, to + Dot::kApart * kNR + j);
      }
    }
    // A may have more columns: those are multiplied by zeros, where halves of groups are not side
    // by side.
    for (int64_t g = groups; Dot::kApart > 1 && g % kWidth != 0; ++g) {
      Group* to = step_of(b_, g);
      __builtin_memset(to, 0, kNR * sizeof(Group));
      __builtin_memset(to + Dot::kApart * kNR, 0, kNR * sizeof(Group));
    }
  }

  // Fetches `next`, a block of a panel, meanwhile.
  void multiply_panel(int64_t p, float* tile, int64_t g0, int64_t groups, const uint32_t* next) {
    const float* panel = static_cast<const float*>(args_.packed) + p * panel_floats_;
    const float* init = g0 > 0 ? nullptr : Panels::kHeaderRows == 1 ? panel : kZeroRow;
    const int64_t steps = 2 * (Dot::kApart == 1 ? groups : round_up(groups, kWidth));
    const int64_t vectors = (smaller(kNR, args_.n - p * kNR) + kWidth - 1) / kWidth;
    const int64_t lines = kGroups * kNR / kLine;
    const Strips strips(rows_, kMR);
    for (int64_t i = 0; i < strips.count(); ++i) {
      for (int64_t x = lines * i / strips.count(); x < lines * (i + 1) / strips.count(); ++x) {
        __builtin_prefetch(next + x * kLine);
      }
      const int64_t r = strips.begin(i), rows = strips.rows(i);
      kMicroKernels<typename Dot::Wide>.of[rows - 1][vectors - 1](steps, a_[r], 2 * kGroups, b_,
                                                                  kNR, init, tile + r * kNR, kNR);
      if (g0 + groups < groups_) continue;
      PendingTile<Finish, kNR> done = {Finish(panel), m0_ + r, rows,
                                       p * kNR,       vectors, tile + r * kNR};
      done.write(args_);
    }
  }

  const ProductArgs& args_;
  int64_t groups_, panel_floats_;
  int64_t m0_ = 0, rows_ = 0;  // of the block at hand
  alignas(64) Group a_[kRows][2 * kGroups];
  alignas(64) Group b_[2 * kGroups * kNR];
  alignas(64) float tiles_[kPanels][kRows * kNR];
};

// Where a panel serves one strip, or two of floats, widening costs more than it saves.
constexpr int64_t kLeastWidened = kNV < 3 ? kMR * 2 + 1 : kMR * 3 / 2;

template <typename Dot, typename Panels, typename Finish>
inline void gemm_widened_run(const ProductArgs& args) {
  if (!Dot::kAhead || args.m < kLeastWidened)
    return gemm_narrow_run<DotTile<Dot>, Panels, Finish>(args);
  WidenedProduct<Dot, Panels, Finish>(args).run();
}

constexpr Product make_widened_bf16_product(const char* isa) {
  Product product = make_bf16_product<DotTile<WidenedBf16>>(isa, false);
  product.run = gemm_widened_run<WidenedBf16, Bf16Panels, Bf16Finish>;
  return product;
}

}  // namespace headlane::kernels::HEADLANE_ISA
