// Products of weights in groups for many rows.
//
// A panel's block of groups is widened to bytes once, and strips of rows pass by, whose groups were
// put next to each other before. Codes of 6 bits, and those of 8 that are from -16 to 15, become
// unsigned by an offset: then products are added up in 16 bits for all of a scale, where otherwise
// each needs its signs taken, and of 8 bits 32 bits at each step. What the offset adds goes beyond
// 16 bits, and so does what takes it off, the offset times the sums of the row's codes; both
// together do not, which is enough where sums wrap around. All of that is exact in integers, so the
// bits are those of few rows. Panels with other codes of 8 bits gain nothing, and take the loop of
// few rows.
#pragma once

#include "kernels/gemm_grouped-inl.h"
#include "kernels/gemm_grouped_strips-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// A group of a panel, as products of many rows read it.
struct WideGroup {
  alignas(64) float numbers[2][kNR];
  alignas(64) uint32_t codes[kSteps * kNR];
};

// -16 or -32 times the sums of the codes that the two lanes of 16 bits get.
template <int kTimes, int kColumns>
struct LaneOffset {
  static uint32_t of(const int8_t* codes, int s) {
    int32_t first = 0, second = 0;
    for (int64_t i = s * kColumns; i < (s + 1) * kColumns && i < kGroupSize; i += 4) {
      first += codes[i] + codes[i + 1];
      second += codes[i + 2] + codes[i + 3];
    }
    return (static_cast<uint32_t>(-kTimes * second) << 16) |
           (static_cast<uint32_t>(-kTimes * first) & 0xffff);
  }
};

// How a format's groups are widened; kRuns sums of 16 bits have room for all products of a scale.
//
// 16 products: 16 * 15 * 127 < 2^15.
struct U4Wide : U4Codes {
  using Few = U4Codes;
  using Offset = NoOffset;
  static constexpr int kRuns = 1;
  static bool fits(const uint32_t*) { return true; }
  static Groups first_sum(const uint32_t*) { return zero_groups(); }
};
// 8 products: 8 * 31 * 127 < 2^15.
struct U5Wide : U5Codes {
  using Few = U5Codes;
  using Offset = NoOffset;
  static constexpr int kRuns = 2;
  static bool fits(const uint32_t*) { return true; }
  static Groups first_sum(const uint32_t*) { return zero_groups(); }
};
// 8 products: 8 * 32 * 127 < 2^15.
struct S6Wide : S6Codes {
  using Few = S6Codes;
  using Offset = LaneOffset<kS6Offset, kGroupSize / 2>;
  static constexpr int kRuns = 1;
  static bool fits(const uint32_t*) { return true; }
  static Groups first_sum(const uint32_t* offset) { return broadcast_group(offset); }
};
// 16 products of 5 bits: 16 * 16 * 127 < 2^15.
struct S8Wide : S8Codes {
  using Few = S8Codes;
  using Offset = LaneOffset<16, kGroupSize>;
  static constexpr int kRuns = 1;
  // Whether the upper four bits of each code are alike.
  static bool fits(const uint32_t* codes) {
    uint32_t unlike = 0;
    for (int64_t i = 0; i < kSteps * kNR; ++i) unlike |= codes[i] ^ (codes[i] << 1);
    return (unlike & 0xe0e0e0e0) == 0;
  }
  static Groups codes(const uint32_t* at, int i, int) {
    const Groups five = with_bits(zero_groups(), load_groups(at + i * kNR), 0x1f1f1f1f);
    // The fifth bit is the sign, which 16 more turns into the highest of the five.
    return flip_bits(five, 0x10101010);
  }
  static Groups first_sum(const uint32_t* offset) { return broadcast_group(offset); }
};

// A run of a group's steps, from step `first` on, in 16 bits.
template <typename Codes, int MR>
inline void wide_run(const StripGroup<MR>& a, const uint32_t* codes, int s, int first,
                     Groups (&sums)[MR][kNV]) {
  constexpr int kRunSteps = kSteps / Codes::kScales / Codes::kRuns;
  HEADLANE_UNROLL
  for (int r = 0; r < MR; ++r) {
    HEADLANE_UNROLL
    for (int v = 0; v < kNV; ++v) sums[r][v] = Codes::first_sum(a.offsets[s] + r);
  }
  HEADLANE_UNROLL
  for (int i = first; i < first + kRunSteps; ++i) {
    Groups w[kNV];
    HEADLANE_UNROLL
    for (int v = 0; v < kNV; ++v) w[v] = load_groups(codes + i * kNR + v * kWidth);
    HEADLANE_UNROLL
    for (int r = 0; r < MR; ++r) {
      const Groups a_r = broadcast_group(&a.codes[i][r]);
      HEADLANE_UNROLL
      for (int v = 0; v < kNV; ++v) sums[r][v] = in_order(add_pairs_8(sums[r][v], w[v], a_r));
    }
  }
}

// tile[MR, NR] goes on by some groups.
template <typename Codes, int MR>
inline void wide_kernel(const void* strip, int64_t groups, const WideGroup* w, float* tile) {
  constexpr int kRunSteps = kSteps / Codes::kScales / Codes::kRuns;
  const auto* a = static_cast<const StripGroup<MR>*>(strip);
  for (int64_t g = 0; g < groups; ++g, ++a, ++w) {
    HEADLANE_UNROLL
    for (int s = 0; s < Codes::kScales; ++s) {
      Groups sums[MR][kNV];
      HEADLANE_UNROLL
      for (int run = 0; run < Codes::kRuns; ++run) {
        Groups some[MR][kNV];
        wide_run<Codes, MR>(*a, w->codes, s, (s * Codes::kRuns + run) * kRunSteps, some);
        HEADLANE_UNROLL
        for (int r = 0; r < MR; ++r) {
          HEADLANE_UNROLL
          for (int v = 0; v < kNV; ++v) {
            const Groups joined = join_pairs(some[r][v]);
            sums[r][v] = run == 0 ? joined : add_32(sums[r][v], joined);
          }
        }
      }
      HEADLANE_UNROLL
      for (int v = 0; v < kNV; ++v) {
        const F32 scale = load(w->numbers[s] + v * kWidth);
        HEADLANE_UNROLL
        for (int r = 0; r < MR; ++r) {
          float* to = tile + r * kNR + v * kWidth;
          F32 sum = fma(to_float(sums[r][v]), scale * broadcast(a->scales[r]), load(to));
          if (Codes::kHasMin) {
            sum = fnma(load(w->numbers[1] + v * kWidth), broadcast(a->sums[r]), sum);
          }
          store(to, sum);
        }
      }
    }
  }
}

template <typename Codes>
struct WideKernels {
  using Pointer = void (*)(const void* strip, int64_t groups, const WideGroup* w, float* tile);
  template <int MR>
  static constexpr Pointer kOf = wide_kernel<Codes, MR>;
};

template <typename Codes>
inline void widen_codes(const uint32_t* codes, WideGroup* to) {
  constexpr int kPartSteps = kSteps / Codes::kParts;
  HEADLANE_UNROLL
  for (int step = 0; step < kSteps; ++step) {
    HEADLANE_UNROLL
    for (int v = 0; v < kNV; ++v) {
      const int i = step % kPartSteps, part = step / kPartSteps;
      store_groups(to->codes + step * kNR + v * kWidth, Codes::codes(codes + v * kWidth, i, part));
    }
  }
}
inline void widen_f16_row(const uint16_t* from, float* to) {
  HEADLANE_UNROLL
  for (int v = 0; v < kNV; ++v) store(to + v * kWidth, load_f16(from + v * kWidth));
}

// A product of many rows.
template <typename Codes>
class WideProduct {
 public:
  // 6 KB of sums. A block is 13 KB on AVX2, beside which a strip's groups stay in L1.
  static constexpr int64_t kRows = 96, kBlock = kNV < 3 ? 20 : 8;
  // Groups of K, beyond which there is no room for a strip.
  static constexpr int64_t kMostGroups = kStripBytes / (kGroupedMR * kStripRowBytes);

  explicit WideProduct(const ProductArgs& args)
      : args_(args),
        groups_(groups_in(args.k)),
        panel_bytes_(grouped_panel_bytes<Codes>(kNR, args.k)) {}

  void run() {
    const int64_t fitting = kStripBytes / (groups_ * kStripRowBytes) / kGroupedMR * kGroupedMR;
    const Strips blocks(args_.m, smaller(kRows, fitting));
    for (int64_t i = 0; i < blocks.count(); ++i) {
      m0_ = blocks.begin(i);
      rows_ = blocks.rows(i);
      gathered_ = false;
      for (int64_t p = args_.panel_begin; p < args_.panel_end; ++p) {
        if (is_wide(p))
          multiply(p);
        else
          multiply_few<typename Codes::Few>(args_, p, m0_, rows_);
      }
    }
  }

 private:
  // The groups of the strip that begins with row r of the block.
  char* strip(int64_t r) { return strips_ + r * groups_ * kStripRowBytes; }

  const char* panel(int64_t p) const {
    return static_cast<const char*>(args_.packed) + p * panel_bytes_;
  }
  // Groups that lie there.
  static const uint16_t* header(const char* groups, int64_t i) {
    return reinterpret_cast<const uint16_t*>(groups + i * kGroupBytes<Codes>);
  }
  static const uint32_t* codes(const char* groups, int64_t i) {
    return reinterpret_cast<const uint32_t*>(groups + i * kGroupBytes<Codes> + kGroupHeader<Codes>);
  }

  bool is_wide(int64_t p) const {
    bool wide = true;
    for (int64_t g = 0; g < groups_ && wide; ++g) wide = Codes::fits(codes(panel(p) + kNR * 4, g));
    return wide;
  }

  void gather() {
    const Strips strips(rows_, kGroupedMR);
    for (int64_t s = 0; s < strips.count(); ++s) {
      const GroupedRows a(args_, m0_ + strips.begin(s));
      gather_rows<typename Codes::Offset, kGroupedMR>(strips.rows(s), a, 0, groups_,
                                                      strip(strips.begin(s)));
    }
    gathered_ = true;
  }

  void multiply(int64_t p) {
    if (!gathered_) gather();
    for (int64_t r = 0; r < rows_; ++r) __builtin_memcpy(tile_ + r * kNR, panel(p), kNR * 4);
    const Strips blocks(groups_, kBlock);
    for (int64_t i = 0; i < blocks.count(); ++i) {
      const int64_t g = blocks.begin(i), n = blocks.rows(i);
      widen_block(panel(p) + kNR * 4 + g * kGroupBytes<Codes>, n);
      multiply_strips(g, n);
    }
    const int64_t column = p * kNR;
    const int64_t vectors = (smaller(kNR, args_.n - column) + kWidth - 1) / kWidth;
    PendingTile<Bf16Finish, kNR> done = {Bf16Finish(nullptr), m0_, rows_, column, vectors, tile_};
    done.write(args_);
  }

  void widen_block(const char* groups, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      HEADLANE_UNROLL
      for (int number = 0; number < kNumbers<Codes>; ++number) {
        widen_f16_row(header(groups, i) + number * kNR, w_[i].numbers[number]);
      }
      widen_codes<Codes>(codes(groups, i), &w_[i]);
    }
  }

  void multiply_strips(int64_t g, int64_t n) {
    const Strips strips(rows_, kGroupedMR);
    for (int64_t i = 0; i < strips.count(); ++i) {
      const int64_t r = strips.begin(i), rows = strips.rows(i);
      kByRows<WideKernels<Codes>, kGroupedMR>.of[rows - 1](strip(r) + g * rows * kStripRowBytes, n,
                                                           w_, tile_ + r * kNR);
    }
  }

  const ProductArgs& args_;
  int64_t groups_, panel_bytes_;
  int64_t m0_ = 0, rows_ = 0;  // of the block at hand
  bool gathered_ = false;      // whether its strips are
  WideGroup w_[kBlock];
  alignas(64) float tile_[kRows * kNR];
  alignas(64) char strips_[kStripBytes];
};

// Where a panel serves one strip, or two, widening costs more than it saves.
constexpr int64_t kLeastWide = 2 * kGroupedMR + 1;

template <typename Codes>
inline void gemm_grouped_run(const ProductArgs& args) {
  assert(args.m >= 0 && args.k >= 1 && args.ldc % kRowAlign == 0);
  if (args.m >= kLeastWide && groups_in(args.k) <= WideProduct<Codes>::kMostGroups) {
    WideProduct<Codes>(args).run();
  } else {
    for (int64_t p = args.panel_begin; p < args.panel_end; ++p) {
      multiply_few<typename Codes::Few>(args, p, 0, args.m);
    }
  }
  end_rows(args);
}

constexpr void fill_grouped_products(Table* table, const char* name) {
  table->product(Precision::kInt8Groups) =
      make_grouped_product<S8Codes>(name, kGroupedMR, gemm_grouped_run<S8Wide>);
  table->product(Precision::kInt6) =
      make_grouped_product<S6Codes>(name, kGroupedMR, gemm_grouped_run<S6Wide>);
  table->product(Precision::kInt5) =
      make_grouped_product<U5Codes>(name, kGroupedMR, gemm_grouped_run<U5Wide>);
  table->product(Precision::kInt4) =
      make_grouped_product<U4Codes>(name, kGroupedMR, gemm_grouped_run<U4Wide>);
}

}  // namespace headlane::kernels::HEADLANE_ISA
