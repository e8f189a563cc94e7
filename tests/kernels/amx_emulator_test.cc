// The results of tile instructions: on a processor that has them, or emulated.
#include <gtest/gtest.h>
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/amx_tiles.h"
#include "tests/support/kernel_test.h"

namespace headlane::test {
namespace {

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

// An infinity in one column stays in that column.
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

}  // namespace
}  // namespace headlane::test
