// Products in bf16 and in bytes by the tiles of AMX: the twin of gemm_narrow-inl.h's loops.
//
// A panel of 32 columns is cut along K into blocks that leave half of L1 to the rows of A, which
// pass by: a tile that comes from L2 takes as long as its products. The sums of up to four strips
// wait in memory for the panel's next block. What is done with a strip's sums is done between the
// products of the next strip, whose unit is another.
#pragma once

#include "kernels/gemm_narrow-inl.h"
#include "kernels/gemm_tiles-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

template <typename Tile, typename Panels, typename Finish>
class TileProduct {
 public:
  explicit TileProduct(const ProductArgs& args)
      : args_(args),
        groups_(groups_of<Tile, Panels>(args.k)),
        panel_floats_(narrow_panel_bytes<Tile, Panels>(kNR, args.k) / 4) {}

  void run() {
    for (m0_ = 0; m0_ < args_.m; m0_ += kRows) {
      rows_ = smaller(kRows, args_.m - m0_);
      unit_.configure(rows_);
      for (int64_t p = args_.panel_begin; p < args_.panel_end; ++p) multiply(p);
    }
    write_pending(pending_.rows);
    if (args_.panel_end * kNR >= args_.n && args_.c_element == Element::kBf16) {
      fill_row_ends(args_, round_up(args_.n, kWidth));
    }
  }

 private:
  static constexpr int64_t kNR = Tile::kNR, kMR = Tile::kMR, kStep = Tile::kStep;
  // Strips whose sums wait at once: 16 KB. Groups of a block of a panel: 24 KB.
  static constexpr int64_t kStrips = 4, kBlock = 12 * kStep;
  static constexpr int64_t kRows = kStrips * kMR;
  static constexpr int64_t kLine = 64 / sizeof(uint32_t);  // of a cache

  const float* panel(int64_t p) const {
    return static_cast<const float*>(args_.packed) + p * panel_floats_;
  }
  // Where group g of it begins.
  const uint32_t* groups_at(int64_t p, int64_t g) const {
    return reinterpret_cast<const uint32_t*>(panel(p) + (Panels::kHeaderRows + g) * kNR);
  }
  int64_t vectors_of(int64_t p) const {
    return (smaller(kNR, args_.n - p * kNR) + kWidth - 1) / kWidth;
  }

  void multiply(int64_t p) {
    const FullStrips strips(rows_, kMR);
    for (int64_t g = 0; g < groups_; g += kBlock) {
      const int64_t groups = smaller(kBlock, groups_ - g), steps = groups / kStep;
      const bool last = g + groups == groups_;
      fetch(last ? p + 1 : p, last ? 0 : g + groups, strips.count(), steps);
      for (int64_t i = 0; i < strips.count(); ++i) {
        // Rows that a tile has room for beside those of the last strip are those before them, which
        // get the bits that they have.
        const int64_t r = strips.begin(i), rows = strips.rows(i);
        const int64_t before = rows < kTileRows ? smaller(kTileRows, rows_) - rows : 0;
        float* tile = tiles_[(next_tile_ + i) % (kStrips + 1)];
        multiply_strip(p, g, steps, r - before, rows + before, tile);
        if (!last) continue;
        write_pending(pending_.rows);
        pending_ = {Finish(panel(p)), m0_ + r, rows, p * kNR, vectors_of(p), tile + before * kNR};
        written_ = 0;
      }
    }
    next_tile_ += strips.count();
  }

  // tile (+)= rows r .. r + rows of the block of rows by a block of panel p.
  void multiply_strip(int64_t p, int64_t g, int64_t steps, int64_t r, int64_t rows, float* tile) {
    const uint32_t* a = static_cast<const uint32_t*>(args_.a) + (m0_ + r) * args_.lda + g;
    const float* init = Panels::kHeaderRows == 1 ? panel(p) : kZeroRow;
    const int64_t part = (pending_.rows + steps - 1) / steps;
    multiply_tiles<typename Tile::Dot, true>(
        rows, vectors_of(p) * kWidth, steps, a, args_.lda, groups_at(p, g), kNR,
        g == 0 ? init : nullptr, tile, kNR, [&](int64_t) {
          for (int64_t i = 0; i < lines_of_step_; ++i, next_ += kLine) {
            __builtin_prefetch(next_, 0, 2);
          }
          write_pending(smaller(written_ + part, pending_.rows));
        });
  }

  // The steps of so many strips fetch the block that begins with group g of panel p into L2. One
  // strip alone is slower so (docs/experiments.md).
  void fetch(int64_t p, int64_t g, int64_t strips, int64_t steps) {
    const bool any = p < args_.panel_end && strips > 1;
    const int64_t lines = any ? smaller(kBlock, groups_ - g) * kNR / kLine : 0;
    next_ = any ? groups_at(p, g) : nullptr;
    lines_of_step_ = (lines + strips * steps - 1) / (strips * steps);
  }

  void write_pending(int64_t end) {
    pending_.write(args_, written_, end);
    written_ = end;
  }

  const ProductArgs& args_;
  int64_t groups_, panel_floats_;
  int64_t m0_ = 0, rows_ = 0;  // of the block at hand
  int64_t next_tile_ = 0;
  const uint32_t* next_ = nullptr;  // what is fetched next
  int64_t lines_of_step_ = 0;
  PendingTile<Finish, kNR> pending_ = {Finish(nullptr), 0, 0, 0, 0, nullptr};
  int64_t written_ = 0;  // rows of it
  TileUnit unit_;
  alignas(64) float tiles_[kStrips + 1][kMR * kNR];
};

template <typename Tile, typename Panels, typename Finish>
inline void gemm_tiles_run(const ProductArgs& args) {
  assert(args.m >= 0 && args.k >= 1 && args.ldc % kRowAlign == 0);
  TileProduct<Tile, Panels, Finish>(args).run();
}

constexpr void fill_tile_products(Table* table, const char* name) {
  table->product(Precision::kBf16) =
      make_bf16_product<NativeBf16>(name, true, gemm_tiles_run<NativeBf16, Bf16Panels, Bf16Finish>);
  table->product(Precision::kInt8) = make_int8_product<NativeU8>(
      name, true, gemm_tiles_run<NativeU8, U8Panels, U8Finish<NativeU8::kNR>>);
}

}  // namespace headlane::kernels::HEADLANE_ISA
