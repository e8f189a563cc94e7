// Rows of a weight between what files store and what products take.
#include "engine/file/weight_rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace headlane {
namespace {

const kernels::Table& ref() { return *kernels::supported().front(); }

class RowBufferTest : public testing::Test {
 protected:
  RowBufferTest() : floats_(kRows * kCols) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    for (float& x : floats_) x = normal(random);
  }
  WeightRows floats() const { return {Format::kF32, floats_.data()}; }

  static constexpr int64_t kRows = 5, kCols = 37;
  static constexpr Format kAll[] = {Format::kF32,      Format::kBf16,     Format::kS8,
                                    Format::kS8Groups, Format::kS6Groups, Format::kU5Groups,
                                    Format::kU4Groups};
  std::vector<float> floats_;
};

TEST_F(RowBufferTest, RowsOfTheirOwnFormatStayWhereTheyAre) {
  RowBuffer buffer, other;
  for (const Format format : kAll) {
    const WeightRows rows = buffer.convert(ref(), floats(), kRows, kCols, format);
    const WeightRows again = other.convert(ref(), rows, kRows, kCols, format);
    EXPECT_EQ(again.format, format);
    EXPECT_EQ(again.data, rows.data);
    EXPECT_EQ(again.scale, rows.scale);
    EXPECT_EQ(rows.scale != nullptr, format == Format::kS8) << name_of(format);
  }
}

TEST_F(RowBufferTest, EachFormatComesFromEachOtherByWayOfFloats) {
  double most = 0;
  for (const float x : floats_) most = std::max<double>(most, std::fabs(x));
  for (const Format from : kAll) {
    for (const Format to : kAll) {
      RowBuffer stored, wanted, back;
      const WeightRows rows = stored.convert(ref(), floats(), kRows, kCols, from);
      const WeightRows there = wanted.convert(ref(), rows, kRows, kCols, to);
      const WeightRows meant = back.convert(ref(), there, kRows, kCols, Format::kF32);
      for (int64_t i = 0; i < kRows * kCols; ++i) {
        // Half a step of 254 between the largest of both signs, and half of one of 2^8, each at
        // most once on the way there and once from there; likewise half of one of 62; of 4 and 5
        // bits what weight_groups_test.cc says.
        const double x = floats_[static_cast<size_t>(i)];
        const auto has = [&](Format format) { return from == format || to == format; };
        const double of_4_bits = has(Format::kU4Groups) ? 2 * most * (0.1 + 0.5 / 15) : 0;
        const double of_5_bits = has(Format::kU5Groups) ? 2 * most * (0.1 + 0.5 / 31) : 0;
        const double of_6_bits = has(Format::kS6Groups) ? most / 62 : 0;
        EXPECT_NEAR(
            static_cast<const float*>(meant.data)[i], x,
            2 * (std::fabs(x) / 256 + most / 254 + of_4_bits + of_5_bits + of_6_bits) * 1.01)
            << name_of(from) << " to " << name_of(to) << ", " << i;
      }
    }
  }
}

TEST_F(RowBufferTest, ReadsSomeOfTheRowsThatAreThere) {
  RowBuffer quantized, buffer;
  const WeightRows all = quantized.convert(ref(), floats(), kRows, kCols, Format::kS8);
  const WeightRows some = buffer.read(all, 2, 3, kCols);
  EXPECT_EQ(some.format, Format::kS8);
  EXPECT_EQ(some.data, static_cast<const int8_t*>(all.data) + 2 * kCols);
  EXPECT_EQ(some.scale, all.scale + 2);
}

}  // namespace
}  // namespace headlane
