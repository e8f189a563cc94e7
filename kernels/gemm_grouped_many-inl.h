// Products of weights in groups for many rows.
//
// A panel's block of groups is widened once, and strips of rows pass by, whose groups were put next
// to each other before. Codes of 4 bits are widened to bytes. Of 8 bits, codes from -16 to 15,
// which is what files of 5 bits have, become unsigned by an offset of 16: then the products of a
// whole group are added up in 16 bits, where others need 32 at each step. What the offset adds goes
// beyond 16 bits, and so does what takes it off, 16 times the sums of the row's codes; both
// together do not, which is enough where sums wrap around. All of that is exact in integers, so the
// bits are those of few rows. Panels with other codes of 8 bits gain nothing, and take the loop of
// few rows.
#pragma once

#include "kernels/gemm_grouped-inl.h"
#include "kernels/gemm_grouped_strips-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// A group of a panel, as products of many rows read it.
struct WideGroup {
  alignas(64) float scales[kNR];
  alignas(64) float mins[kNR];
  alignas(64) uint32_t codes[kSteps * kNR];
};

// tile[MR, NR] goes on by some groups. A lane of 5 bits adds up 16 products: 16 * 16 * 127 < 2^15.
template <typename Codes, int MR>
inline void wide_kernel(const void* strip, int64_t groups, const WideGroup* w, float* tile) {
  const auto* a = static_cast<const StripGroup<MR>*>(strip);
  for (int64_t g = 0; g < groups; ++g, ++a, ++w) {
    Groups sums[MR][kNV];
    HEADLANE_UNROLL
    for (int r = 0; r < MR; ++r) {
      HEADLANE_UNROLL
      for (int v = 0; v < kNV; ++v) {
        sums[r][v] = Codes::kHasMin ? zero_groups() : broadcast_group(a->offsets + r);
      }
    }
    HEADLANE_UNROLL
    for (int i = 0; i < kSteps; ++i) {
      Groups codes[kNV];
      HEADLANE_UNROLL
      for (int v = 0; v < kNV; ++v) codes[v] = load_groups(w->codes + i * kNR + v * kWidth);
      HEADLANE_UNROLL
      for (int r = 0; r < MR; ++r) {
        const Groups a_r = broadcast_group(&a->codes[i][r]);
        HEADLANE_UNROLL
        for (int v = 0; v < kNV; ++v) {
          sums[r][v] = in_order(add_pairs_8(sums[r][v], codes[v], a_r));
        }
      }
    }
    HEADLANE_UNROLL
    for (int v = 0; v < kNV; ++v) {
      const F32 scale = load(w->scales + v * kWidth);
      HEADLANE_UNROLL
      for (int r = 0; r < MR; ++r) {
        float* to = tile + r * kNR + v * kWidth;
        const F32 products = to_float(join_pairs(sums[r][v]));
        F32 sum = fma(products, scale * broadcast(a->scales[r]), load(to));
        if (Codes::kHasMin) {
          sum = fnma(load(w->mins + v * kWidth), broadcast(a->sums[r]), sum);
        }
        store(to, sum);
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

// -16 times the sums of the codes that the two lanes of 16 bits get, which takes off the offset of
// 5 bits.
struct Offset16 {
  static uint32_t of(const int8_t* codes) {
    int32_t first = 0, second = 0;
    for (int64_t i = 0; i < kGroupSize; i += 4) {
      first += codes[i] + codes[i + 1];
      second += codes[i + 2] + codes[i + 3];
    }
    return (static_cast<uint32_t>(-16 * second) << 16) |
           (static_cast<uint32_t>(-16 * first) & 0xffff);
  }
};

// Codes of 8 bits are 5 where the upper four bits of each are alike.
inline bool are_five_bits(const uint32_t* codes) {
  uint32_t unlike = 0;
  for (int64_t i = 0; i < kSteps * kNR; ++i) unlike |= codes[i] ^ (codes[i] << 1);
  return (unlike & 0xe0e0e0e0) == 0;
}

inline void widen_five_bits(const uint32_t* codes, WideGroup* to) {
  for (int64_t i = 0; i < kSteps * kNR; ++i) {
    to->codes[i] = (codes[i] & 0x1f1f1f1f) ^ 0x10101010;
  }
}
inline void widen_halves(const uint32_t* codes, WideGroup* to) {
  constexpr int64_t kHalf = kSteps / 2 * kNR;
  for (int64_t i = 0; i < kHalf; ++i) to->codes[i] = codes[i] & 0x0f0f0f0f;
  for (int64_t i = 0; i < kHalf; ++i) to->codes[kHalf + i] = (codes[i] >> 4) & 0x0f0f0f0f;
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
          multiply_few<Codes>(args_, p, m0_, rows_);
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
    for (int64_t g = 0; g < groups_ && wide && !Codes::kHasMin; ++g) {
      wide = are_five_bits(codes(panel(p) + kNR * 4, g));
    }
    return wide;
  }

  void gather() {
    const Strips strips(rows_, kGroupedMR);
    for (int64_t s = 0; s < strips.count(); ++s) {
      const GroupedRows a(args_, m0_ + strips.begin(s));
      gather_rows<Offset16, kGroupedMR>(strips.rows(s), a, 0, groups_, strip(strips.begin(s)));
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
      widen_f16_row(header(groups, i), w_[i].scales);
      if (Codes::kHasMin) {
        widen_f16_row(header(groups, i) + kNR, w_[i].mins);
        widen_halves(codes(groups, i), &w_[i]);
      } else {
        widen_five_bits(codes(groups, i), &w_[i]);
      }
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
      multiply_few<Codes>(args, p, 0, args.m);
    }
  }
  end_rows(args);
}

constexpr void fill_grouped_products(Table* table, const char* name) {
  table->product(Precision::kInt8Groups) =
      make_grouped_product<S8Codes>(name, kGroupedMR, gemm_grouped_run<S8Codes>);
  table->product(Precision::kInt4) =
      make_grouped_product<U4Codes>(name, kGroupedMR, gemm_grouped_run<U4Codes>);
}

}  // namespace headlane::kernels::HEADLANE_ISA
