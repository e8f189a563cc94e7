// Products of bytes on vectors of few registers that multiply 16-bit integers pairwise (AVX2): the
// twin of gemm_widened-inl.h.
//
//   a panel:   bias, scale, sums   as gemm_narrow-inl.h has them
//              pairs [K/2, NR]     two bytes along K of each column, zeros beyond K
//
//   Loops, outermost first: blocks of rows of A; groups of a few panels; blocks of K; panels.
//
// A block of A's rows by a block of K is widened once, in the order that it has. B's pairs are
// widened as they are loaded, by the instruction that loads them: so a panel passes by at a quarter
// of what floats take, and a few rows need no more work for each byte of it than many do. The
// instruction that multiplies bytes pairwise saturates its sums. These here are exact in any order,
// and so the same as those of every other instruction set.
#pragma once

#include "kernels/gemm-inl.h"
#include "kernels/gemm_dots-inl.h"
#include "kernels/gemm_narrow-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// A's pairs are 16-bit integers, B's are bytes.
struct PairDot : S32Sums {
  using Group = uint32_t;
  static constexpr bool kGoesOn = true;
  static Groups a(const uint32_t* p) { return broadcast_group(p); }
  static Groups b(const uint16_t* p) { return widen_s8(p); }
  static Acc step(Acc sum, Groups a, Groups b) { return add_products_16(sum, a, b); }
};

// The same for two pairs a step, which a strip of few rows has registers for: it would wait for the
// loop's own instructions otherwise.
struct TwoPairsDot : S32Sums {
  using Group = uint64_t;
  struct Pairs {
    Groups first, second;
  };
  static constexpr bool kGoesOn = true;
  static constexpr int kMostRows = 4;
  static Pairs a(const uint64_t* p) {
    return {broadcast_group(p), broadcast_group(reinterpret_cast<const uint32_t*>(p) + 1)};
  }
  static Pairs b(const uint16_t* p) { return {widen_s8(p), widen_s8(p + kNR)}; }
  static Acc step(Acc sum, const Pairs& a, const Pairs& b) {
    return add_products_16(add_products_16(sum, a.first, b.first), a.second, b.second);
  }
};

using PairTile = DotTile<PairDot>;

// The panel is packed in groups of four bytes first. Then the halves of each group go to rows of
// their own.
inline void pack_pairs_panel(const PanelArgs& args) {
  pack_u8_panel<PairTile>(args);
  const int64_t groups = groups_of<PairTile, U8Panels>(args.k);
  uint16_t* to =
      reinterpret_cast<uint16_t*>(static_cast<float*>(args.panel) + U8Panels::kHeaderRows * kNR);
  for (int64_t g = 0; g < groups; ++g, to += 2 * kNR) {
    uint16_t halves[2 * kNR];
    __builtin_memcpy(halves, to, sizeof(halves));
    for (int64_t j = 0; j < kNR; ++j) {
      to[j] = halves[2 * j];
      to[kNR + j] = halves[2 * j + 1];
    }
  }
}

class PairsProduct {
 public:
  explicit PairsProduct(const ProductArgs& args)
      : args_(args),
        groups_(groups_of<PairTile, U8Panels>(args.k)),
        panel_floats_(narrow_panel_bytes<PairTile, U8Panels>(kNR, args.k) / 4) {}

  void run() {
    const Strips blocks(args_.m, kRows);
    for (int64_t i = 0; i < blocks.count(); ++i) {
      m0_ = blocks.begin(i);
      rows_ = blocks.rows(i);
      most_groups_ = smaller(kPairs / (2 * rows_) / kVector * kVector, round_up(groups_, kVector));
      g0_ = -1;
      for (int64_t p = args_.panel_begin; p < args_.panel_end; p += kPanels) {
        multiply(p, smaller(p + kPanels, args_.panel_end));
      }
    }
    if (args_.panel_end * kNR >= args_.n && args_.c_element == Element::kBf16) {
      fill_row_ends(args_, round_up(args_.n, kWidth));
    }
  }

 private:
  // 37 KB of A in 16-bit integers, of 48 rows or fewer, and 18 of sums.
  static constexpr int64_t kRows = 48, kPairs = kRows * 192, kPanels = 6;
  static constexpr int64_t kTileStride = kPanels * kNR;
  static constexpr int64_t kVector = kWidth / 2;  // groups of a vector of 16-bit integers

  const float* panel(int64_t p) const {
    return static_cast<const float*>(args_.packed) + p * panel_floats_;
  }
  const uint16_t* pairs(int64_t p, int64_t g) const {
    return reinterpret_cast<const uint16_t*>(panel(p) + (U8Panels::kHeaderRows + g) * kNR);
  }

  void multiply(int64_t begin, int64_t end) {
    for (int64_t g0 = 0; g0 < groups_; g0 += most_groups_) {
      const int64_t groups = smaller(most_groups_, groups_ - g0), g1 = g0 + groups;
      if (g0 != g0_) widen_rows(g0, groups);
      for (int64_t p = begin; p < end; ++p) {
        float* tile = tiles_ + (p - begin) * kNR;
        const bool in_group = p + 1 < end;
        const int64_t next_p = in_group ? p + 1 : g1 < groups_ ? begin : end;
        const int64_t next_g = in_group ? g0 : g1 < groups_ ? g1 : 0;
        const uint16_t* next = next_p < args_.panel_end ? pairs(next_p, next_g) : nullptr;
        multiply_panel(p, tile, g0, groups, next);
      }
    }
  }

  // Takes the sums of rows r .. r + rows of the block and of panel p to C.
  void finish(int64_t p, int64_t r, int64_t rows, int64_t vectors, const float* tile) {
    PendingTile<U8Finish<kNR>, kTileStride> done = {
        U8Finish<kNR>(panel(p)), m0_ + r, rows, p * kNR, vectors, tile};
    done.write(args_);
  }

  // Whole vectors: rows of A have 64 bytes or more behind their last number's.
  void widen_rows(int64_t g0, int64_t groups) {
    g0_ = g0;
    const uint32_t* a = static_cast<const uint32_t*>(args_.a) + m0_ * args_.lda + g0;
    for (int64_t r = 0; r < rows_; ++r) {
      uint32_t* to = a_ + r * 2 * most_groups_;
      for (int64_t g = 0; g < groups; g += kVector) {
        store_groups(to + 2 * g, widen_u8(a + r * args_.lda + g));
      }
    }
  }

  // The strips fetch `next`, a block of a panel, meanwhile. One strip alone fetches nothing, as in
  // register_tile-inl.h: of few rows it takes two pairs a step.
  void multiply_panel(int64_t p, float* tile, int64_t g0, int64_t groups, const uint16_t* next) {
    const float* init = g0 > 0 ? nullptr : kZeroRow;
    const int64_t vectors = vectors_of_panel(args_, p), lda = 2 * most_groups_;
    const uint16_t* b = pairs(p, g0);
    const Strips strips(rows_, kMR);
    const Fetch<uint32_t> fetch(strips, 2 * groups, reinterpret_cast<const uint32_t*>(next),
                                groups * kNR);
    for (int64_t i = 0; i < strips.count(); ++i) {
      const int64_t r = strips.begin(i), rows = strips.rows(i);
      float* sums = tile + r * kTileStride;
      if (rows_ <= TwoPairsDot::kMostRows) {
        kMicroKernels<TwoPairsDot>.of[rows - 1][vectors - 1](
            groups, reinterpret_cast<const uint64_t*>(a_), lda / 2, b, 2 * kNR, init, sums,
            kTileStride);
      } else {
        multiply_strip<PairDot>(strips, i, vectors, 2 * groups, a_ + r * lda, lda, b, init, sums,
                                kTileStride, fetch);
      }
      if (g0 + groups == groups_) finish(p, r, rows, vectors, sums);
    }
  }

  const ProductArgs& args_;
  int64_t groups_, panel_floats_;
  int64_t m0_ = 0, rows_ = 0;  // of the block at hand
  int64_t most_groups_ = 0;    // of a block of K
  int64_t g0_ = -1;            // where the block begins that is widened
  alignas(64) uint32_t a_[kPairs];
  alignas(64) float tiles_[kRows * kTileStride];  // of the sums of each panel, side by side
};

inline void run_pairs(const ProductArgs& args) {
  assert(args.m >= 0 && args.k >= 1 && args.ldc % kRowAlign == 0);
  PairsProduct(args).run();
}

constexpr Product make_pairs_product(const char* name) {
  return {.name = name,
          .layout = "pairs",
          .native = false,
          .mr = kMR,
          .nr = kNR,
          .panel_bytes = narrow_panel_bytes<PairTile, U8Panels>,
          .pack_panel = pack_pairs_panel,
          .run = run_pairs};
}

}  // namespace headlane::kernels::HEADLANE_ISA
