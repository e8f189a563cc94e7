// Rows that lists share are free once no list has them, whatever order lists are cut and given up
// in.
#include "engine/generate/sequence_cache.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

#include "engine/base/buffer.h"

namespace headlane {
namespace {

constexpr SequenceCacheLimits kLimits = {{2, 16, 50}, 5, 30};

class SequenceCacheTest : public testing::Test {
 protected:
  float& value(int32_t place, int64_t i) {
    return cache_.layers()[1].data[cache_.rows(place)[i] * cache_.layers()[1].ld];
  }

  const Buffer memory_{SequenceCache::bytes(kLimits)};
  SequenceCache cache_{kLimits, memory_.data()};
};

TEST_F(SequenceCacheTest, SharesAndGivesBack) {
  const int32_t a = cache_.take_place(), b = cache_.take_place();
  EXPECT_TRUE(cache_.grow(a, 20));
  cache_.share(b, a, 15);
  EXPECT_TRUE(cache_.grow(b, 30));
  EXPECT_EQ(cache_.n_free_rows(), 50 - 20 - 15);
  for (int64_t i = 0; i < 15; ++i) EXPECT_EQ(cache_.rows(a)[i], cache_.rows(b)[i]);
  EXPECT_FALSE(cache_.grow(a, 30 + 6));
  EXPECT_EQ(cache_.length(a), 20);
  cache_.free_place(a);
  EXPECT_EQ(cache_.n_free_rows(), 50 - 30);
  cache_.cut(b, 10);
  EXPECT_EQ(cache_.n_free_rows(), 50 - 10);
  cache_.free_place(b);
  EXPECT_EQ(cache_.n_free_rows(), 50);
  EXPECT_EQ(cache_.n_free_places(), 5);
}

// Every list keeps what was written for it.
TEST_F(SequenceCacheTest, KeepsRowsOverManySteps) {
  std::mt19937 random(7);
  std::map<int32_t, std::vector<float>> lists;
  float n_written = 0;
  const auto grow = [&](int32_t place, int64_t n) {
    std::vector<float>& list = lists[place];
    const int64_t wanted = std::min(kLimits.max_len, std::ssize(list) + n);
    const bool has_room = wanted - std::ssize(list) <= cache_.n_free_rows();
    ASSERT_EQ(cache_.grow(place, wanted), has_room);
    for (int64_t i = std::ssize(list); has_room && i < wanted; ++i) {
      list.push_back(value(place, i) = ++n_written);
    }
  };
  for (int step = 0; step < 5000; ++step) {
    const auto any = [&] {
      return std::next(lists.begin(), static_cast<ptrdiff_t>(random() % lists.size()))->first;
    };
    const uint32_t what = random() % 5;
    if (what == 0 && cache_.n_free_places() > 0) {
      const int32_t place = cache_.take_place();
      ASSERT_EQ(lists.count(place), 0u);
      std::vector<float> shared;
      if (!lists.empty()) {
        const int32_t from = any();
        shared = lists[from];
        shared.resize(random() % (shared.size() + 1));
        cache_.share(place, from, std::ssize(shared));
      }
      lists[place] = shared;
    } else if (lists.empty()) {
      continue;
    } else if (what == 1) {
      const int32_t place = any();
      cache_.free_place(place);
      lists.erase(place);
    } else if (what == 2) {
      const int32_t place = any();
      std::vector<float>& list = lists[place];
      list.resize(random() % (list.size() + 1));
      cache_.cut(place, std::ssize(list));
    } else {
      grow(any(), 1 + random() % 5);
    }
    for (const auto& [place, list] : lists) {
      ASSERT_EQ(cache_.length(place), std::ssize(list));
      for (int64_t i = 0; i < std::ssize(list); ++i) {
        ASSERT_EQ(value(place, i), list[static_cast<size_t>(i)]) << step;
      }
    }
  }
}

}  // namespace
}  // namespace headlane
