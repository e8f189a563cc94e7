// What attention over a cache in bf16 multiplies by the tiles of AMX (decode_tiled-inl.h): its
// scratch, the order that numbers lie in, and products of tiles.
#pragma once

#include "kernels/decode_attention-inl.h"
#include "kernels/gemm_tiles-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

constexpr int64_t kDecodeSlots = kDecodeRows / kTileRows;
constexpr int64_t kStepKeys = 2 * kTileGroups;  // of products of weights and values
constexpr int64_t kWeightParts = 3;
constexpr int64_t kPartGroups = kTileRows * kDecodeBlock / 2;
static_assert(kStripRows == kTileRows && kWidth == kTileRows);

// Beside the rows' own: queries [kDecodeSlots, pairs of columns, kTileRows], one block's keys
// [kDecodeBlock, ldk], values [kDecodeBlock / 2, ldo], each with the one 16 keys on, weights
// [kWeightParts, kTileRows, kDecodeBlock / 2], likewise, and products [kDecodeBlock, kTileRows].
// Strides count groups: pairs of bf16.
struct TiledScratch {
  DecodeScratch rows = {};
  int64_t ldk, total;
  uint32_t *q, *k, *v, *weights;
  float* products;

  TiledScratch(float* base, int64_t head_dim, int64_t v_dim)
      : ldk(round_up(head_dim, 2 * kTileGroups) / 2) {
    int64_t end = 0;
    const auto take = [&](int64_t n) {
      const int64_t begin = end;
      end += round_up(n, kRowAlign);
      return base ? base + begin : nullptr;
    };
    const auto groups = [&](int64_t n) { return reinterpret_cast<uint32_t*>(take(n)); };
    rows.ldo = round_up(v_dim, 2 * kWidth);
    rows.o = take(kDecodeRows * rows.ldo);
    rows.m = take(kDecodeRows);
    rows.l = take(kDecodeRows);
    rows.scores = take(kStripRows * kDecodeBlock);
    rows.sums = take(kStripRows * rows.ldo);
    q = groups(kDecodeSlots * ldk * kTileRows);
    k = groups(kDecodeBlock * ldk);
    v = groups(kDecodeBlock / 2 * rows.ldo);
    weights = groups(kWeightParts * kPartGroups);
    products = take(kDecodeBlock * kTileRows);
    total = end;
  }
};

inline int64_t tiled_decode_scratch_floats(int64_t head_dim, int64_t v_dim) {
  const int64_t of_vectors = decode_scratch_floats(head_dim, v_dim);
  const int64_t of_tiles = TiledScratch(nullptr, head_dim, v_dim).total;
  return of_tiles > of_vectors ? of_tiles : of_vectors;
}

inline Groups load_pairs_up_to(const Bf16* p, int64_t n) {
  return n >= 2 * kWidth ? load_pairs(p) : load_pairs_n(p, n);
}

// 32 columns of values as they lie in two tiles: fours of them take turns.
struct TiledColumns {
  static constexpr int kParts = 2;
  static constexpr int64_t kStep = 2 * kWidth;
  // Those of two rows, in pairs.
  static void join(Groups a, Groups b, Groups (&pairs)[kParts]) {
    pairs[0] = _mm512_unpacklo_epi16(a, b);
    pairs[1] = _mm512_unpackhi_epi16(a, b);
  }
  static void put_back(F32 (&x)[kParts]) {
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    const __m512d a = _mm512_castps_pd(x[0]), b = _mm512_castps_pd(x[1]);
    x[0] = _mm512_castpd_ps(_mm512_permutex2var_pd(a, first, b));
    x[1] = _mm512_castpd_ps(_mm512_permutex2var_pd(a, second, b));
  }
};

// The largest magnitudes of bf16 so far, as bits: those of what is not finite are the largest.
inline Groups largest_bf16(Groups so_far, Groups x) {
  return _mm512_max_epu16(so_far, _mm512_and_si512(x, _mm512_set1_epi16(0x7fff)));
}
inline bool all_finite(Groups largest) {
  return _mm512_cmpge_epu16_mask(largest, _mm512_set1_epi16(0x7f80)) == 0;
}

// Columns 0 to 3 of 16 rows x of 16 numbers as four vectors.
inline void transpose_four(const float* x, F32 (&columns)[4]) {
  __m512 fours[4];
  for (int64_t i = 0; i < 4; ++i) {  // of rows i, 4 + i, 8 + i and 12 + i
    const float* p = x + i * kWidth;
    fours[i] = _mm512_castps128_ps512(_mm_loadu_ps(p));
    fours[i] = _mm512_insertf32x4(fours[i], _mm_loadu_ps(p + 4 * kWidth), 1);
    fours[i] = _mm512_insertf32x4(fours[i], _mm_loadu_ps(p + 8 * kWidth), 2);
    fours[i] = _mm512_insertf32x4(fours[i], _mm_loadu_ps(p + 12 * kWidth), 3);
  }
  const __m512 low_01 = _mm512_unpacklo_ps(fours[0], fours[1]);
  const __m512 high_01 = _mm512_unpackhi_ps(fours[0], fours[1]);
  const __m512 low_23 = _mm512_unpacklo_ps(fours[2], fours[3]);
  const __m512 high_23 = _mm512_unpackhi_ps(fours[2], fours[3]);
  columns[0] = _mm512_shuffle_ps(low_01, low_23, 0x44);
  columns[1] = _mm512_shuffle_ps(low_01, low_23, 0xee);
  columns[2] = _mm512_shuffle_ps(high_01, high_23, 0x44);
  columns[3] = _mm512_shuffle_ps(high_01, high_23, 0xee);
}

// What of a block the steps of `n` keys have that hold those of `keys`.
inline KeyRange whole_steps(KeyRange keys, int64_t n) {
  return {keys.begin / n * n, round_up(keys.end, n)};
}

// Where 16 keys lie, their rows a stride of so many bytes apart.
struct KeyTile {
  const void* k;
  int64_t stride;
};

// products [16 TILES, kTileRows] = K [16 TILES, steps] * Q [steps, kTileRows]
template <int TILES>
inline void multiply_keys(const KeyTile* keys, const uint32_t* q, int64_t steps, float* products) {
  constexpr int64_t kTile = kTileRows * kTileGroups;
  const auto at = [&](int tile, int64_t step) {
    return static_cast<const char*>(keys[tile].k) + step * 64;
  };
  settle_memory();
  _tile_zero(0);
  if constexpr (TILES == 4) {
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t step = 0; step < steps; ++step, q += kTile) {
    _tile_loadd(7, q, 64);
    _tile_loadd(4, at(0, step), keys[0].stride);
    _tile_dpbf16ps(0, 4, 7);
    if constexpr (TILES == 4) {
      _tile_loadd(5, at(1, step), keys[1].stride);
      _tile_dpbf16ps(1, 5, 7);
      _tile_loadd(6, at(2, step), keys[2].stride);
      _tile_dpbf16ps(2, 6, 7);
      _tile_loadd(4, at(3, step), keys[3].stride);
      _tile_dpbf16ps(3, 4, 7);
    }
  }
  _tile_stored(0, products, 64);
  if constexpr (TILES == 4) {
    _tile_stored(1, products + kTile, 64);
    _tile_stored(2, products + 2 * kTile, 64);
    _tile_stored(3, products + 3 * kTile, 64);
  }
  settle_memory();
}

// sums [kTileRows, 16 TILES] = W [kTileRows, steps] * V [steps, 16 TILES], W being the sum of
// parts.
template <int TILES>
inline void multiply_values(const uint32_t* weights, int64_t steps, const uint32_t* v, int64_t ldv,
                            float* sums, int64_t ld) {
  constexpr int64_t kRow = kDecodeBlock / 2 * 4;  // bytes of a part's row
  settle_memory();
  _tile_zero(0);
  if constexpr (TILES == 4) {
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t step = 0; step < steps; ++step, weights += kTileGroups, v += kTileGroups * ldv) {
    HEADLANE_UNROLL
    for (int64_t part = 0; part < kWeightParts; ++part) {
      _tile_loadd(4, weights + part * kPartGroups, kRow);
      _tile_loadd(5, v, ldv * 4);
      _tile_dpbf16ps(0, 4, 5);
      if constexpr (TILES == 4) {
        _tile_loadd(6, v + 16, ldv * 4);
        _tile_dpbf16ps(1, 4, 6);
        _tile_loadd(7, v + 32, ldv * 4);
        _tile_dpbf16ps(2, 4, 7);
        _tile_loadd(5, v + 48, ldv * 4);
        _tile_dpbf16ps(3, 4, 5);
      }
    }
  }
  _tile_stored(0, sums, ld * 4);
  if constexpr (TILES == 4) {
    _tile_stored(1, sums + 16, ld * 4);
    _tile_stored(2, sums + 32, ld * 4);
    _tile_stored(3, sums + 48, ld * 4);
  }
  settle_memory();
}

}  // namespace headlane::kernels::HEADLANE_ISA
