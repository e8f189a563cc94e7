// Lists of rows: each target's tokens keep what was written for them, however targets branch, end
// and begin, for many more steps than the cache has rows.
#include "engine/generate/kv_cache.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

#include "engine/base/buffer.h"

namespace headlane {
namespace {

// A cache whose rows hold the number of the token that they were taken for, and what each target
// must be.
class Targets {
 public:
  explicit Targets(const KvCacheLimits& limits)
      : limits_(limits), memory_(KvCache::bytes(limits)), cache(limits, memory_.data()) {}

  // Each of `parents` (-1: none) goes on by n_new tokens.
  void step(const std::vector<std::pair<int64_t, int64_t>>& parents_and_new) {
    std::vector<std::vector<float>> next;
    cache.begin_step();
    for (const auto& [parent, n_new] : parents_and_new) {
      const auto target = static_cast<int64_t>(next.size());
      next.push_back(parent < 0 ? std::vector<float>{} : tokens[static_cast<size_t>(parent)]);
      cache.add(parent, n_new, static_cast<int32_t>(target));
      const auto n_old = static_cast<int64_t>(next.back().size());
      for (int64_t i = 0; i < n_new; ++i) {
        next.back().push_back(++n_tokens_);
        value_of(target, n_old + i) = n_tokens_;
      }
    }
    before_ = std::move(tokens);
    tokens = std::move(next);
  }
  void undo() {
    cache.undo_step();
    tokens = before_;
  }
  void check() const {
    ASSERT_EQ(cache.n_targets(), static_cast<int64_t>(tokens.size()));
    for (int64_t target = 0; target < cache.n_targets(); ++target) {
      const std::vector<float>& expected = tokens[static_cast<size_t>(target)];
      ASSERT_EQ(cache.length(target), static_cast<int64_t>(expected.size()));
      for (int64_t i = 0; i < cache.length(target); ++i) {
        ASSERT_EQ(value_of(target, i), expected[static_cast<size_t>(i)]) << target << ", " << i;
      }
    }
  }

 private:
  float& value_of(int64_t target, int64_t i) const {
    const KeyRows& last = cache.layers()[limits_.n_layers - 1];
    return last.data[cache.rows(target)[i] * last.ld];
  }

  KvCacheLimits limits_;
  Buffer memory_;
  float n_tokens_ = 0;
  std::vector<std::vector<float>> before_;

 public:
  KvCache cache;
  std::vector<std::vector<float>> tokens;  // of each target
};

TEST(KvCache, TargetsThatBranchShareRows) {
  Targets targets({2, {.floats = 16}, 4, 10, 8});
  targets.step({{-1, 3}});
  targets.step({{0, 1}, {0, 2}, {-1, 1}});
  targets.check();
  const KvCache& cache = targets.cache;
  EXPECT_EQ(cache.source(2), 2);
  std::set<int32_t> rows;
  for (int64_t i = 0; i < 3; ++i) EXPECT_EQ(cache.rows(0)[i], cache.rows(1)[i]);
  for (int64_t target = 0; target < 3; ++target) {
    rows.insert(cache.rows(target), cache.rows(target) + cache.length(target));
  }
  EXPECT_EQ(rows.size(), 3u + 1 + 2 + 1);
}

TEST(KvCache, AStepCanBeUndone) {
  Targets targets({1, {.floats = 16}, 2, 4, 4});
  targets.step({{-1, 2}, {-1, 1}});
  for (int64_t i = 0; i < 20; ++i) {
    targets.step({{1, 2}, {-1, 1}});
    targets.undo();
    targets.check();
  }
  targets.step({{1, 3}, {0, 1}});
  targets.check();
}

// Full to the last row: all targets are as long as they may be, and all begin anew.
TEST(KvCache, HasRoomForAllTargetsAndAStep) {
  const KvCacheLimits limits = {1, {.floats = 16}, 3, 5, 15};
  Targets targets(limits);
  for (int64_t i = 0; i < 7; ++i) {
    targets.step({{-1, 5}, {-1, 5}, {-1, 5}});
    targets.check();
  }
  EXPECT_EQ(limits.n_rows(), 30);
}

TEST(KvCache, KeepsTokensOverManySteps) {
  const KvCacheLimits limits = {3, {.floats = 16}, 5, 12, 9};
  Targets targets(limits);
  std::mt19937 random(7);
  for (int64_t i = 0; i < 500; ++i) {
    std::vector<std::pair<int64_t, int64_t>> parents;
    int64_t room = limits.max_new;
    const auto n = static_cast<int64_t>(1 + random() % limits.max_targets);
    for (int64_t target = 0; target < n && room > 0; ++target) {
      int64_t parent = static_cast<int64_t>(random() % (targets.tokens.size() + 1)) - 1;
      int64_t length =
          parent < 0 ? 0 : static_cast<int64_t>(targets.tokens[static_cast<size_t>(parent)].size());
      if (length == limits.max_len) parent = -1, length = 0;
      const int64_t most = std::min(room, limits.max_len - length);
      parents.emplace_back(parent, 1 + static_cast<int64_t>(random()) % most);
      room -= parents.back().second;
    }
    targets.step(parents);
    targets.check();
    if (i % 7 == 3) {
      targets.undo();
      targets.check();
    }
  }
}

}  // namespace
}  // namespace headlane
