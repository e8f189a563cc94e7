#include "engine/spec/positions.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/npy.h"

namespace headlane {
namespace {

using test::Npy;

constexpr double kEps = std::numeric_limits<float>::epsilon() / 2;  // unit roundoff, 2^-24
const std::string kFolder = std::string(HEADLANE_GOLDEN_DIR) + "/positions/";

nlohmann::json manifest() {
  std::ifstream in(kFolder + "manifest.json");
  return nlohmann::json::parse(in);
}

// Two float64 computations, each rounded to float32 once: one ulp apart, 2 eps |x|. An angle of
// float64 is wrong by some 16 roundings (pow, a blend, the product) in either: 2^-48 of itself, and
// its cosine by as much.
double bound(double x, double angle) { return 2 * kEps * std::fabs(x) + std::ldexp(angle, -48); }

RotaryScaling scaling_of(const std::string& name) {
  if (name == "linear") return RotaryScaling::kLinear;
  if (name == "ntk") return RotaryScaling::kNtk;
  if (name == "yarn") return RotaryScaling::kYarn;
  if (name == "llama3") return RotaryScaling::kLlama3;
  if (name == "none") return RotaryScaling::kNone;
  throw std::runtime_error(name);
}

RotarySpec spec_of(const nlohmann::json& json) {
  RotarySpec spec;
  spec.dims = json.at("dims");
  spec.base = json.value("base", spec.base);
  spec.scaling = scaling_of(json.value("scaling", "none"));
  spec.factor = json.value("factor", spec.factor);
  spec.original_max_positions = json.value("original", int64_t{0});
  spec.beta_fast = json.value("beta_fast", spec.beta_fast);
  spec.beta_slow = json.value("beta_slow", spec.beta_slow);
  spec.attention_factor = json.value("attention_factor", spec.attention_factor);
  spec.low_freq_factor = json.value("low_freq_factor", spec.low_freq_factor);
  spec.high_freq_factor = json.value("high_freq_factor", spec.high_freq_factor);
  spec.truncate = json.value("truncate", spec.truncate);
  return spec;
}

std::vector<float> rotary_table(const RotarySpec& spec) {
  std::vector<float> table(spec.max_positions * spec.dims);
  fill_rotary_table(spec, table.data());
  return table;
}

TEST(Positions, RotaryTablesAreTransformers) {
  const nlohmann::json all = manifest();
  const std::vector<int64_t> positions = all.at("positions");
  EXPECT_EQ(all.at("rotary").size(), 13u);
  for (const auto& [name, json] : all.at("rotary").items()) {
    SCOPED_TRACE(name);
    RotarySpec spec = spec_of(json);
    spec.max_positions = positions.back() + 1;
    const std::vector<float> table = rotary_table(spec);
    const Npy golden = test::read_npy(kFolder + "rotary_" + name + ".npy");
    ASSERT_EQ(golden.shape, (std::vector<int64_t>{std::ssize(positions), spec.dims}));
    for (size_t row = 0; row < positions.size(); ++row) {
      for (int64_t c = 0; c < spec.dims; ++c) {
        const double expected = golden.data[row * spec.dims + c];
        // No angle is over its position in radians; no scale over 2.
        ASSERT_NEAR(table[positions[row] * spec.dims + c], expected,
                    bound(expected, 2.0 * static_cast<double>(positions[row])))
            << positions[row] << ", " << c;
      }
    }
  }
}

TEST(Positions, RotaryTableIsTheSameForInterleavedPairs) {
  RotarySpec spec = {.dims = 12, .max_positions = 50};
  const std::vector<float> halves = rotary_table(spec);
  spec.interleaved = true;
  EXPECT_EQ(rotary_table(spec), halves);
}

// transformers' "dynamic" scaling at a length is the static one by another factor; up to the length
// trained on it is none.
TEST(Positions, DynamicNtkIsStaticAtALength) {
  const double factor = 2, trained = 2048;
  const auto static_factor = [&](double len) { return factor * len / trained - (factor - 1); };
  EXPECT_EQ(static_factor(6144), spec_of(manifest()["rotary"]["dynamic_at_length"]).factor);
  RotarySpec spec = {.dims = 16, .max_positions = 100, .scaling = RotaryScaling::kNtk};
  spec.factor = static_factor(trained);
  const std::vector<float> unscaled = rotary_table({.dims = 16, .max_positions = 100});
  EXPECT_EQ(rotary_table(spec), unscaled);
}

// NTK stretches the longest wavelength by the factor and the shortest not at all.
TEST(Positions, NtkKeepsTheShortestWavelength) {
  RotarySpec spec = {.dims = 16, .max_positions = 9, .scaling = RotaryScaling::kNtk, .factor = 8};
  const std::vector<float> scaled = rotary_table(spec);
  const std::vector<float> plain = rotary_table({.dims = 16, .max_positions = 9});
  for (const int64_t part : {0, 8}) {
    EXPECT_EQ(scaled[8 * 16 + part], plain[8 * 16 + part]);
    const float longest = plain[1 * 16 + part + 7];  // position 8 is as position 1 was
    EXPECT_NEAR(scaled[8 * 16 + part + 7], longest, bound(longest, 1));
  }
}

TEST(Positions, YarnMagnitude) {
  EXPECT_EQ(yarn_magnitude(1), 1);
  EXPECT_EQ(yarn_magnitude(0.5, 3), 1);
  EXPECT_DOUBLE_EQ(yarn_magnitude(40), 0.1 * std::log(40) + 1);
  EXPECT_DOUBLE_EQ(yarn_magnitude(40, 0.707) / yarn_magnitude(40, 1.5),
                   spec_of(manifest()["rotary"]["yarn_mscale"]).attention_factor);
  // Position 0 is not turned, only scaled.
  RotarySpec spec = {.dims = 4, .max_positions = 1, .scaling = RotaryScaling::kYarn, .factor = 4};
  spec.original_max_positions = 512;
  const float paper = static_cast<float>(0.1 * std::log(4) + 1);
  EXPECT_EQ(rotary_table(spec), (std::vector<float>{paper, paper, 0, 0}));
  spec.attention_factor = 0.5;
  EXPECT_EQ(rotary_table(spec), (std::vector<float>{0.5, 0.5, 0, 0}));
}

TEST(Positions, AlibiSlopesAreThePublished) {
  const Npy golden = test::read_npy(kFolder + "alibi.npy");
  size_t at = 0;
  const std::vector<int64_t> heads = manifest().at("alibi");
  for (const int64_t n_heads : heads) {
    std::vector<float> slopes(n_heads);
    fill_alibi_slopes(n_heads, slopes.data());
    for (int64_t head = 0; head < n_heads; ++head, ++at) {
      ASSERT_LT(at, golden.data.size());
      ASSERT_NEAR(slopes[head], golden.data[at], bound(golden.data[at], 0)) << n_heads;
    }
  }
  EXPECT_EQ(at, golden.data.size());
  float eight[8];
  fill_alibi_slopes(8, eight);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(eight[i], std::ldexp(1.0f, -1 - i));
}

// To the bit: slopes, positions and products are rounded to bf16 as transformers rounds them.
TEST(Positions, KeyAlibiIsTransformers) {
  const Npy golden = test::read_npy(kFolder + "key_alibi.npy");  // a row a head
  const std::vector<int64_t> heads = manifest().at("alibi"), positions = manifest().at("key_alibi");
  ASSERT_EQ(positions.back(), 2045);
  size_t at = 0;
  for (const int64_t n_heads : heads) {
    std::vector<float> slopes(n_heads), bias(2046), halves(2046);
    fill_alibi_slopes(n_heads, slopes.data());
    for (int64_t head = 0; head < n_heads; ++head) {
      fill_key_alibi(slopes[head], 1.0f, bias);
      fill_key_alibi(slopes[head], 0.5f, halves);
      for (const int64_t position : positions) {
        ASSERT_EQ(bias[position], golden.data.at(at++)) << n_heads << ' ' << head;
        ASSERT_EQ(halves[position], bias[position] / 2);
      }
    }
  }
  EXPECT_EQ(at, golden.data.size());
}

TEST(Positions, BucketsAreTransformers) {
  const Npy golden = test::read_npy(kFolder + "buckets.npy");  // distances; then a row a kind
  const nlohmann::json kinds = manifest().at("buckets");
  ASSERT_EQ(kinds.size(), 9u);
  ASSERT_EQ(golden.shape[0], std::ssize(kinds) + 1);
  const int64_t n = golden.shape[1];
  for (int64_t kind = 0; kind < std::ssize(kinds); ++kind) {
    for (int64_t i = 0; i < n; ++i) {
      const int64_t distance = static_cast<int64_t>(golden.data[i]);
      const int64_t bucket =
          relative_bucket(distance, kinds[kind]["n_buckets"], kinds[kind]["max_distance"],
                          kinds[kind]["bidirectional"]);
      ASSERT_EQ(static_cast<float>(bucket), golden.data[(kind + 1) * n + i])
          << kinds[kind] << " " << distance;
    }
  }
}

TEST(Positions, RelativeBiasIsTheBucketsOfAHead) {
  const int64_t n_heads = 3, n_buckets = 8, max_distance = 20;
  std::vector<float> table(n_buckets * n_heads);
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<float>(i);
  for (const int64_t max_len : {1, 2, 50}) {
    for (const bool bidirectional : {false, true}) {
      for (int64_t head = 0; head < n_heads; ++head) {
        std::vector<float> bias(2 * max_len - 1, -1.0f);
        fill_relative_bias(table.data(), n_heads, n_buckets, max_distance, bidirectional, head,
                           max_len, bias.data());
        for (int64_t distance = 1 - max_len; distance < max_len; ++distance) {
          const int64_t bucket = relative_bucket(distance, n_buckets, max_distance, bidirectional);
          ASSERT_EQ(bias[max_len - 1 + distance], static_cast<float>(bucket * n_heads + head));
        }
      }
    }
  }
}

TEST(Positions, SinusoidsAreVaswanisAndMarians) {
  const std::vector<std::vector<int64_t>> sizes = manifest().at("sinusoidal");
  ASSERT_EQ(sizes.size(), 3u);
  for (const std::vector<int64_t>& size : sizes) {
    const int64_t n = size[0], d = size[1];
    for (const bool halves : {false, true}) {
      const std::string name = (halves ? "marian_" : "sinusoidal_") + std::to_string(n) + "x" +
                               std::to_string(d) + ".npy";
      SCOPED_TRACE(name);
      const Npy golden = test::read_npy(kFolder + name);
      std::vector<float> table(n * d);
      fill_sinusoidal(0, n, d, halves ? Sinusoids::kHalves : Sinusoids::kInterleaved, table.data());
      ASSERT_EQ(golden.data.size(), table.size());
      for (int64_t i = 0; i < n * d; ++i) {
        ASSERT_NEAR(table[i], golden.data[i],
                    bound(golden.data[i], static_cast<double>(i) / static_cast<double>(d)))
            << i;
      }
    }
  }
}

// By the room: up to the length trained on nothing is stretched, and one row is what the table of
// the static form at that length has.
TEST(Positions, ScalingsByRoomAreStaticOnesAtALength) {
  RotarySpec dynamic = {.dims = 48, .base = 5000, .max_positions = 6144, .factor = 2};
  dynamic.scaling = RotaryScaling::kDynamicNtk;
  dynamic.original_max_positions = 2048;
  const auto row_of = [](const RotarySpec& spec, int64_t room) {
    std::vector<double> frequencies(static_cast<size_t>(spec.dims / 2));
    fill_rotary_frequencies(spec, room, frequencies);
    std::vector<float> row(static_cast<size_t>(spec.dims));
    fill_rotary_row(spec, frequencies, 1234, row.data());
    return row;
  };
  RotarySpec at_length = dynamic;
  at_length.scaling = RotaryScaling::kNtk;
  at_length.factor = 5;  // 2 * 6144 / 2048 - (2 - 1)
  RotarySpec plain = dynamic;
  plain.scaling = RotaryScaling::kNone;
  EXPECT_EQ(row_of(dynamic, 6144), row_of(at_length, 0));
  EXPECT_EQ(row_of(dynamic, 2048), row_of(plain, 0));
  EXPECT_EQ(dynamic.choice(2048), dynamic.choice(1));
  EXPECT_NE(dynamic.choice(2049), dynamic.choice(2050));

  RotarySpec longrope = dynamic;
  longrope.scaling = RotaryScaling::kLongRope;
  longrope.short_factors.assign(24, 2);
  longrope.long_factors.assign(24, 3);
  for (const auto& [room, factor] : {std::pair<int64_t, double>{2048, 2}, {2049, 3}}) {
    RotarySpec linear = plain;
    linear.scaling = RotaryScaling::kLinear;
    linear.factor = factor;
    EXPECT_EQ(row_of(longrope, room), row_of(linear, 0)) << room;
  }
  EXPECT_EQ(longrope.choice(2049), longrope.choice(6144));
}

}  // namespace
}  // namespace headlane
