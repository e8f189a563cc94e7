#include "engine/run/team.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

#include "engine/ops/op.h"

namespace headlane {
namespace {

TEST(Team, EveryThreadOnce) {
  for (const int n : {1, 2, 3, 8}) {
    std::vector<std::atomic<int>> calls(8);
    std::atomic<int> seen_count{0};
    Team(n).run([&](int thread, int count) {
      ++calls[static_cast<size_t>(thread)];
      seen_count = count;
    });
    for (int i = 0; i < 8; ++i) EXPECT_EQ(calls[i], i < seen_count ? 1 : 0);
    EXPECT_LE(seen_count, n);
    EXPECT_GE(seen_count, 1);
  }
}

// Each round, every thread adds to its own number and then reads all: a thread that passed the
// barrier early would see a number that is behind.
TEST(Team, BarrierHoldsEveryoneAndShowsWhatWasWritten) {
  constexpr int kRounds = 2000, kThreads = 4;
  Team team(kThreads);
  std::vector<int> numbers(kThreads, 0);
  std::atomic<int> mistakes{0};
  team.run([&](int thread, int count) {
    for (int round = 1; round <= kRounds; ++round) {
      numbers[static_cast<size_t>(thread)] = round;
      team.barrier(count);
      for (int i = 0; i < count; ++i) mistakes += numbers[static_cast<size_t>(i)] != round;
      team.barrier(count);
    }
  });
  EXPECT_EQ(mistakes, 0);
}

TEST(Team, WithOneThreadPassesExceptionsOn) {
  EXPECT_THROW(Team::with_one_thread([] { throw std::runtime_error("x"); }), std::runtime_error);
}

TEST(PartOf, PartsMeetAndCoverAll) {
  for (const int64_t n : {0, 1, 7, 64, 1000}) {
    for (const int64_t count : {1, 2, 3, 17}) {
      int64_t at = 0;
      for (int64_t i = 0; i < count; ++i) {
        const Range part = part_of(n, {i, count});
        EXPECT_EQ(part.begin, at);
        EXPECT_LE(part.end - part.begin, n / count + 1);
        at = part.end;
      }
      EXPECT_EQ(at, n);
    }
  }
}

}  // namespace
}  // namespace headlane
