// Tiles of products in bf16 or 8-bit integers by AMX: the twin of gemm_dots-inl.h.
//
// A strip is 32 rows of A, a panel 32 columns of B: four tiles of sums, two of A, two of B, so that
// each load of a tile serves two products. B's panel stays in L1, A passes by once, which its loads
// say (TILELOADDT1 keeps it from driving the panel out). What is done with one strip's sums is done
// between the products of the next, whose unit is another.
#pragma once

#include "kernels/loops-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

constexpr int64_t kTileRows = 16;
constexpr int64_t kTileGroups = 16;  // of a tile's row

// The compiler does not know what tile loads read and tile stores write.
inline void settle_memory() { __asm__ volatile("" ::: "memory"); }

// Tiles 0 to 3 are sums: 0 and 1 of the first 16 rows, 2 and 3 of the second; 4 and 5 are of A, 6
// and 7 of B. Configured while it lives, for strips of any rows; released with it.
class TileUnit {
 public:
  TileUnit() = default;
  TileUnit(const TileUnit&) = delete;
  TileUnit& operator=(const TileUnit&) = delete;
  ~TileUnit() {
    if (rows_ > 0) _tile_release();
  }

  void configure(int64_t rows) {
    if (rows == rows_) return;
    struct alignas(64) {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {};
      uint8_t rows[16] = {};
    } config;
    const auto first = static_cast<uint8_t>(smaller(rows, kTileRows));
    const auto second = static_cast<uint8_t>(rows > kTileRows ? rows - kTileRows : kTileRows);
    const uint8_t tile_rows[8] = {first, first,  second,    second,
                                  first, second, kTileRows, kTileRows};
    for (int i = 0; i < 8; ++i) {
      config.row_bytes[i] = 64;
      config.rows[i] = tile_rows[i];
    }
    // All 64 bytes: gcc 12 takes it that the intrinsic reads the first eight.
    __asm__ volatile("" : : "r"(&config) : "memory");
    _tile_loadconfig(&config);
    rows_ = rows;
  }

 private:
  int64_t rows_ = 0;
};

struct Bf16Tiles {
  static void c00() { _tile_dpbf16ps(0, 4, 6); }
  static void c01() { _tile_dpbf16ps(1, 4, 7); }
  static void c10() { _tile_dpbf16ps(2, 5, 6); }
  static void c11() { _tile_dpbf16ps(3, 5, 7); }
};

struct U8Tiles {
  static void c00() { _tile_dpbusd(0, 4, 6); }
  static void c01() { _tile_dpbusd(1, 4, 7); }
  static void c10() { _tile_dpbusd(2, 5, 6); }
  static void c11() { _tile_dpbusd(3, 5, 7); }
};

// C[up to 32 rows, up to 32 columns] = init + A * B; a null `init` adds to what C holds. ROWS and
// COLUMNS count tiles. A is streamed where STREAM_A says so, else B is. between(step, steps) is
// called after each step of K. Strides count groups, which are as large as floats.
template <typename Dot, int ROWS, int COLUMNS, bool STREAM_A, typename Between>
inline void tile_kernel(int64_t steps, const uint32_t* a, int64_t lda, const uint32_t* b,
                        int64_t ldb, const float* init, float* c, int64_t ldc, Between between) {
  const float* from = init ? init : c;
  const int64_t from_stride = init ? 0 : ldc * 4;  // a stride of 0 repeats one row
  const float* from_second = init ? init : c + kTileRows * ldc;
  settle_memory();
  _tile_loadd(0, from, from_stride);
  if constexpr (COLUMNS == 2) _tile_loadd(1, from + 16, from_stride);
  if constexpr (ROWS == 2) _tile_loadd(2, from_second, from_stride);
  if constexpr (ROWS == 2 && COLUMNS == 2) _tile_loadd(3, from_second + 16, from_stride);
  const uint32_t* a_second = a + kTileRows * lda;
  for (int64_t step = 0; step < steps; ++step) {
    if constexpr (STREAM_A) {
      _tile_loadd(6, b, ldb * 4);
      _tile_stream_loadd(4, a, lda * 4);
    } else {
      _tile_stream_loadd(6, b, ldb * 4);
      _tile_loadd(4, a, lda * 4);
    }
    Dot::c00();
    if constexpr (COLUMNS == 2) {
      if constexpr (STREAM_A) {
        _tile_loadd(7, b + 16, ldb * 4);
      } else {
        _tile_stream_loadd(7, b + 16, ldb * 4);
      }
      Dot::c01();
    }
    if constexpr (ROWS == 2) {
      if constexpr (STREAM_A) {
        _tile_stream_loadd(5, a_second, lda * 4);
      } else {
        _tile_loadd(5, a_second, lda * 4);
      }
      Dot::c10();
      if constexpr (COLUMNS == 2) Dot::c11();
    }
    between(step, steps);
    a += kTileGroups;
    a_second += kTileGroups;
    b += kTileGroups * ldb;
  }
  _tile_stored(0, c, ldc * 4);
  if constexpr (COLUMNS == 2) _tile_stored(1, c + 16, ldc * 4);
  if constexpr (ROWS == 2) _tile_stored(2, c + kTileRows * ldc, ldc * 4);
  if constexpr (ROWS == 2 && COLUMNS == 2) _tile_stored(3, c + kTileRows * ldc + 16, ldc * 4);
  settle_memory();
}

// The kernel for so many rows and columns.
template <typename Dot, bool STREAM_A, typename Between>
inline void multiply_tiles(int64_t rows, int64_t columns, int64_t steps, const uint32_t* a,
                           int64_t lda, const uint32_t* b, int64_t ldb, const float* init, float* c,
                           int64_t ldc, Between between) {
  if (rows > kTileRows && columns > 16) {
    tile_kernel<Dot, 2, 2, STREAM_A>(steps, a, lda, b, ldb, init, c, ldc, between);
  } else if (rows > kTileRows) {
    tile_kernel<Dot, 2, 1, STREAM_A>(steps, a, lda, b, ldb, init, c, ldc, between);
  } else if (columns > 16) {
    tile_kernel<Dot, 1, 2, STREAM_A>(steps, a, lda, b, ldb, init, c, ldc, between);
  } else {
    tile_kernel<Dot, 1, 1, STREAM_A>(steps, a, lda, b, ldb, init, c, ldc, between);
  }
}

// Rows cut into strips of mr, the last of what is left.
class FullStrips {
 public:
  FullStrips(int64_t rows, int64_t mr) : rows_(rows), mr_(mr) {}
  int64_t count() const { return (rows_ + mr_ - 1) / mr_; }
  int64_t begin(int64_t i) const { return i * mr_; }
  int64_t rows(int64_t i) const { return smaller(mr_, rows_ - i * mr_); }

 private:
  int64_t rows_, mr_;
};

// How products are multiplied in tiles: the twin of DotTile.
template <typename Dot>
struct AmxTile {
  static constexpr int kMR = 32;
  static constexpr int64_t kNR = 32;
  static constexpr int64_t kStep = kTileGroups;
  using Unit = TileUnit;

  // Full strips and a rest: a tile costs what its rows do, and a rest of one tile saves loads.
  static FullStrips strips(int64_t rows) { return {rows, kMR}; }

  // The strips of a product by one panel. All of them fetch the next panel into L2, a part with
  // each step.
  struct Panel {
    FullStrips strips;
    int64_t groups;
    const uint32_t* panel;  // [groups, kNR]
    const uint32_t* next;   // of the panel that comes after, or null
    const float* init;
    int64_t vectors;

    template <typename Between>
    void multiply(Unit* unit, int64_t strip, const uint32_t* a, int64_t lda, float* tile,
                  Between between) const {
      const int64_t rows = strips.rows(strip);
      unit->configure(rows);
      const int64_t steps = groups / kStep;
      const int64_t lines = next ? groups * kNR / 16 : 0, parts = strips.count() * steps;
      multiply_tiles<Dot, true>(rows, vectors * 16, steps, a, lda, panel, kNR, init, tile, kNR,
                                [&](int64_t step, int64_t) {
                                  const int64_t part = strip * steps + step;
                                  for (int64_t i = lines * part / parts;
                                       i < lines * (part + 1) / parts; ++i) {
                                    __builtin_prefetch(next + i * 16, 0, 2);
                                  }
                                  between(step, steps);
                                });
    }
  };

  // tile[rows, n] = (init or tile) + A[rows, groups] * B[groups, n], B in rows of stride ldb, n a
  // multiple of 16.
  static void multiply(Unit* unit, int64_t rows, int64_t n, int64_t groups, const uint32_t* a,
                       int64_t lda, const uint32_t* b, int64_t ldb, const float* init, float* tile,
                       int64_t ld) {
    unit->configure(rows);
    for (int64_t j = 0; j < n; j += kNR) {
      multiply_tiles<Dot, false>(rows, smaller(kNR, n - j), groups / kStep, a, lda, b + j, ldb,
                                 init, tile + j, ld, [](int64_t, int64_t) {});
    }
  }
};

}  // namespace headlane::kernels::HEADLANE_ISA
