// Products of weights in groups by the tiles of AMX, for a strip of rows and more.
//
// A product of tiles takes 16 rows by 16 columns of what shares a scale, a unit of 32 columns of K:
// half of what tiles hold. Its sums go to memory as integers. Vectors take them from there, scaled,
// unit after unit in the order of every table, so the bits are those of every table (product.h).
// Both use the same ports: moving tiles takes 30 % of the time, adding up 60 %, and the products of
// the next strip run beside them. A panel's block of units is widened to bytes once for all strips.
// Of 6 bits 16 columns share a scale, a quarter of a tile: those are better off as vectors
// (docs/experiments.md).
#pragma once

#include "kernels/gemm_grouped_dots-inl.h"
#include "kernels/gemm_tiles-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// Tiles multiply signed codes by signed ones, tiled(), at each of the steps of codes(). So codes of
// 8 bits are packed as they are, and few rows put the offset on as they read them.
struct S8TileCodes : S8Dots {
  static constexpr uint32_t kFlipped = 0;
  static Groups codes(const uint32_t* at, int i, int part) {
    return flip_signs_8(S8Dots::codes(at, i, part));
  }
  static Groups tiled(const uint32_t* at, int i, int part) { return S8Dots::codes(at, i, part); }
};
struct U5TileCodes : U5Dots {
  static Groups tiled(const uint32_t* at, int i, int part) { return codes(at, i, part); }
};
struct U4TileCodes : U4Dots {
  static Groups tiled(const uint32_t* at, int i, int part) { return codes(at, i, part); }
};

// What shares a scale, of a panel's columns, and the sums of a strip's rows by it.
struct WideUnit {
  alignas(64) float scales[kNR];
  alignas(64) float mins[kNR];
  alignas(64) uint32_t codes[kSteps * kNR];
};
struct UnitSums {
  alignas(64) uint32_t of[kTileRows * kNR];
};

// kept[R, NR] = from + n units; a stride of 0 repeats one row of `from`. Sums are those of the R
// rows that `a` begins with, from row `r` of the tiles on.
template <typename Codes, int R>
inline void add_units(int64_t n, const WideUnit* w, const UnitSums* sums, int64_t r,
                      const GroupedRows& a, int64_t first, const float* from, int64_t from_ld,
                      float* kept) {
  F32 x[R][kNV];
  HEADLANE_UNROLL
  for (int i = 0; i < R; ++i) {
    HEADLANE_UNROLL
    for (int v = 0; v < kNV; ++v) x[i][v] = load(from + i * from_ld + v * kWidth);
  }
  for (int64_t u = 0; u < n; ++u) {
    const uint32_t* of_unit = sums[u].of + r * kNR;
    HEADLANE_UNROLL
    for (int i = 0; i < R; ++i) {
      const F32 a_scale = a.scale(i, first + u);
      HEADLANE_UNROLL
      for (int v = 0; v < kNV; ++v) {
        const F32 sum = to_float(load_groups(of_unit + i * kNR + v * kWidth));
        x[i][v] = fma(sum, load(w[u].scales + v * kWidth) * a_scale, x[i][v]);
      }
      if constexpr (Codes::kHasMin) {
        const F32 a_sum = a.sum(i, first + u);
        HEADLANE_UNROLL
        for (int v = 0; v < kNV; ++v) {
          x[i][v] = fnma(load(w[u].mins + v * kWidth), a_sum, x[i][v]);
        }
      }
    }
  }
  HEADLANE_UNROLL
  for (int i = 0; i < R; ++i) {
    HEADLANE_UNROLL
    for (int v = 0; v < kNV; ++v) store(kept + i * kNR + v * kWidth, x[i][v]);
  }
}

template <typename Codes>
struct UnitKernels {
  using Pointer = void (*)(int64_t n, const WideUnit* w, const UnitSums* sums, int64_t r,
                           const GroupedRows& a, int64_t first, const float* from, int64_t from_ld,
                           float* kept);
  template <int R>
  static constexpr Pointer kOf = add_units<Codes, R>;
};

// Tiles 0 to 2 are sums of one unit, 3 to 5 of the next, by the three vectors of a panel's columns.
// Those of the first are stored while the second's are multiplied.
static_assert(kNV == 3 && kWidth == 16);
constexpr int64_t kUnits = 2;  // of a block

#define HEADLANE_MULTIPLY(tile, unit, column)               \
  _tile_loadd(7, w[unit].codes + (column)*kWidth, kNR * 4); \
  _tile_zero(tile);                                         \
  _tile_dpbssd(tile, 6, 7)
#define HEADLANE_STORE(tile, unit, column) \
  _tile_stored(tile, sums[unit].of + (column)*kWidth, kNR * 4)

inline void multiply_units(int64_t n, const char* a, int64_t lda, const WideUnit* w,
                           UnitSums* sums) {
  settle_memory();
  _tile_loadd(6, a, lda);
  HEADLANE_MULTIPLY(0, 0, 0);
  HEADLANE_MULTIPLY(1, 0, 1);
  HEADLANE_MULTIPLY(2, 0, 2);
  if (n == kUnits) {
    _tile_loadd(6, a + kGroupSize, lda);
    HEADLANE_MULTIPLY(3, 1, 0);
    HEADLANE_STORE(0, 0, 0);
    HEADLANE_MULTIPLY(4, 1, 1);
    HEADLANE_STORE(1, 0, 1);
    HEADLANE_MULTIPLY(5, 1, 2);
    HEADLANE_STORE(2, 0, 2);
    HEADLANE_STORE(3, 1, 0);
    HEADLANE_STORE(4, 1, 1);
    HEADLANE_STORE(5, 1, 2);
  } else {
    HEADLANE_STORE(0, 0, 0);
    HEADLANE_STORE(1, 0, 1);
    HEADLANE_STORE(2, 0, 2);
  }
  settle_memory();
}

#undef HEADLANE_MULTIPLY
#undef HEADLANE_STORE

// The sums of a strip by a block of units, on their way to what is kept of their rows, and, with
// the panel's last block, to C.
struct PendingUnits {
  int64_t p;                       // the panel
  int64_t first, n;                // units of the block
  const WideUnit* w;               // of them
  int64_t row, end;                // rows of the block of rows that are to be added
  int64_t tile_row = 0;            // the row that the tiles begin with
  const UnitSums* sums = nullptr;  // of the units
};

template <typename Codes>
class TiledGroups {
  static_assert(Codes::kScales == 1);

 public:
  explicit TiledGroups(const ProductArgs& args)
      : args_(args),
        units_(groups_in(args.k)),
        panel_bytes_(grouped_panel_bytes<Codes>(kNR, args.k)) {}

  void run() {
    for (m0_ = 0; m0_ < args_.m; m0_ += kRows) {
      rows_ = smaller(kRows, args_.m - m0_);
      tiles_.configure_units(rows_, kGroupSize);
      for (int64_t p = args_.panel_begin; p < args_.panel_end; ++p) multiply(p);
      add_pending();
    }
  }

 private:
  // Two blocks of units are 8 KB, the sums of two strips 12, and what is kept of all rows 24: what
  // meets at once fits L1.
  static constexpr int64_t kRows = 128, kAtOnce = 4;
  static constexpr PendingUnits kNothing = {0, 0, 0, nullptr, 0, 0};

  const char* panel(int64_t p) const {
    return static_cast<const char*>(args_.packed) + p * panel_bytes_;
  }

  void multiply(int64_t p) {
    const Strips blocks(units_, kUnits);
    const FullStrips strips(rows_, kTileRows);
    for (int64_t i = 0; i < blocks.count(); ++i) {
      WideUnit* w = wide_[wide_at_];
      wide_at_ ^= 1;
      widen(p, blocks.begin(i), blocks.rows(i), w);
      for (int64_t s = 0; s < strips.count(); ++s) {
        multiply_strip({.p = p,
                        .first = blocks.begin(i),
                        .n = blocks.rows(i),
                        .w = w,
                        .row = strips.begin(s),
                        .end = strips.begin(s) + strips.rows(s)});
      }
    }
  }

  void widen(int64_t p, int64_t first, int64_t n, WideUnit* to) {
    const char* from = panel(p) + kNR * 4 + first * kGroupBytes<Codes>;
    for (int64_t u = 0; u < n; ++u, from += kGroupBytes<Codes>, ++to) {
      fetch(from + kUnits * kGroupBytes<Codes>);
      const uint16_t* numbers = reinterpret_cast<const uint16_t*>(from);
      const uint32_t* codes = reinterpret_cast<const uint32_t*>(from + kGroupHeader<Codes>);
      HEADLANE_UNROLL
      for (int64_t j = 0; j < kNR; j += kWidth) {
        store(to->scales + j, load_f16(numbers + j));
        if constexpr (Codes::kHasMin) store(to->mins + j, load_f16(numbers + kNR + j));
        HEADLANE_UNROLL
        for (int i = 0; i < kSteps; ++i) {
          constexpr int kPartSteps = kSteps / Codes::kParts;
          store_groups(to->codes + i * kNR + j,
                       Codes::tiled(codes + j, i % kPartSteps, i / kPartSteps));
        }
      }
    }
  }

  // Asks for a unit of the next block, to which strips of products of this one leave time.
  static void fetch(const char* unit) {
    for (int64_t i = 0; i < kGroupBytes<Codes>; i += 64) __builtin_prefetch(unit + i, 0, 2);
  }

  // Multiplies a strip, and adds up the one before. A short one is filled up with rows before it,
  // whose sums nobody takes.
  void multiply_strip(PendingUnits strip) {
    UnitSums* sums = sums_[sums_at_];
    sums_at_ ^= 1;
    strip.sums = sums;
    strip.tile_row = smaller(strip.row, rows_ > kTileRows ? rows_ - kTileRows : 0);
    const GroupedRows rows(args_, m0_ + strip.tile_row);
    multiply_units(strip.n, rows.codes + strip.first * kGroupSize, rows.ld, strip.w, sums);
    add_pending();
    pending_ = strip;
  }

  void add_pending() {
    const PendingUnits& of = pending_;
    const bool begins = of.first == 0, ends = of.first + of.n == units_;
    const float* bias = reinterpret_cast<const float*>(panel(of.p));
    for (int64_t r = of.row; r < of.end; r += kAtOnce) {
      const int64_t n = smaller(kAtOnce, of.end - r);
      float* kept = kept_ + r * kNR;
      kByRows<UnitKernels<Codes>, kAtOnce>.of[n - 1](of.n, of.w, of.sums, r - of.tile_row,
                                                     GroupedRows(args_, m0_ + r), of.first,
                                                     begins ? bias : kept, begins ? 0 : kNR, kept);
      if (ends) write(of.p, r, n);
    }
    pending_ = kNothing;
  }

  void write(int64_t p, int64_t r, int64_t n) {
    const int64_t column = p * kNR;
    const int64_t vectors = (smaller(kNR, args_.n - column) + kWidth - 1) / kWidth;
    PendingTile<Bf16Finish, kNR> done = {Bf16Finish(nullptr), m0_ + r, n, column, vectors,
                                         kept_ + r * kNR};
    done.write(args_);
  }

  const ProductArgs& args_;
  int64_t units_, panel_bytes_;
  int64_t m0_ = 0, rows_ = 0;  // of the block of rows at hand
  PendingUnits pending_ = kNothing;
  TileUnit tiles_;
  int wide_at_ = 0, sums_at_ = 0;  // which of two is written next: the other is pending
  WideUnit wide_[2][kUnits];
  UnitSums sums_[2][kUnits];
  alignas(64) float kept_[kRows * kNR];
};

// Fewer rows are multiplied by vectors.
constexpr int64_t kLeastTiled = 9;

template <typename Codes>
inline void gemm_tiled_groups_run(const ProductArgs& args) {
  if (args.m < kLeastTiled) return gemm_dots_run<Codes>(args);
  assert(args.k >= 1 && args.ldc % kRowAlign == 0);
  TiledGroups<Codes>(args).run();
  end_rows(args);
}

constexpr void fill_tiled_groups(Table* table, const char* name) {
  table->product(Precision::kInt8Groups) =
      make_grouped_product<S8TileCodes>(name, kTileRows, gemm_tiled_groups_run<S8TileCodes>);
  table->product(Precision::kInt5) =
      make_grouped_product<U5TileCodes>(name, kTileRows, gemm_tiled_groups_run<U5TileCodes>);
  table->product(Precision::kInt4) =
      make_grouped_product<U4TileCodes>(name, kTileRows, gemm_tiled_groups_run<U4TileCodes>);
}

}  // namespace headlane::kernels::HEADLANE_ISA
