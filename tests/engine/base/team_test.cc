#include "engine/base/team.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "engine/ops/op.h"
#include "tests/support/expect_error.h"

namespace headlane {
namespace {

// Each phase, every thread adds to its own number and reads all: one that began a phase early, or
// did not see what others wrote, would see a number that is behind.
void expect_phases_in_turn(Team& team, int count, int phases = 500) {
  std::vector<std::array<int, 2>> numbers(static_cast<size_t>(count));
  std::atomic<int> mistakes{0}, calls{0};
  team.run(phases, count, [&](int phase, int thread, int threads) {
    ++calls;
    mistakes += threads != count;
    for (const auto& of : numbers) {
      if (phase > 0) mistakes += of[(phase - 1) % 2] != phase - 1;
    }
    numbers[static_cast<size_t>(thread)][phase % 2] = phase;
  });
  EXPECT_EQ(mistakes, 0);
  EXPECT_EQ(calls, phases * count);
}

TEST(Team, PhasesInTurn) {
  for (const int n : {1, 2, 3, 8}) {
    Team team(n);
    for (int round = 0; round < 3; ++round) expect_phases_in_turn(team, n);
    expect_phases_in_turn(team, 1);
  }
}

// Runs of 20 microseconds in a loop, as whatever number of threads is chosen for each: threads that
// spin, sleep, or are just being called.
TEST(Team, ShortRunsInALoop) {
  Team team(3);
  for (int i = 0; i < 3000; ++i) {
    if (i % 300 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(3));
    const int count = team.width(20e-6);
    ASSERT_TRUE(count == 1 || count == 3) << count;
    std::atomic<int> calls{0};
    team.run(2, count, [&](int, int, int) { ++calls; });
    ASSERT_EQ(calls, 2 * count);
  }
}

// One task after the other on the calling thread, the last one first.
void run_backwards(void* n_calls, int32_t n, void (*task)(void*, int32_t), void* context) {
  ++*static_cast<int*>(n_calls);
  for (int32_t i = n - 1; i >= 0; --i) task(context, i);
}

void run_at_once(void* n_calls, int32_t n, void (*task)(void*, int32_t), void* context) {
  ++*static_cast<int*>(n_calls);
  std::vector<std::thread> threads;
  threads.reserve(static_cast<size_t>(n));
  for (int32_t i = 0; i < n; ++i) threads.emplace_back(task, context, i);
  for (std::thread& thread : threads) thread.join();
}

TEST(Team, PhasesInTurnOnTheHostsPool) {
  for (const auto pool : {run_backwards, run_at_once}) {
    int n_calls = 0;
    Team team(3, {pool, &n_calls});
    expect_phases_in_turn(team, 3);
    EXPECT_EQ(n_calls, 500);
    EXPECT_EQ(team.width(1), 3);
    EXPECT_EQ(team.width(0), 1);
  }
}

TEST(Team, AHostsPoolThatForgetsATaskIsTold) {
  Team team(2,
            {[](void*, int32_t, void (*task)(void*, int32_t), void* context) { task(context, 1); },
             nullptr});
  EXPECT_ERROR(team.run(1, 2, [](int, int, int) {}), Status::kInvalidArgument, "1 of 2 tasks");
}

// The phase at which it is cancelled ends; no later one begins; all threads come out.
TEST(Team, EndsEarlyWhenCancelled) {
  int n_calls = 0;
  for (const CallerPool& pool : {CallerPool{}, CallerPool{run_at_once, &n_calls}}) {
    for (const int n : {1, 2, 4}) {
      Team team(n, pool);
      for (const int round : {0, 1, 50, 98}) {
        std::atomic<int> last{0};
        EXPECT_ERROR(team.run(100, n,
                              [&](int phase, int thread, int) {
                                last = phase;
                                if (phase == round && thread == 0) team.set_cancelled(true);
                              }),
                     Status::kCancelled, "cancelled");
        EXPECT_EQ(last, round);
        EXPECT_ERROR(team.run(1, n, [](int, int, int) {}), Status::kCancelled, "before it began");
        team.set_cancelled(false);
        expect_phases_in_turn(team, n, 50);
      }
    }
  }
}

// A thread that leaves a phase undone ends the run, though nobody is cancelled any more.
TEST(Team, APhaseLeftUndoneIsNotTakenForDone) {
  Team team(2);
  const auto leave = [&](int, int thread, int) {
    if (thread == 1) return;
    team.set_cancelled(true);
    EXPECT_TRUE(team.may_stop());
    team.set_cancelled(false);
  };
  EXPECT_ERROR(team.run(3, 2, leave), Status::kCancelled, "cancelled");
  expect_phases_in_turn(team, 2);
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
