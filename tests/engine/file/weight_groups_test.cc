// Floats as weights in groups.
#include "engine/file/weight_groups.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/element.h"

namespace headlane {
namespace {

using kernels::Format;
using kernels::kGroupSize;
using kernels::S6Group;
using kernels::S8Group;
using kernels::U4Group;
using kernels::U5Group;
using kernels::widen_f16;

// The value of an f16's bits by its definition: sign, 5 bits of exponent, 10 of fraction.
double value_of_f16(int bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

TEST(WeightGroups, EachF16HasItsValueAndComesBack) {
  for (int bits = 0; bits < 0x10000; ++bits) {
    const float value = widen_f16(static_cast<uint16_t>(bits));
    if ((bits & 0x7c00) == 0x7c00) {
      EXPECT_FALSE(std::isfinite(value)) << bits;
      EXPECT_EQ(std::isnan(value), (bits & 1023) != 0) << bits;
      EXPECT_EQ(f16_from_f32(value), 0x7e00);
      continue;
    }
    ASSERT_EQ(value, value_of_f16(bits)) << bits;
    ASSERT_EQ(f16_from_f32(value), bits);
  }
}

TEST(WeightGroups, BetweenTwoF16IsTheNearerOrTheEvenOne) {
  for (int bits = 0; bits + 1 < 0x7c00; ++bits) {
    const double low = value_of_f16(bits), high = value_of_f16(bits + 1);
    const auto middle = static_cast<float>((low + high) / 2);
    ASSERT_EQ(f16_from_f32(middle), bits + bits % 2) << bits;
    ASSERT_EQ(f16_from_f32(std::nextafter(middle, 0.0f)), bits) << bits;
    ASSERT_EQ(f16_from_f32(std::nextafter(-middle, -1e9f)), 0x8000 | (bits + 1)) << bits;
  }
  EXPECT_EQ(f16_from_f32(65519.0f), 0x7bff);
  EXPECT_EQ(f16_from_f32(65520.0f), 0x7e00);
  EXPECT_EQ(f16_from_f32(std::numeric_limits<float>::infinity()), 0x7e00);
}

std::vector<float> random_row(int64_t k, float size) {
  std::mt19937 random(static_cast<uint32_t>(k));
  std::normal_distribution<float> normal(0.0f, size);
  std::vector<float> row(static_cast<size_t>(k));
  std::generate(row.begin(), row.end(), [&] { return normal(random); });
  return row;
}

// The largest and the smallest element of the group of element i.
std::pair<float, float> range_of(const std::vector<float>& row, int64_t i) {
  const int64_t first = i / kGroupSize * kGroupSize;
  const auto begin = row.begin() + first;
  const auto end = row.begin() + std::min(first + kGroupSize, std::ssize(row));
  const auto [low, high] = std::minmax_element(begin, end);
  return {*low, *high};
}

// Half a step of 127 to the largest magnitude, the step rounded up to an f16: by 2^-10, or by the
// least f16.
TEST(WeightGroups, CodesOf8BitsAreOffByHalfAStep) {
  for (const int64_t k : {1, 31, 32, 33, 640}) {
    for (const float size : {1e-6f, 1e-3f, 1.0f, 1e5f}) {
      const std::vector<float> row = random_row(k, size);
      std::vector<S8Group> groups(static_cast<size_t>(kernels::groups_in(k)));
      std::vector<float> back(row.size());
      floats_to_groups(Format::kS8Groups, row.data(), k, groups.data());
      groups_to_floats(Format::kS8Groups, groups.data(), k, back.data());
      for (int64_t i = 0; i < k; ++i) {
        const auto [low, high] = range_of(row, i);
        const double step = std::max(high, -low) / 127.0 * (1 + 0x1p-10) + 0x1p-24;
        const auto at = static_cast<size_t>(i);
        ASSERT_NEAR(back[at], row[at], step / 2 * (1 + 1e-6)) << k << " " << size << " " << i;
      }
      // The content of such groups stays.
      std::vector<S8Group> again(groups.size());
      floats_to_groups(Format::kS8Groups, back.data(), k, again.data());
      std::vector<float> twice(row.size());
      groups_to_floats(Format::kS8Groups, again.data(), k, twice.data());
      if (size >= 1.0f) {
        EXPECT_EQ(twice, back) << k << " " << size;
      }
    }
  }
}

// The same for each 16 columns and steps of 31.
TEST(WeightGroups, CodesOf6BitsAreOffByHalfAStepOfTheirHalf) {
  for (const int64_t k : {1, 15, 16, 17, 31, 33, 640}) {
    for (const float size : {1e-6f, 1e-3f, 1.0f, 1e5f}) {
      const std::vector<float> row = random_row(k, size);
      std::vector<S6Group> groups(static_cast<size_t>(kernels::groups_in(k)));
      std::vector<float> back(row.size());
      floats_to_groups(Format::kS6Groups, row.data(), k, groups.data());
      groups_to_floats(Format::kS6Groups, groups.data(), k, back.data());
      for (int64_t i = 0; i < k; ++i) {
        double most = 0;
        for (int64_t j = i / 16 * 16; j < std::min(k, i / 16 * 16 + 16); ++j) {
          most = std::max<double>(most, std::fabs(row[static_cast<size_t>(j)]));
        }
        const double step = most / 31.0 * (1 + 0x1p-10) + 0x1p-24;
        const auto at = static_cast<size_t>(i);
        ASSERT_NEAR(back[at], row[at], step / 2 * (1 + 1e-6)) << k << " " << size << " " << i;
      }
    }
  }
}

// Each code of a group comes back, and no other is changed by it.
template <typename Group, int kMost>
void check_codes() {
  std::mt19937 random(1);
  Group group = {};
  int codes[kGroupSize];
  for (int64_t i = 0; i < kGroupSize; ++i) {
    codes[i] = static_cast<int>(random()) & kMost;
    group.set_code(i, codes[i]);
  }
  for (int64_t i = 0; i < kGroupSize; ++i) EXPECT_EQ(group.code(i), codes[i]) << i;
}
TEST(WeightGroups, CodesStayWhatTheyWereSetTo) {
  check_codes<U4Group, 15>();
  check_codes<U5Group, 31>();
  check_codes<S6Group, 63>();
}

// The first that is tried has steps of a kMost-th of the range, whose weights are off by half a
// step at most, and by the roundings of its scale, kMost codes of it, and minimum. What is kept
// instead has a smaller sum of squares, so no weight is off by more than sqrt(32) times that.
template <typename Group, int kMost>
void check_min_codes(Format format) {
  double squares = 0, even_squares = 0;
  for (const int64_t k : {1, 31, 32, 33, 640}) {
    for (const float size : {1e-6f, 1e-3f, 1.0f}) {
      const std::vector<float> row = random_row(k, size);
      std::vector<Group> groups(static_cast<size_t>(kernels::groups_in(k)));
      std::vector<float> back(row.size());
      floats_to_groups(format, row.data(), k, groups.data());
      groups_to_floats(format, groups.data(), k, back.data());
      for (int64_t i = 0; i < k; ++i) {
        const auto [low, high] = range_of(row, i);
        const double step = (high - low) / double{kMost};
        const double largest = std::max(std::fabs(high), std::fabs(low));
        const double even =
            step / 2 + kMost * (step * 0x1p-11 + 0x1p-25) + largest * 0x1p-11 + 0x1p-25;
        const auto at = static_cast<size_t>(i);
        ASSERT_NEAR(back[at], row[at], even * std::sqrt(32.0)) << k << " " << size << " " << i;
        if (size < 1.0f) continue;
        const double off = back[at] - row[at];
        squares += off * off;
        even_squares += step * step / 12;
      }
    }
  }
  EXPECT_LT(squares, even_squares);
}
TEST(WeightGroups, CodesOf4BitsAreNoWorseThanThoseOfEvenSteps) {
  check_min_codes<U4Group, 15>(Format::kU4Groups);
}
TEST(WeightGroups, CodesOf5BitsAreNoWorseThanThoseOfEvenSteps) {
  check_min_codes<U5Group, 31>(Format::kU5Groups);
}

// Weights that were of 4 bits before come back, whichever of the 16 codes they use, from the first
// to the last of 13 or more: what is left are the roundings of a scale and a minimum to f16.
TEST(WeightGroups, CodesOf4BitsAreFoundAgain) {
  std::mt19937 random(19);
  for (int i = 0; i < 2000; ++i) {
    const int first = static_cast<int>(random() % 2), last = 15 - static_cast<int>(random() % 2);
    const float scale = kernels::widen_f16(static_cast<uint16_t>(0x1c00 + random() % 0x1000));
    const float least = scale * static_cast<float>(random() % 16);
    std::vector<float> row(kernels::kGroupSize), back(row.size());
    for (float& x : row) {
      const int code = first + static_cast<int>(random() % static_cast<uint32_t>(last - first + 1));
      x = scale * static_cast<float>(code) - least;
    }
    row[3] = scale * static_cast<float>(first) - least;
    row[20] = scale * static_cast<float>(last) - least;
    U4Group group;
    floats_to_groups(Format::kU4Groups, row.data(), kernels::kGroupSize, &group);
    groups_to_floats(Format::kU4Groups, &group, kernels::kGroupSize, back.data());
    const double bound = 0x1p-11 * (15 * scale + std::fabs(kernels::widen_f16(group.min)));
    for (size_t j = 0; j < row.size(); ++j) ASSERT_NEAR(back[j], row[j], bound) << i << " " << j;
  }
}

TEST(WeightGroups, WhatIsNoNumberShows) {
  for (const float bad : {std::nanf(""), INFINITY, -INFINITY, 1e30f}) {
    std::vector<float> row = random_row(64, 1.0f), back(64);
    row[40] = bad;
    for (const Format format :
         {Format::kS8Groups, Format::kS6Groups, Format::kU5Groups, Format::kU4Groups}) {
      std::vector<char> groups(static_cast<size_t>(row_bytes(format, 64)));
      floats_to_groups(format, row.data(), 64, groups.data());
      groups_to_floats(format, groups.data(), 64, back.data());
      EXPECT_FALSE(std::isnan(back[3]));
      EXPECT_TRUE(std::isnan(back[35])) << bad << " " << name_of(format);
    }
  }
}

TEST(WeightGroups, ZerosAreZeros) {
  std::vector<float> row(40, 0.0f), back(40, 1.0f);
  for (const Format format :
       {Format::kS8Groups, Format::kS6Groups, Format::kU5Groups, Format::kU4Groups}) {
    std::vector<char> groups(static_cast<size_t>(row_bytes(format, 40)));
    floats_to_groups(format, row.data(), 40, groups.data());
    groups_to_floats(format, groups.data(), 40, back.data());
    EXPECT_EQ(back, row) << name_of(format);
  }
}

}  // namespace
}  // namespace headlane
