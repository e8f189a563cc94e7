#include "tests/support/narrow.h"

namespace headlane::kernels {
namespace {

using test::fill_random;
using test::Guarded;
using test::GuardedFloats;
using test::kEps;
using test::nearest_bf16;

class PoolKernel : public test::KernelTest {
 protected:
  void check(Pooling pooling, bool normalize, int64_t rows, int64_t d) {
    SCOPED_TRACE("rows " + std::to_string(rows) + " d " + std::to_string(d));
    std::mt19937 random(static_cast<uint32_t>(rows * 31 + d));
    const int64_t ldx = d + 1;
    GuardedFloats x(rows * ldx - 1), y(d);
    fill_random(&x, &random);
    const int64_t place = rows % 7;
    kernels().pool_f32({.pooling = pooling,
                        .normalize = normalize,
                        .rows = rows,
                        .d = d,
                        .place = place,
                        .x = x.data(),
                        .ldx = ldx,
                        .y = y.data()});
    const bool of_all = pooling != Pooling::kCls && pooling != Pooling::kMax;
    const auto weight = [&](int64_t r) {
      return pooling == Pooling::kWeightedMean ? static_cast<double>(place + r + 1) : 1.0;
    };
    double divisor = 0;
    for (int64_t r = 0; r < rows; ++r) divisor += weight(r);
    if (pooling == Pooling::kMeanSqrtLen) divisor = std::sqrt(divisor);
    std::vector<double> expected(d), magnitude(d);
    double squares = 0;
    for (int64_t i = 0; i < d; ++i) {
      double result = of_all ? 0 : double{x[i]};
      magnitude[i] = std::fabs(result);
      for (int64_t r = 0; r < rows && pooling != Pooling::kCls; ++r) {
        const double v = weight(r) * x[r * ldx + i];
        result = of_all ? result + v : std::max(result, v);
        magnitude[i] = of_all ? magnitude[i] + std::fabs(v) : std::max(magnitude[i], std::fabs(v));
      }
      if (of_all) {
        result /= divisor;
        magnitude[i] /= divisor;
      }
      expected[i] = result;
      squares += result * result;
    }
    // (rows + 3) roundings of the sum: each row's weight is one, as are the divisor and its root,
    // and the division. Normalising divides by a length that is wrong by no more
    // than all of them together and (d + 2) roundings of its own.
    double total = 0;
    for (const double m : magnitude) total += m * m;
    const double length = normalize ? std::sqrt(squares) : 1;
    const double n = static_cast<double>(rows + 3);
    for (int64_t i = 0; i < d; ++i) {
      const double own = (n + 1) * kEps * magnitude[i] / length;
      const double of_length =
          normalize
              ? std::fabs(expected[i]) / length *
                    ((static_cast<double>(d) + 4) * kEps + n * kEps * std::sqrt(total) / length)
              : 0;
      ASSERT_NEAR(y[i], expected[i] / length, own + of_length + 1e-37) << i;
    }
  }
};

TEST_P(PoolKernel, MatchesFloat64) {
  for (const Pooling pooling : {Pooling::kMean, Pooling::kCls, Pooling::kMax, Pooling::kMeanSqrtLen,
                                Pooling::kWeightedMean}) {
    for (const int64_t d : {1, 7, 8, 9, 16, 17, 33, 64, 65, 384}) {
      for (const int64_t rows : {1, 2, 5, 100}) {
        check(pooling, false, rows, d);
        check(pooling, true, rows, d);
      }
    }
  }
}

// Places that no float tells apart from their neighbours: their sum is rounded once.
TEST_P(PoolKernel, WeightsOfDistantPlaces) {
  GuardedFloats x(3), y(1);
  for (int64_t r = 0; r < 3; ++r) x[r] = 1;
  kernels().pool_f32({.pooling = Pooling::kWeightedMean,
                      .rows = 3,
                      .d = 1,
                      .place = int64_t{1} << 20,
                      .x = x.data(),
                      .ldx = 1,
                      .y = y.data()});
  EXPECT_EQ(y[0], 1.0f);
}

TEST_P(PoolKernel, ZeroVectorStaysZeroWhenNormalised) {
  GuardedFloats x(5), y(5);
  for (int64_t i = 0; i < 5; ++i) x[i] = 0;
  kernels().pool_f32(
      {.normalize = true, .rows = 1, .d = 5, .x = x.data(), .ldx = 5, .y = y.data()});
  for (int64_t i = 0; i < 5; ++i) EXPECT_EQ(y[i], 0.0f);
}

TEST_P(PoolKernel, NanShowsWhenNormalised) {
  GuardedFloats x(5), y(5);
  for (int64_t i = 0; i < 5; ++i) x[i] = i == 2 ? std::nanf("") : 1.0f;
  kernels().pool_f32(
      {.normalize = true, .rows = 1, .d = 5, .x = x.data(), .ldx = 5, .y = y.data()});
  for (int64_t i = 0; i < 5; ++i) EXPECT_TRUE(std::isnan(y[i]));
}

TEST_P(PoolKernel, MaximumShowsInfinity) {
  GuardedFloats x(2), y(1);
  x[0] = x[1] = INFINITY;
  kernels().pool_f32(
      {.pooling = Pooling::kMax, .rows = 2, .d = 1, .x = x.data(), .ldx = 1, .y = y.data()});
  EXPECT_EQ(y[0], INFINITY);
}

TEST_P(PoolKernel, MaximumShowsNan) {
  for (const int64_t row : {0, 1, 2}) {
    GuardedFloats x(3), y(1);
    for (int64_t r = 0; r < 3; ++r) x[r] = r == row ? std::nanf("") : 1.0f;
    kernels().pool_f32(
        {.pooling = Pooling::kMax, .rows = 3, .d = 1, .x = x.data(), .ldx = 1, .y = y.data()});
    EXPECT_TRUE(std::isnan(y[0])) << row;
  }
}

HEADLANE_FOR_EACH_ISA(PoolKernel);

class EmbedKernel : public test::KernelTest {
 protected:
  static constexpr int64_t kWords = 5, kPositions = 3, kTypes = 2, kRows = 3;

  // Sums of three, in the order (scale * word + type) + position, whose words these tables stand
  // for; and what they are without position or type. `narrow`: what words are stored as.
  void check(int64_t d, GuardedFloats& word, EmbedF32Args narrow) {
    SCOPED_TRACE("d " + std::to_string(d));
    std::mt19937 random(static_cast<uint32_t>(d));
    GuardedFloats position(kPositions * d), type(kTypes * d), y(kRows * d);
    for (GuardedFloats* p : {&position, &type}) fill_random(p, &random);
    const int32_t ids[] = {4, 0, 2}, positions[] = {0, 2, 1}, types[] = {1, 0, 1};
    for (const bool typed : {false, true}) {
      narrow.rows = kRows;
      narrow.d = d;
      narrow.ids = ids;
      narrow.positions = positions;
      narrow.types = typed ? types : nullptr;
      narrow.position = position.data();
      narrow.type = type.data();
      narrow.y = y.data();
      narrow.ldy = d;
      kernels().embed_f32(narrow);
      for (int64_t i = 0; i < kRows * d; ++i) {
        const int64_t r = i / d, c = i % d;
        const float sum = word[ids[r] * d + c] + type[(typed ? types[r] : 0) * d + c];
        ASSERT_EQ(y[i], sum + position[positions[r] * d + c]) << i;
      }
    }
    narrow.scale = 22.62741661f;  // sqrt(512), as translation models have
    check_scaled(narrow, word);
    narrow.positions = nullptr;
    narrow.position = nullptr;
    check_scaled(narrow, word);
    narrow.type = nullptr;
    check_scaled(narrow, word);
  }

  // Words in groups, of random bytes; `weight` is what element i of a group stands for.
  template <typename Group, typename Weight>
  void check_groups(int64_t d, Format format, Weight weight) {
    std::mt19937 random(3);
    GuardedFloats word(kWords * d);
    Guarded<Group> groups(kWords * groups_in(d));
    char* bytes = reinterpret_cast<char*>(groups.data());
    for (int64_t i = 0; i < groups.size() * int64_t{sizeof(Group)}; ++i) {
      bytes[i] = static_cast<char>(random() % 124);  // no f16 of these is infinite or NaN
    }
    for (int64_t i = 0; i < word.size(); ++i) {
      const int64_t column = i % d;
      const Group& group = groups[i / d * groups_in(d) + column / kGroupSize];
      word[i] = weight(group, column % kGroupSize);
    }
    EmbedF32Args args;
    args.word = groups.data();
    args.word_format = format;
    check(d, word, args);
  }

  void check_scaled(const EmbedF32Args& args, GuardedFloats& word) {
    kernels().embed_f32(args);
    for (int64_t i = 0; i < kRows * args.d; ++i) {
      const int64_t r = i / args.d, c = i % args.d;
      float sum = word[args.ids[r] * args.d + c] * args.scale;
      if (args.type) sum += args.type[args.types[r] * args.d + c];
      if (args.position) sum += args.position[args.positions[r] * args.d + c];
      ASSERT_EQ(args.y[i], sum) << i;
    }
  }
};

constexpr int64_t kWidths[] = {1, 7, 8, 15, 16, 17, 33, 384};

TEST_P(EmbedKernel, AddsTableRows) {
  for (const int64_t d : kWidths) {
    std::mt19937 random(1);
    GuardedFloats word(kWords * d);
    fill_random(&word, &random);
    EmbedF32Args args;
    args.word = word.data();
    check(d, word, args);
  }
}

// Narrower numbers are widened exactly: a bf16 is a float, and a byte times its row's scale
// is rounded once.
TEST_P(EmbedKernel, AddsTableRowsOfBf16) {
  for (const int64_t d : kWidths) {
    std::mt19937 random(2);
    GuardedFloats word(kWords * d);
    Guarded<Bf16> stored(kWords * d);
    fill_random(&word, &random);
    for (int64_t i = 0; i < word.size(); ++i) {
      stored[i] = nearest_bf16(word[i]);
      word[i] = widen(stored[i]);
    }
    EmbedF32Args args;
    args.word = stored.data();
    args.word_format = Format::kBf16;
    check(d, word, args);
  }
}

TEST_P(EmbedKernel, AddsTableRowsOfBytes) {
  for (const int64_t d : kWidths) {
    std::mt19937 random(3);
    GuardedFloats word(kWords * d), scale(kWords);
    Guarded<int8_t> stored(kWords * d);
    fill_random(&scale, &random);
    for (int64_t i = 0; i < word.size(); ++i) {
      stored[i] = static_cast<int8_t>(random());
      word[i] = static_cast<float>(stored[i]) * scale[i / d];
    }
    EmbedF32Args args;
    args.word = stored.data();
    args.word_format = Format::kS8;
    args.word_scale = scale.data();
    check(d, word, args);
  }
}

TEST_P(EmbedKernel, AddsTableRowsOfGroups) {
  for (const int64_t d : kWidths) {
    check_groups<S8Group>(d, Format::kS8Groups, [](const S8Group& group, int64_t i) {
      return static_cast<float>(group.codes[i]) * widen_f16(group.scale);
    });
    check_groups<S6Group>(d, Format::kS6Groups, [](const S6Group& group, int64_t i) {
      return static_cast<float>(group.code(i) - 32) * widen_f16(group.scales[i / 16]);
    });
    const auto less_min = [](const auto& group, int64_t i) {
      const float product = static_cast<float>(group.code(i)) * widen_f16(group.scale);
      return product - widen_f16(group.min);
    };
    check_groups<U5Group>(d, Format::kU5Groups, less_min);
    check_groups<U4Group>(d, Format::kU4Groups, less_min);
  }
}

HEADLANE_FOR_EACH_ISA(EmbedKernel);

}  // namespace
}  // namespace headlane::kernels
