// Tile instructions as functions of the numbers of tiles, for the tests of those instructions. To
// be compiled with AMX: nothing here depends on the emulator, which the fixture installs.
#pragma once

#include <gtest/gtest.h>
#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "tests/support/amx_emulator.h"

namespace headlane::test {

constexpr int kTiles = 8;

struct alignas(64) Config {
  uint8_t palette = 1, start_row = 0;
  uint8_t reserved_2[14] = {};
  uint16_t row_bytes[8] = {};
  uint8_t reserved_32[16] = {};
  uint8_t rows[8] = {};
  uint8_t reserved_56[8] = {};

  Config& set(int tile, int n_rows, int bytes) {
    rows[tile] = static_cast<uint8_t>(n_rows);
    row_bytes[tile] = static_cast<uint16_t>(bytes);
    return *this;
  }
};

inline Config all_tiles(int rows, int bytes) {
  Config config;
  for (int t = 0; t < kTiles; ++t) config.set(t, rows, bytes);
  return config;
}

// gcc 12 says of its intrinsics that they read and write 8 bytes of a configuration, and nothing of
// what a tile is loaded from; so memory is settled before each of them, and after.
inline void settle() { __asm__ volatile("" ::: "memory"); }

inline void configure(const Config& config) {
  settle();
  _tile_loadconfig(&config);
}

inline Config stored_config() {
  Config config;
  std::memset(static_cast<void*>(&config), 0xee, sizeof(config));
  settle();
  _tile_storeconfig(&config);
  settle();
  return config;
}

inline bool same(const Config& a, const Config& b) { return std::memcmp(&a, &b, sizeof(a)) == 0; }

// The intrinsics want the number of a tile as a literal.
#define FOR_EACH_TILE(CASE) CASE(0) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7)

inline void load(int tile, const void* from, int64_t stride) {
  settle();
#define LOAD(t) \
  if (tile == (t)) _tile_loadd(t, from, stride);
  FOR_EACH_TILE(LOAD)
#undef LOAD
}

inline void stream_load(int tile, const void* from, int64_t stride) {
  settle();
#define LOAD(t) \
  if (tile == (t)) _tile_stream_loadd(t, from, stride);
  FOR_EACH_TILE(LOAD)
#undef LOAD
}

inline void store(int tile, void* to, int64_t stride) {
#define STORE(t) \
  if (tile == (t)) _tile_stored(t, to, stride);
  FOR_EACH_TILE(STORE)
#undef STORE
  settle();
}

inline void zero(int tile) {
#define ZERO(t) \
  if (tile == (t)) _tile_zero(t);
  FOR_EACH_TILE(ZERO)
#undef ZERO
}

struct Triple {
  int c, a, b;
};

// Each tile in each place, beside different others; assemblers refuse the same tile twice.
#define FOR_EACH_TRIPLE(CASE) \
  CASE(0, 1, 2)               \
  CASE(1, 2, 3)               \
  CASE(2, 3, 4)               \
  CASE(3, 4, 5)               \
  CASE(4, 5, 6)               \
  CASE(5, 6, 7)               \
  CASE(6, 7, 0)               \
  CASE(7, 0, 1)               \
  CASE(0, 5, 3)               \
  CASE(1, 6, 4)               \
  CASE(2, 7, 5)               \
  CASE(3, 0, 6)               \
  CASE(4, 1, 7)               \
  CASE(5, 2, 0)               \
  CASE(6, 3, 1)               \
  CASE(7, 4, 2)

constexpr Triple kTriples[] = {
#define TRIPLE(c, a, b) {c, a, b},
    FOR_EACH_TRIPLE(TRIPLE)
#undef TRIPLE
};

#define DEFINE_PRODUCT(name) \
  inline void name(Triple t) { FOR_EACH_TRIPLE(name##_case) }
#define dpbf16ps_case(i, j, k) \
  if (t.c == (i) && t.a == (j) && t.b == (k)) _tile_dpbf16ps(i, j, k);
#define dpbssd_case(i, j, k) \
  if (t.c == (i) && t.a == (j) && t.b == (k)) _tile_dpbssd(i, j, k);
#define dpbsud_case(i, j, k) \
  if (t.c == (i) && t.a == (j) && t.b == (k)) _tile_dpbsud(i, j, k);
#define dpbusd_case(i, j, k) \
  if (t.c == (i) && t.a == (j) && t.b == (k)) _tile_dpbusd(i, j, k);
#define dpbuud_case(i, j, k) \
  if (t.c == (i) && t.a == (j) && t.b == (k)) _tile_dpbuud(i, j, k);
DEFINE_PRODUCT(dpbf16ps)
DEFINE_PRODUCT(dpbssd)
DEFINE_PRODUCT(dpbsud)
DEFINE_PRODUCT(dpbusd)
DEFINE_PRODUCT(dpbuud)

class Amx : public testing::Test {
 protected:
  static void SetUpTestSuite() { install_amx_emulator(); }
  void TearDown() override { _tile_release(); }
};

}  // namespace headlane::test
