// Tile instructions, as compilers write them: on a processor that has them, or emulated. Compiled
// with AMX, so nothing here may depend on the emulator where AMX is native.
#include "tests/support/amx_emulator.h"

#include <gtest/gtest.h>
#include <immintrin.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/kernel_test.h"

namespace headlane::test {
namespace {

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

Config all_tiles(int rows, int bytes) {
  Config config;
  for (int t = 0; t < kTiles; ++t) config.set(t, rows, bytes);
  return config;
}

// gcc 12 says of its intrinsics that they read and write 8 bytes of a configuration, and nothing of
// what a tile is loaded from; so memory is settled before each of them, and after.
void settle() { __asm__ volatile("" ::: "memory"); }

void configure(const Config& config) {
  settle();
  _tile_loadconfig(&config);
}

Config stored_config() {
  Config config;
  std::memset(static_cast<void*>(&config), 0xee, sizeof(config));
  settle();
  _tile_storeconfig(&config);
  settle();
  return config;
}

bool same(const Config& a, const Config& b) { return std::memcmp(&a, &b, sizeof(a)) == 0; }

// The intrinsics want the number of a tile as a literal.
#define FOR_EACH_TILE(CASE) CASE(0) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7)

void load(int tile, const void* from, int64_t stride) {
  settle();
#define LOAD(t) \
  if (tile == (t)) _tile_loadd(t, from, stride);
  FOR_EACH_TILE(LOAD)
#undef LOAD
}

void stream_load(int tile, const void* from, int64_t stride) {
  settle();
#define LOAD(t) \
  if (tile == (t)) _tile_stream_loadd(t, from, stride);
  FOR_EACH_TILE(LOAD)
#undef LOAD
}

void store(int tile, void* to, int64_t stride) {
#define STORE(t) \
  if (tile == (t)) _tile_stored(t, to, stride);
  FOR_EACH_TILE(STORE)
#undef STORE
  settle();
}

void zero(int tile) {
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
  void name(Triple t) { FOR_EACH_TRIPLE(name##_case) }
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

// C[M,N] += A[M,K] * B[K,N] of dwords: 4 bytes or 2 bfloat16, which meet those of the other dword.
struct Shape {
  int m, n, k;
};
constexpr Shape kFull = {16, 16, 16};
constexpr Shape kShapes[] = {kFull,        {1, 1, 1},   {1, 16, 16}, {16, 1, 16},
                             {16, 16, 1},  {5, 16, 7},  {16, 3, 16}, {7, 11, 13},
                             {15, 15, 15}, {12, 5, 16}, {2, 16, 9}};

Config config_of(Shape s, Triple t) {
  Config config;
  return config.set(t.c, s.m, 4 * s.n).set(t.a, s.m, 4 * s.k).set(t.b, s.k, 4 * s.n);
}

template <typename C, typename E>
struct Operands {
  std::vector<C> c;
  std::vector<E> a, b;  // as tiles have them: [m][k] and [k][n] dwords of several elements
};

template <typename E>
std::vector<E> random_bytes(size_t n, std::mt19937* random) {
  std::vector<E> values(n);
  std::generate(values.begin(), values.end(), [&] { return static_cast<E>((*random)()); });
  return values;
}

template <typename C, typename E>
std::vector<C> product(const Operands<C, E>& x, Shape s, Triple t, void (*multiply)(Triple)) {
  std::vector<C> result = x.c;
  configure(config_of(s, t));
  load(t.c, result.data(), 4 * s.n);
  load(t.a, x.a.data(), 4 * s.k);
  load(t.b, x.b.data(), 4 * s.n);
  multiply(t);
  store(t.c, result.data(), 4 * s.n);
  return result;
}

template <typename A, typename B>
std::vector<uint32_t> int8_reference(const Operands<uint32_t, uint8_t>& x, Shape s) {
  std::vector<uint32_t> c = x.c;
  for (int m = 0; m < s.m; ++m)
    for (int n = 0; n < s.n; ++n)
      for (int k = 0; k < s.k; ++k)
        for (int i = 0; i < 4; ++i)
          c[m * s.n + n] += static_cast<uint32_t>(static_cast<A>(x.a[(m * s.k + k) * 4 + i]) *
                                                  static_cast<B>(x.b[(k * s.n + n) * 4 + i]));
  return c;
}

template <typename A, typename B>
void check_int8(void (*multiply)(Triple)) {
  std::mt19937 random(5);
  const auto check = [&](Shape s, Triple t) {
    Operands<uint32_t, uint8_t> x;
    x.c = random_bytes<uint32_t>(s.m * s.n, &random);  // so some wrap around
    x.a = random_bytes<uint8_t>(s.m * s.k * 4, &random);
    x.b = random_bytes<uint8_t>(s.k * s.n * 4, &random);
    EXPECT_EQ(product(x, s, t, multiply), (int8_reference<A, B>(x, s)))
        << "tiles " << t.c << t.a << t.b << ", " << s.m << "x" << s.n << "x" << s.k;
  };
  for (Triple t : kTriples) check(kFull, t);
  for (Shape s : kShapes) check(s, kTriples[0]);
  for (uint8_t extreme : {0x00, 0x7f, 0x80, 0xff}) {
    Operands<uint32_t, uint8_t> x;
    x.c.assign(256, 0x7fffffff);
    x.a.assign(1024, extreme);
    x.b.assign(1024, extreme);
    EXPECT_EQ(product(x, kFull, kTriples[3], multiply), (int8_reference<A, B>(x, kFull)));
  }
}

uint32_t bits(float value) {
  uint32_t u;
  std::memcpy(&u, &value, sizeof(u));
  return u;
}

float from_bf16(uint16_t value) {
  const uint32_t u = static_cast<uint32_t>(value) << 16;
  float f;
  std::memcpy(&f, &u, sizeof(f));
  return f;
}

uint16_t to_bf16(float value) { return static_cast<uint16_t>(bits(value) >> 16); }  // truncates

using Bf16Operands = Operands<float, uint16_t>;

template <typename Next>
Bf16Operands bf16_operands(Shape s, Next next) {
  Bf16Operands x;
  for (int i = 0; i < s.m * s.n; ++i) x.c.push_back(next());
  for (int i = 0; i < s.m * s.k * 2; ++i) x.a.push_back(to_bf16(next()));
  for (int i = 0; i < s.k * s.n * 2; ++i) x.b.push_back(to_bf16(next()));
  return x;
}

float element_a(const Bf16Operands& x, Shape s, int m, int k, int i) {
  return from_bf16(x.a[(m * s.k + k) * 2 + i]);
}

float element_b(const Bf16Operands& x, Shape s, int k, int n, int i) {
  return from_bf16(x.b[(k * s.n + n) * 2 + i]);
}

// As Intel's manual writes TDPBF16PS, for operands without denormals.
std::vector<float> manual_bf16(const Bf16Operands& x, Shape s) {
  std::vector<float> c = x.c;
  for (int m = 0; m < s.m; ++m)
    for (int n = 0; n < s.n; ++n) {
      float sums[2] = {};
      for (int k = 0; k < s.k; ++k)
        for (int i = 0; i < 2; ++i)
          sums[i] = std::fma(element_a(x, s, m, k, i), element_b(x, s, k, n, i), sums[i]);
      c[m * s.n + n] += sums[0] + sums[1];
    }
  return c;
}

void expect_within_bound(const Bf16Operands& x, Shape s, const std::vector<float>& got) {
  for (int m = 0; m < s.m; ++m)
    for (int n = 0; n < s.n; ++n) {
      double sum = x.c[m * s.n + n], magnitudes = std::fabs(sum);
      for (int k = 0; k < s.k; ++k)
        for (int i = 0; i < 2; ++i) {
          const double p = double{element_a(x, s, m, k, i)} * element_b(x, s, k, n, i);
          sum += p;
          magnitudes += std::fabs(p);
        }
      EXPECT_NEAR(got[m * s.n + n], sum, product_bound(2 * s.k + 1, magnitudes));
    }
}

// One product: C[0,0] = c + a0 * b0 + a1 * b1.
float one_product(float c, float a0, float b0, float a1 = 0, float b1 = 0) {
  Bf16Operands x;
  x.c = {c};
  x.a = {to_bf16(a0), to_bf16(a1)};
  x.b = {to_bf16(b0), to_bf16(b1)};
  return product(x, {1, 1, 1}, kTriples[0], dpbf16ps)[0];
}

class Amx : public testing::Test {
 protected:
  static void SetUpTestSuite() { install_amx_emulator(); }
  void TearDown() override { _tile_release(); }
};

TEST_F(Amx, ConfigurationIsKept) {
  Config config;
  for (int t = 0; t < kTiles; ++t) config.set(t, 16 - t, 64 - 4 * t);
  config.set(5, 0, 0);  // one that is not used
  configure(config);
  EXPECT_TRUE(same(stored_config(), config));
  _tile_release();
  const Config released = stored_config();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(&released), 64), std::string(64, '\0'));
}

TEST_F(Amx, PaletteZeroReleases) {
  configure(all_tiles(16, 64));
  Config none = all_tiles(99, 99);  // of which nothing is looked at
  none.palette = 0;
  configure(none);
  const Config config = stored_config();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(&config), 64), std::string(64, '\0'));
}

// Each tile with a shape of its own, from rows at one distance to rows at another.
void check_moves(void (*load_by)(int, const void*, int64_t)) {
  constexpr int kFrom = 80, kTo = 100;
  std::mt19937 random(7);
  Config config;
  for (int t = 0; t < kTiles; ++t) config.set(t, 2 * t + 1, 64 - 8 * t);
  configure(config);
  std::vector<std::vector<uint8_t>> from;
  for (int t = 0; t < kTiles; ++t) {
    from.push_back(random_bytes<uint8_t>(16 * kFrom, &random));
    load_by(t, from[t].data(), kFrom);
  }
  for (int t = 0; t < kTiles; ++t) {
    std::vector<uint8_t> to(16 * kTo, 0xaa), expected = to;
    for (int r = 0; r < config.rows[t]; ++r)
      std::copy_n(&from[t][r * kFrom], config.row_bytes[t], &expected[r * kTo]);
    store(t, to.data(), kTo);
    EXPECT_EQ(to, expected) << "tile " << t;
  }
}

TEST_F(Amx, TilesAreLoadedAndStored) { check_moves(load); }
TEST_F(Amx, TilesAreLoadedAsAStream) { check_moves(stream_load); }

TEST_F(Amx, RowsMayGoBackwardsOrRepeat) {
  std::vector<int32_t> from(256), back(256), repeated(256);
  for (int i = 0; i < 256; ++i) from[i] = i;
  configure(all_tiles(16, 64));
  load(1, from.data() + 240, -64);
  store(1, back.data(), 64);
  load(2, from.data(), 0);
  store(2, repeated.data(), 64);
  for (int i = 0; i < 256; ++i) {
    EXPECT_EQ(back[i], from[(15 - i / 16) * 16 + i % 16]);
    EXPECT_EQ(repeated[i], i % 16);
  }
}

// A tile touches its rows and columns, and nothing after them.
TEST_F(Amx, NothingIsTouchedBeyondTheTile) {
  Guarded<uint8_t> from(9 * 100 + 20), to(9 * 100 + 20);
  for (int64_t i = 0; i < from.size(); ++i) from[i] = static_cast<uint8_t>(i);
  configure(Config().set(3, 10, 20));
  load(3, from.data(), 100);
  store(3, to.data(), 100);
  for (int64_t i = 0; i < to.size(); ++i) {
    EXPECT_EQ(to[i], i % 100 < 20 ? static_cast<uint8_t>(i) : 0xff);
  }
}

TEST_F(Amx, ZeroClearsOneTile) {
  const std::vector<int32_t> ones(256, 1), zeros(256, 0);
  for (int cleared = 0; cleared < kTiles; ++cleared) {
    configure(all_tiles(16, 64));
    for (int t = 0; t < kTiles; ++t) load(t, ones.data(), 64);
    zero(cleared);
    for (int t = 0; t < kTiles; ++t) {
      std::vector<int32_t> to(256, 2);
      store(t, to.data(), 64);
      EXPECT_EQ(to, t == cleared ? zeros : ones) << "tile " << t << " of " << cleared;
    }
  }
}

TEST_F(Amx, ConfigurationClearsTiles) {
  const std::vector<int32_t> ones(256, 1);
  configure(all_tiles(16, 64));
  load(6, ones.data(), 64);
  configure(all_tiles(16, 64));
  std::vector<int32_t> to(256, 2);
  store(6, to.data(), 64);
  EXPECT_EQ(to, std::vector<int32_t>(256, 0));
}

TEST_F(Amx, SignedBySigned) { check_int8<int8_t, int8_t>(dpbssd); }
TEST_F(Amx, SignedByUnsigned) { check_int8<int8_t, uint8_t>(dpbsud); }
TEST_F(Amx, UnsignedBySigned) { check_int8<uint8_t, int8_t>(dpbusd); }
TEST_F(Amx, UnsignedByUnsigned) { check_int8<uint8_t, uint8_t>(dpbuud); }

// The same three tiles, again and again: C is a sum, and A and B stay as they were.
TEST_F(Amx, ProductsAccumulate) {
  std::mt19937 random(9);
  const Triple t = kTriples[5];
  Operands<uint32_t, uint8_t> x;
  x.c.assign(256, 0);
  x.a = random_bytes<uint8_t>(1024, &random);
  x.b = random_bytes<uint8_t>(1024, &random);
  std::vector<uint32_t> got(256);
  configure(all_tiles(16, 64));
  load(t.a, x.a.data(), 64);
  load(t.b, x.b.data(), 64);
  zero(t.c);
  for (int i = 0; i < 3; ++i) {
    dpbsud(t);
    store(t.c, got.data(), 64);
    x.c = int8_reference<int8_t, uint8_t>(x, kFull);
    EXPECT_EQ(got, x.c);
  }
}

TEST_F(Amx, SmallIntegersInBf16AreExact) {
  std::mt19937 random(11);
  std::uniform_int_distribution<int> integer(-128, 128);
  const auto check = [&](Shape s, Triple t) {
    const Bf16Operands x = bf16_operands(s, [&] { return static_cast<float>(integer(random)); });
    EXPECT_EQ(product(x, s, t, dpbf16ps), manual_bf16(x, s))
        << "tiles " << t.c << t.a << t.b << ", " << s.m << "x" << s.n << "x" << s.k;
  };
  for (Triple t : kTriples) check(kFull, t);
  for (Shape s : kShapes) check(s, kTriples[0]);
}

TEST_F(Amx, Bf16IsWithinItsBoundAndAsTheManualSaysToTheBit) {
  std::mt19937 random(13);
  std::normal_distribution<float> normal;
  for (Shape s : kShapes) {
    const Bf16Operands x = bf16_operands(s, [&] { return normal(random); });
    const std::vector<float> got = product(x, s, kTriples[8], dpbf16ps);
    expect_within_bound(x, s, got);
    EXPECT_EQ(got, manual_bf16(x, s));
  }
}

// First and second elements of pairs have sums apart, which meet before they meet C.
TEST_F(Amx, Bf16PairsHaveTwoSums) {
  EXPECT_EQ(one_product(1, 0x1p20f, 0x1p20f, -0x1p20f, 0x1p20f), 1);
  EXPECT_EQ(one_product(-0x1p40f, 0x1p20f, 0x1p20f, 1, 1), 0);
}

TEST_F(Amx, Bf16TakesDenormalsForZero) {
  const float denormal = from_bf16(0x0001), least = from_bf16(0x0080);  // 2^-126, the least normal
  EXPECT_EQ(one_product(1, denormal, 0x1p127f), 1);
  EXPECT_EQ(one_product(1, 0x1p127f, denormal), 1);
  EXPECT_EQ(one_product(1, 0, 0, denormal, 0x1p127f), 1);
  EXPECT_EQ(one_product(denormal, 0, 0), 0);
  EXPECT_EQ(one_product(0, least, 0.5f), 0);       // as a result
  EXPECT_EQ(one_product(0, least, 1), least);      // but this is none
  EXPECT_EQ(one_product(least, least, -1.5f), 0);  // -2^-127
  EXPECT_EQ(one_product(1, least, 0x1p127f), 3);   // 1 + 2
}

TEST_F(Amx, Bf16KnowsInfinityAndNan) {
  const float inf = INFINITY;
  EXPECT_EQ(one_product(1, inf, 2), inf);
  EXPECT_EQ(one_product(-inf, 3, 2), -inf);
  EXPECT_TRUE(std::isnan(one_product(0, inf, 0)));
  EXPECT_TRUE(std::isnan(one_product(0, inf, 1, -inf, 1)));
  EXPECT_TRUE(std::isnan(one_product(0, NAN, 1)));
  EXPECT_TRUE(std::isnan(one_product(NAN, 1, 1)));
}

// What is infinite in one column is no one else's.
TEST_F(Amx, Bf16ColumnsAreApart) {
  std::mt19937 random(17);
  Bf16Operands x = bf16_operands(kFull, [&] { return 1.0f; });
  for (int k = 0; k < 16; ++k) x.b[(k * 16 + 5) * 2] = to_bf16(INFINITY);
  const std::vector<float> got = product(x, kFull, kTriples[1], dpbf16ps);
  for (int i = 0; i < 256; ++i) EXPECT_EQ(got[i], i % 16 == 5 ? INFINITY : 33.0f);
}

// Rounding to nearest, and denormals to zero, whatever the program has set; which stays set.
TEST_F(Amx, MxcsrIsNeitherReadNorWritten) {
  constexpr unsigned kRoundUp = 0x4000, kMasked = 0x1f80;
  const unsigned before = _mm_getcsr();
  _mm_setcsr(kMasked | kRoundUp);
  const float sum = one_product(1, 0x1p-20f, 0x1p-20f);
  const unsigned after = _mm_getcsr();
  _mm_setcsr(before);
  EXPECT_EQ(sum, 1);
  EXPECT_EQ(after, kMasked | kRoundUp);
}

TEST_F(Amx, ThreadsHaveTilesOfTheirOwn) {
  const auto work = [](int seed) {
    std::mt19937 random(seed);
    const Shape s = kShapes[seed % std::size(kShapes)];
    for (int i = 0; i < 200; ++i) {
      Operands<uint32_t, uint8_t> x;
      x.c.assign(s.m * s.n, 0);
      x.a = random_bytes<uint8_t>(s.m * s.k * 4, &random);
      x.b = random_bytes<uint8_t>(s.k * s.n * 4, &random);
      ASSERT_EQ(product(x, s, kTriples[seed], dpbssd), (int8_reference<int8_t, int8_t>(x, s)));
    }
    _tile_release();
  };
  configure(Config().set(2, 3, 8));
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int seed = 0; seed < 4; ++seed) threads.emplace_back(work, seed);
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(same(stored_config(), Config().set(2, 3, 8)));
}

// ---- Ways to say where: base, index, scale and displacement of a tile in memory.

// 16 rows of 4 dwords, row r being {100 r, 100 r + 1, ...}, at a stride of 48 bytes.
class AmxAddress : public Amx {
 protected:
  static constexpr int64_t kStride = 48;

  void SetUp() override {
    for (int r = 0; r < 16; ++r)
      for (int i = 0; i < 4; ++i) memory_[kFirst + r * kStride / 4 + i] = 100 * r + i;
    configure(all_tiles(16, 16));
  }
  uintptr_t address(int64_t offset) {
    return reinterpret_cast<uintptr_t>(memory_ + kFirst) + offset;
  }
  void expect_loaded(int tile, const char* how) {
    int32_t rows[16][4];
    store(tile, rows, 16);
    for (int r = 0; r < 16; ++r)
      for (int i = 0; i < 4; ++i) EXPECT_EQ(rows[r][i], 100 * r + i) << how;
    zero(tile);
  }

 private:
  static constexpr int kFirst = 1000;
  int32_t memory_[2000] = {};
};

// NOLINTBEGIN(bugprone-macro-parentheses): pieces of assembly
// By fixed registers; r12 and r13 are those that look like "SIB follows" and "no base".
#define CHECK_ADDRESS(displacement, base, index, scale)                           \
  do {                                                                            \
    __asm__ volatile("mov %0, %%" base                                            \
                     "\n\t"                                                       \
                     "mov %1, %%" index                                           \
                     "\n\t"                                                       \
                     "tileloadd " #displacement "(%%" base ",%%" index "," #scale \
                     "), %%tmm6" ::"r"(address(-(displacement))),                 \
                     "r"(kStride / (scale))                                       \
                     : base, index, "memory");                                    \
    expect_loaded(6, #displacement "(" base "," index "," #scale ")");            \
  } while (false)

TEST_F(AmxAddress, OfAnyBaseAndIndex) {
  CHECK_ADDRESS(0, "rax", "rcx", 1);
  CHECK_ADDRESS(0, "rdx", "rsi", 1);
  CHECK_ADDRESS(0, "rdi", "r8", 1);
  CHECK_ADDRESS(0, "r9", "r10", 1);
  CHECK_ADDRESS(0, "r11", "r12", 1);
  CHECK_ADDRESS(0, "r12", "r13", 1);
  CHECK_ADDRESS(0, "r13", "r14", 1);
  CHECK_ADDRESS(0, "r14", "r15", 1);
  CHECK_ADDRESS(0, "r15", "rax", 1);
}

TEST_F(AmxAddress, OfAnyScale) {
  CHECK_ADDRESS(0, "rax", "rdx", 2);
  CHECK_ADDRESS(0, "r8", "r12", 4);
  CHECK_ADDRESS(0, "rcx", "r9", 8);
}

TEST_F(AmxAddress, OfAnyDisplacement) {
  CHECK_ADDRESS(64, "rax", "rcx", 1);
  CHECK_ADDRESS(-128, "r13", "rsi", 2);
  CHECK_ADDRESS(127, "r12", "r11", 1);
  CHECK_ADDRESS(128, "rbx", "r15", 1);
  CHECK_ADDRESS(-129, "r15", "rdi", 4);
  CHECK_ADDRESS(0x12345678, "r14", "r12", 1);
  CHECK_ADDRESS(-0x12345678, "rdx", "r9", 8);
}

TEST_F(AmxAddress, OfTheFramePointer) {
  uintptr_t base = address(0);
  __asm__ volatile(
      "xchg %%rbp, %0\n\t"
      "tileloadd (%%rbp,%1,1), %%tmm0\n\t"
      "tileloadd -16(%%rbp,%1,1), %%tmm1\n\t"
      "xchg %%rbp, %0"
      : "+a"(base)
      : "d"(kStride)
      : "memory");
  expect_loaded(0, "(rbp,rdx,1)");
}

TEST_F(AmxAddress, WithoutAnIndexHasNoStride) {
  __asm__ volatile("tileloadd 48(%0), %%tmm7" ::"r"(address(-48)) : "memory");
  int32_t rows[16][4];
  store(7, rows, 16);
  for (int r = 0; r < 16; ++r)
    for (int i = 0; i < 4; ++i) EXPECT_EQ(rows[r][i], i);
}

TEST_F(AmxAddress, OfStoresAndStreams) {
  int32_t rows[17][4] = {};
  __asm__ volatile(
      "mov %0, %%r15\n\t"
      "mov %1, %%r14\n\t"
      "tileloaddt1 -64(%%r15,%%r14,4), %%tmm4\n\t"
      "mov %2, %%r13\n\t"
      "mov $2, %%r12\n\t"
      "tilestored %%tmm4, 16(%%r13,%%r12,8)" ::"r"(address(64)),
      "r"(kStride / 4), "r"(rows)
      : "r12", "r13", "r14", "r15", "memory");
  for (int i = 0; i < 4; ++i) EXPECT_EQ(rows[0][i], 0);
  for (int r = 0; r < 16; ++r)
    for (int i = 0; i < 4; ++i) EXPECT_EQ(rows[r + 1][i], 100 * r + i);
}

// ---- And of a configuration.

}  // namespace

// With names for the assembler, at RIP and at FS.
extern "C" {
Config headlane_test_config = Config().set(1, 2, 12);
}

namespace {

thread_local Config thread_config = Config().set(7, 16, 64);

TEST_F(Amx, ConfigurationRelativeToRip) {
  settle();
  __asm__ volatile("ldtilecfg headlane_test_config(%%rip)" ::: "memory");
  EXPECT_TRUE(same(stored_config(), headlane_test_config));
}

TEST_F(Amx, ConfigurationRelativeToFs) {
  const auto* config = &thread_config;
  settle();
  __asm__ volatile(
      "mov %%fs:0, %%rax\n\t"
      "sub %%rax, %0\n\t"
      "ldtilecfg %%fs:(%0)"
      : "+r"(config)::"rax", "memory");
  EXPECT_TRUE(same(stored_config(), thread_config));
}

TEST_F(Amx, ConfigurationByRegisters) {
  Config configs[2] = {Config().set(2, 1, 4), Config().set(3, 2, 8)};
  const auto at = reinterpret_cast<uintptr_t>(&configs[1]);
#define CHECK_CONFIG(operand, register_name, value)                                    \
  do {                                                                                 \
    _tile_release();                                                                   \
    settle();                                                                          \
    __asm__ volatile("mov %0, %%" register_name "\n\tldtilecfg " operand ::"r"(value), \
                     "d"(int64_t{16})                                                  \
                     : register_name, "memory");                                       \
    EXPECT_TRUE(same(stored_config(), configs[1])) << operand;                         \
  } while (false)
  CHECK_CONFIG("(%%rax)", "rax", at);
  CHECK_CONFIG("(%%r12)", "r12", at);
  CHECK_CONFIG("(%%r13)", "r13", at);
  CHECK_CONFIG("64(%%rsi)", "rsi", at - 64);
  CHECK_CONFIG("-1024(%%r9)", "r9", at + 1024);
  CHECK_CONFIG("(,%%r12,4)", "r12", at / 4);
  CHECK_CONFIG("512(,%%rcx,8)", "rcx", (at - 512) / 8);
  CHECK_CONFIG("(%%r15,%%rdx,4)", "r15", at - 64);
  CHECK_CONFIG("-8(%%r8,%%rdx,1)", "r8", at - 8);
#undef CHECK_CONFIG
}
// NOLINTEND(bugprone-macro-parentheses)

// The stack pointer as a base, which always takes an SIB byte.
TEST_F(Amx, ConfigurationOnTheStack) {
  Config config;
  std::memset(static_cast<void*>(&config), 0xee, sizeof(config));
  configure(Config().set(4, 3, 20));
  void* to = &config;
  __asm__ volatile(
      "sub $256, %%rsp\n\t"
      "sttilecfg 64(%%rsp)\n\t"
      "lea 64(%%rsp), %%rsi\n\t"
      "mov $64, %%ecx\n\t"
      "rep movsb\n\t"
      "add $256, %%rsp"
      : "+D"(to)::"rsi", "rcx", "cc", "memory");
  EXPECT_TRUE(same(config, Config().set(4, 3, 20)));
}

// ---- What is refused. A processor kills by SIGSEGV (#GP) or SIGILL (#UD), the emulator says why.

class AmxDeathTest : public Amx {};

void expect_refused(const std::string& why, void (*refused)()) {
  EXPECT_DEATH(refused(), amx_is_native() ? std::string() : "AMX emulator: " + why);
}

TEST_F(AmxDeathTest, Configurations) {
  expect_refused("#GP: ldtilecfg at 0x[0-9a-f]+: no such palette: 2", [] {
    Config config = all_tiles(16, 64);
    config.palette = 2;
    configure(config);
  });
  expect_refused("#GP.*more than 16 rows: tmm3 17x64", [] { configure(Config().set(3, 17, 64)); });
  expect_refused("#GP.*more than 64 bytes: tmm0 1x65", [] { configure(Config().set(0, 1, 65)); });
  expect_refused("#GP.*without.*: tmm7 0x64", [] { configure(Config().set(7, 0, 64)); });
  expect_refused("#GP.*without.*: tmm7 16x0", [] { configure(Config().set(7, 16, 0)); });
  expect_refused("#GP.*reserved", [] {
    Config config = all_tiles(16, 64);
    config.reserved_2[13] = 1;
    configure(config);
  });
  expect_refused("#GP.*reserved", [] {
    Config config = all_tiles(16, 64);
    config.reserved_32[0] = 64;  // the columns of a tile 8
    configure(config);
  });
  expect_refused("#GP.*reserved", [] {
    Config config = all_tiles(16, 64);
    config.reserved_56[7] = 1;
    configure(config);
  });
}

TEST_F(AmxDeathTest, TilesWithoutConfiguration) {
  static int32_t memory[256];
  expect_refused("#UD: tileloadd at .*not configured", [] { load(0, memory, 64); });
  expect_refused("#UD: tileloaddt1 at .*not configured", [] { stream_load(0, memory, 64); });
  expect_refused("#UD: tilestored at .*not configured", [] { store(0, memory, 64); });
  expect_refused("#UD: tilezero at .*not configured", [] { zero(0); });
  expect_refused("#UD: tdpbf16ps at .*not configured", [] { dpbf16ps(kTriples[0]); });
  expect_refused("#UD: tileloadd at .*not configured", [] {
    configure(all_tiles(16, 64));
    _tile_release();
    load(0, memory, 64);
  });
}

TEST_F(AmxDeathTest, TilesThatAreNotAmongTheConfigured) {
  static int32_t memory[256];
  expect_refused("#UD: tileloadd .*no such tile.*: tmm5 0x0", [] {
    configure(Config().set(4, 16, 64));
    load(5, memory, 64);
  });
  expect_refused("#UD: tilezero .*no such tile.*: tmm5 0x0", [] {
    configure(Config().set(4, 16, 64));
    zero(5);
  });
  expect_refused("#UD: tilestored .*whole dwords: tmm4 16x63", [] {
    configure(Config().set(4, 16, 63));
    store(4, memory, 64);
  });
  expect_refused("#UD: tileloadd .*start_row.*: tmm4 2x64", [] {
    Config config = Config().set(4, 2, 64);
    config.start_row = 2;
    configure(config);
    load(4, memory, 64);
  });
}

TEST_F(AmxDeathTest, ShapesThatDoNotFit) {
  // C is tile 0, A is 1, B is 2.
  expect_refused("#UD: tdpbssd .*C and A.*: tmm0 15x64 tmm1 16x64 tmm2 16x64", [] {
    configure(all_tiles(16, 64).set(0, 15, 64));
    dpbssd({0, 1, 2});
  });
  expect_refused("#UD: tdpbsud .*C and B.*: tmm0 16x60 tmm1 16x64 tmm2 16x64", [] {
    configure(all_tiles(16, 64).set(0, 16, 60));
    dpbsud({0, 1, 2});
  });
  expect_refused("#UD: tdpbusd .*A's columns.*: tmm0 16x64 tmm1 16x60 tmm2 16x64", [] {
    configure(all_tiles(16, 64).set(1, 16, 60));
    dpbusd({0, 1, 2});
  });
  expect_refused("#UD: tdpbuud .*A's columns.*: tmm0 16x64 tmm1 16x64 tmm2 15x64", [] {
    configure(all_tiles(16, 64).set(2, 15, 64));
    dpbuud({0, 1, 2});
  });
  expect_refused("#UD: tdpbf16ps .*no such tile.*: tmm2 0x0", [] {
    configure(all_tiles(16, 64).set(2, 0, 0));
    dpbf16ps({0, 1, 2});
  });
  // Assemblers refuse this one: tdpbssd tmm1, tmm1, tmm1.
  expect_refused("#UD: tdpbssd .*twice: tmm1 16x64 tmm1 16x64 tmm1 16x64", [] {
    configure(all_tiles(16, 64));
    __asm__ volatile(".byte 0xc4, 0xe2, 0x73, 0x5e, 0xc9");
  });
}

TEST_F(AmxDeathTest, MemoryThatIsNotThere) {
  configure(all_tiles(16, 64));
  EXPECT_DEATH(load(0, reinterpret_cast<const void*>(64), 64), "");
}

// What is not a tile instruction is as illegal as ever, near as it may be, and so is a signal that
// is sent.
TEST_F(AmxDeathTest, OtherInstructionsAreIllegal) {
  const auto killed = testing::KilledBySignal(SIGILL);
  configure(all_tiles(16, 64));
  EXPECT_EXIT(__asm__ volatile("ud2"), killed, "");
  // tilezero tmm0 is c4 e2 7b 49 c0: here of tmm8, and with W, 256 bits, another map or a vvvv.
  EXPECT_EXIT(__asm__ volatile(".byte 0xc4, 0x62, 0x7b, 0x49, 0xc0"), killed, "");
  EXPECT_EXIT(__asm__ volatile(".byte 0xc4, 0xe2, 0xfb, 0x49, 0xc0"), killed, "");
  EXPECT_EXIT(__asm__ volatile(".byte 0xc4, 0xe2, 0x7f, 0x49, 0xc0"), killed, "");
  EXPECT_EXIT(__asm__ volatile(".byte 0xc4, 0xe3, 0x7b, 0x49, 0xc0"), killed, "");
  EXPECT_EXIT(__asm__ volatile(".byte 0xc4, 0xe2, 0x73, 0x49, 0xc0"), killed, "");
  // tileloadd tmm0, [rsp] is c4 e2 7b 4b 04 24: here of tmm8, and of [rax], without an SIB byte.
  EXPECT_EXIT(__asm__ volatile(".byte 0xc4, 0x62, 0x7b, 0x4b, 0x04, 0x24"), killed, "");
  EXPECT_EXIT(__asm__ volatile("mov %%rsp, %%rax\n\t.byte 0xc4, 0xe2, 0x7b, 0x4b, 0x00" ::
                                   : "rax"),
              killed, "");
  // tdpbssd tmm0, tmm1, tmm2 is c4 e2 6b 5e c1: here with a tmm8, each in turn.
  EXPECT_EXIT(__asm__ volatile(".byte 0xc4, 0x62, 0x6b, 0x5e, 0xc1"), killed, "");
  EXPECT_EXIT(__asm__ volatile(".byte 0xc4, 0xc2, 0x6b, 0x5e, 0xc1"), killed, "");
  EXPECT_EXIT(__asm__ volatile(".byte 0xc4, 0xe2, 0x2b, 0x5e, 0xc1"), killed, "");
  EXPECT_EXIT(raise(SIGILL), killed, "");
}

void exit_with_3(int) { _exit(3); }
void exit_with_4(int, siginfo_t* info, void* context) {
  _exit(info != nullptr && context != nullptr ? 4 : 5);
}

TEST_F(AmxDeathTest, OtherInstructionsGoToTheHandlerBefore) {
  const auto die = [](void (*simple)(int), void (*detailed)(int, siginfo_t*, void*)) {
    struct sigaction before {};
    if (simple != nullptr) before.sa_handler = simple;
    if (detailed != nullptr) before.sa_sigaction = detailed, before.sa_flags = SA_SIGINFO;
    sigaction(SIGILL, &before, nullptr);
    install_amx_emulator();
    install_amx_emulator();  // again, which changes nothing
    configure(all_tiles(16, 64));
    zero(0);
    __asm__ volatile("ud2");
  };
  EXPECT_EXIT(die(exit_with_3, nullptr), testing::ExitedWithCode(3), "");
  EXPECT_EXIT(die(nullptr, exit_with_4), testing::ExitedWithCode(4), "");
}

}  // namespace
}  // namespace headlane::test
