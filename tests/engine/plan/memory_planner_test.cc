#include "engine/plan/memory_planner.h"

#include <gtest/gtest.h>

#include <random>

namespace headlane {
namespace {

TEST(MemoryPlanner, NothingTakesNothing) { EXPECT_EQ(plan_memory({}, 16).size, 0); }

// a lives in 0-1, b in 1-2, c in 2-3: c may take a's place, since a is dead by then.
TEST(MemoryPlanner, ReusesWhatIsDead) {
  const Lifetime lives[] = {{0, 1, 100}, {1, 2, 50}, {2, 3, 100}};
  const MemoryPlan plan = plan_memory(lives, 16);
  EXPECT_EQ(plan.offsets, (std::vector<int64_t>{0, 112, 0}));
  EXPECT_EQ(plan.size, 162);
}

// A step that reads one value and writes another needs both.
TEST(MemoryPlanner, TouchingLifetimesDoNotShare) {
  const Lifetime lives[] = {{0, 1, 10}, {1, 2, 10}};
  const MemoryPlan plan = plan_memory(lives, 1);
  EXPECT_EQ(plan.offsets, (std::vector<int64_t>{0, 10}));
  EXPECT_EQ(plan.size, 20);
}

// Largest first: a 64 at 0, b 48 at 64, c 32 at 112. d (16) overlaps a and c in time, not b: the
// gap between them, 64 .. 112, takes it.
TEST(MemoryPlanner, FillsTheSmallestGap) {
  const Lifetime lives[] = {{0, 9, 64}, {0, 4, 48}, {0, 9, 32}, {5, 9, 16}};
  const MemoryPlan plan = plan_memory(lives, 16);
  EXPECT_EQ(plan.offsets, (std::vector<int64_t>{0, 64, 112, 64}));
  EXPECT_EQ(plan.size, 144);
}

TEST(MemoryPlanner, EmptyValuesTakeNoRoom) {
  const Lifetime lives[] = {{0, 5, 0}, {0, 5, 32}, {0, 5, 0}};
  EXPECT_EQ(plan_memory(lives, 16).size, 32);
}

TEST(MemoryPlanner, RandomGraphsNeverOverlap) {
  std::mt19937 random(20261121);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  for (int round = 0; round < 300; ++round) {
    std::vector<Lifetime> lives;
    int64_t sum = 0;
    for (int i = below(40); i >= 0; --i) {
      const int first = below(20);
      lives.push_back({first, first + below(6), below(8) ? 1 + below(500) : 0});
      sum += (lives.back().size + 15) / 16 * 16;
    }
    const MemoryPlan plan = plan_memory(lives, 16);
    EXPECT_LE(plan.size, sum);
    for (size_t i = 0; i < lives.size(); ++i) {
      ASSERT_EQ(plan.offsets[i] % 16, 0);
      ASSERT_LE(plan.offsets[i] + lives[i].size, plan.size);
      for (size_t j = 0; j < i; ++j) {
        const bool together = lives[i].first <= lives[j].last && lives[j].first <= lives[i].last;
        const bool apart = plan.offsets[i] + lives[i].size <= plan.offsets[j] ||
                           plan.offsets[j] + lives[j].size <= plan.offsets[i];
        ASSERT_TRUE(!together || apart || !lives[i].size || !lives[j].size)
            << round << ": " << i << ", " << j;
      }
    }
  }
}

}  // namespace
}  // namespace headlane
