// Rows that lists share are free once no list has them, whatever order lists are cut, slid and
// given up in.
#include "engine/generate/row_lists.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "engine/base/buffer.h"

namespace headlane {
namespace {

constexpr RowListsLimits kLimits = {{2, {.floats = 16}, 50}, 5, 30};

class RowListsTest : public testing::Test {
 protected:
  float& value(int32_t list, int64_t i) {
    const KeyRows& layer = lists_.pool().layers()[1];
    return layer.data[lists_.rows(list)[i] * layer.ld];
  }

  const Buffer memory_{RowLists::bytes(kLimits)};
  RowLists lists_{kLimits, memory_.data()};
};

TEST_F(RowListsTest, ShareAndGiveBack) {
  EXPECT_TRUE(lists_.grow(0, 20));
  lists_.share(1, 0, 15);
  EXPECT_TRUE(lists_.grow(1, 30));
  EXPECT_EQ(lists_.pool().n_free(), 50 - 20 - 15);
  for (int64_t i = 0; i < 15; ++i) EXPECT_EQ(lists_.rows(0)[i], lists_.rows(1)[i]);
  EXPECT_TRUE(lists_.grow(2, 14));
  EXPECT_FALSE(lists_.grow(0, 22));
  EXPECT_EQ(lists_.length(0), 20);
  lists_.cut(2, 0);
  lists_.cut(0, 0);
  EXPECT_EQ(lists_.pool().n_free(), 50 - 30);
  lists_.slide(1, 4);
  EXPECT_EQ(lists_.first(1), 4);
  EXPECT_EQ(lists_.pool().n_free(), 50 - 26);
  lists_.share(0, 1, 10);
  EXPECT_EQ(lists_.first(0), 4);
  lists_.cut(1, 10);
  EXPECT_EQ(lists_.pool().n_free(), 50 - 6);
  lists_.cut(0, 0);
  lists_.cut(1, 0);
  EXPECT_EQ(lists_.pool().n_free(), 50);
  EXPECT_EQ(lists_.first(1), 0);
}

// Every list keeps what was written for it.
TEST_F(RowListsTest, KeepRowsOverManySteps) {
  std::mt19937 random(7);
  std::vector<std::vector<float>> lists(kLimits.n_lists);
  std::vector<int64_t> firsts(kLimits.n_lists);
  float n_written = 0;
  for (int step = 0; step < 5000; ++step) {
    const auto list = static_cast<int32_t>(random() % kLimits.n_lists);
    std::vector<float>& of = lists[static_cast<size_t>(list)];
    int64_t& first = firsts[static_cast<size_t>(list)];
    const uint32_t what = random() % 6;
    if (what == 0) {
      of.clear();
      first = 0;
      lists_.cut(list, 0);
      const auto from = static_cast<int32_t>(random() % kLimits.n_lists);
      if (from == list) continue;
      of = lists[static_cast<size_t>(from)];
      const auto n_first = static_cast<size_t>(firsts[static_cast<size_t>(from)]);
      of.resize(n_first + random() % (of.size() - n_first + 1));
      first = firsts[static_cast<size_t>(from)];
      lists_.share(list, from, std::ssize(of));
    } else if (what == 1) {
      of.resize(static_cast<size_t>(first) + random() % (of.size() - first + 1));
      lists_.cut(list, std::ssize(of));
    } else if (what == 2) {
      first += static_cast<int64_t>(random() % (of.size() - first + 1)) / 4;
      lists_.slide(list, first);
    } else {
      const int64_t wanted = std::min<int64_t>(kLimits.max_len, std::ssize(of) + 1 + random() % 5);
      const bool has_room = wanted - std::ssize(of) <= lists_.pool().n_free();
      ASSERT_EQ(lists_.grow(list, wanted), has_room);
      for (int64_t i = std::ssize(of); has_room && i < wanted; ++i) {
        of.push_back(value(list, i) = ++n_written);
      }
    }
    for (int32_t each = 0; each < kLimits.n_lists; ++each) {
      const std::vector<float>& expected = lists[static_cast<size_t>(each)];
      ASSERT_EQ(lists_.length(each), std::ssize(expected));
      ASSERT_EQ(lists_.first(each), firsts[static_cast<size_t>(each)]);
      for (int64_t i = lists_.first(each); i < std::ssize(expected); ++i) {
        ASSERT_EQ(value(each, i), expected[static_cast<size_t>(i)]) << step;
      }
    }
  }
}

}  // namespace
}  // namespace headlane
