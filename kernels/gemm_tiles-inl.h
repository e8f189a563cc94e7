// Tiles of products in bf16 or 8-bit integers by AMX: the twin of gemm_dots-inl.h.
//
// A strip is 32 rows of A, a panel 32 columns of B: four tiles of sums, two of A, two of B, so that
// each load of a tile serves two products. B's panel stays in L1, A passes by once, which its loads
// say (TILELOADDT1 keeps it from driving the panel out). A product of tiles takes as many cycles as
// A has rows, or B has if that is more: 16 of whole ones.
#pragma once

#include "kernels/loops-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

constexpr int64_t kTileRows = 16;
constexpr int64_t kTileGroups = 16;  // of a tile's row

// The compiler does not know what tile loads read and tile stores write.
inline void settle_memory() { __asm__ volatile("" ::: "memory"); }

// The thread's tiles. Configured while it lives, and released with it.
class TileUnit {
 public:
  TileUnit() = default;
  TileUnit(const TileUnit&) = delete;
  TileUnit& operator=(const TileUnit&) = delete;
  ~TileUnit() {
    if (rows_ > 0) _tile_release();
  }

  // For strips of any rows: tiles 0 to 3 are sums, 0 and 1 of the first 16 rows, 2 and 3 of the
  // last; 4 and 5 are of A, 6 and 7 of B. Those of A and of sums have 16 rows, or all that there
  // are.
  void configure(int64_t rows) { configure(rows, 6, 64, kTileRows); }
  // For strips of 16 rows, or of all that there are, by `columns` bytes along K: tiles 0 to 5 are
  // sums, 6 is of A, 7 of B.
  void configure_units(int64_t rows, int64_t columns) { configure(rows, 7, columns, columns / 4); }

 private:
  // Tiles up to end_of_a have rows of A; the last of them has `columns` bytes, sums have 64.
  void configure(int64_t strip_rows, int end_of_a, int64_t columns, int64_t rows_of_b) {
    const int64_t rows = smaller(strip_rows, kTileRows);
    if (rows == rows_) return;
    struct alignas(64) {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {};
      uint8_t rows[16] = {};
    } config;
    for (int i = 0; i < 8; ++i) {
      config.row_bytes[i] = static_cast<uint16_t>(i + 1 == end_of_a ? columns : 64);
      config.rows[i] = static_cast<uint8_t>(i < end_of_a ? rows : rows_of_b);
    }
    // All 64 bytes: gcc 12 takes it that the intrinsic reads the first eight.
    __asm__ volatile("" : : "r"(&config) : "memory");
    _tile_loadconfig(&config);
    rows_ = rows;
  }

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

// C[rows, up to 32 columns] = init + A * B; a null `init` adds to what C holds. Of more than 16
// rows, the second tile has the last 16: where there are fewer than 32, both tiles have the same
// sums of the rows between, to the bit, and no tile is configured anew. COLUMNS counts tiles. A is
// streamed where STREAM_A says so, else B is. between(step) is called after each step of K. Strides
// count groups, which are as large as floats.
template <typename Dot, bool TWO_ROWS, int COLUMNS, bool STREAM_A, typename Between>
inline void tile_kernel(int64_t rows, int64_t steps, const uint32_t* a, int64_t lda,
                        const uint32_t* b, int64_t ldb, const float* init, float* c, int64_t ldc,
                        Between between) {
  const int64_t second = rows - kTileRows;
  const float* from = init ? init : c;
  const int64_t from_stride = init ? 0 : ldc * 4;  // a stride of 0 repeats one row
  const float* from_second = init ? init : c + second * ldc;
  settle_memory();
  _tile_loadd(0, from, from_stride);
  if constexpr (COLUMNS == 2) _tile_loadd(1, from + 16, from_stride);
  if constexpr (TWO_ROWS) _tile_loadd(2, from_second, from_stride);
  if constexpr (TWO_ROWS && COLUMNS == 2) _tile_loadd(3, from_second + 16, from_stride);
  const uint32_t* a_second = a + second * lda;
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
    if constexpr (TWO_ROWS) {
      if constexpr (STREAM_A) {
        _tile_stream_loadd(5, a_second, lda * 4);
      } else {
        _tile_loadd(5, a_second, lda * 4);
      }
      Dot::c10();
      if constexpr (COLUMNS == 2) Dot::c11();
    }
    between(step);
    a += kTileGroups;
    a_second += kTileGroups;
    b += kTileGroups * ldb;
  }
  _tile_stored(0, c, ldc * 4);
  if constexpr (COLUMNS == 2) _tile_stored(1, c + 16, ldc * 4);
  if constexpr (TWO_ROWS) _tile_stored(2, c + second * ldc, ldc * 4);
  if constexpr (TWO_ROWS && COLUMNS == 2) _tile_stored(3, c + second * ldc + 16, ldc * 4);
  settle_memory();
}

// The kernel for so many rows and columns.
template <typename Dot, bool STREAM_A, typename Between>
inline void multiply_tiles(int64_t rows, int64_t columns, int64_t steps, const uint32_t* a,
                           int64_t lda, const uint32_t* b, int64_t ldb, const float* init, float* c,
                           int64_t ldc, Between between) {
  if (rows > kTileRows && columns > 16) {
    tile_kernel<Dot, true, 2, STREAM_A>(rows, steps, a, lda, b, ldb, init, c, ldc, between);
  } else if (rows > kTileRows) {
    tile_kernel<Dot, true, 1, STREAM_A>(rows, steps, a, lda, b, ldb, init, c, ldc, between);
  } else if (columns > 16) {
    tile_kernel<Dot, false, 2, STREAM_A>(rows, steps, a, lda, b, ldb, init, c, ldc, between);
  } else {
    tile_kernel<Dot, false, 1, STREAM_A>(rows, steps, a, lda, b, ldb, init, c, ldc, between);
  }
}

// Rows cut into strips of mr, the last of what is left: a tile of 16 rows takes as long for one.
class FullStrips {
 public:
  FullStrips(int64_t rows, int64_t mr) : rows_(rows), mr_(mr) {}
  int64_t count() const { return (rows_ + mr_ - 1) / mr_; }
  int64_t begin(int64_t i) const { return i * mr_; }
  int64_t rows(int64_t i) const { return smaller(mr_, rows_ - i * mr_); }

 private:
  int64_t rows_, mr_;
};

// How attention multiplies in tiles: the twin of DotTile. Products are TileProduct's
// (gemm_tile_products-inl.h).
template <typename TileDot>
struct AmxTile {
  using Dot = TileDot;
  static constexpr int kMR = 32;
  static constexpr int64_t kNR = 32;
  static constexpr int64_t kStep = kTileGroups;
  using Unit = TileUnit;

  static FullStrips strips(int64_t rows) { return {rows, kMR}; }

  // tile[rows, n] = (init or tile) + A[rows, groups] * B[groups, n], B in rows of stride ldb, n a
  // multiple of 16.
  static void multiply(Unit* unit, int64_t rows, int64_t n, int64_t groups, const uint32_t* a,
                       int64_t lda, const uint32_t* b, int64_t ldb, const float* init, float* tile,
                       int64_t ld) {
    unit->configure(rows);
    for (int64_t j = 0; j < n; j += kNR) {
      multiply_tiles<Dot, false>(rows, smaller(kNR, n - j), groups / kStep, a, lda, b + j, ldb,
                                 init, tile + j, ld, [](int64_t) {});
    }
  }
};

}  // namespace headlane::kernels::HEADLANE_ISA
