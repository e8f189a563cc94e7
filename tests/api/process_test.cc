// A host process may do these around the library: fork, refuse threads, measure idle CPU time.
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <limits>
#include <thread>

#include "tests/api/generator.h"
#include "tests/support/child.h"
#include "tests/support/sanitizers.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {
namespace {

class Process : public testing::Test {
 protected:
  void SetUp() override {
    path_ = temp_.file("model.headlane");
    check(headlane_convert(HEADLANE_GOLDEN_DIR "/bert/head_dim_16_mean_normalize", path_.c_str(),
                           nullptr));
  }

  // Runs body in a forked child, whose exit status tells whether it returned true.
  template <typename Body>
  static int in_child(Body body) {
    const pid_t child = fork();
    if (child == 0) {
      try {
        _exit(body() ? 0 : 1);
      } catch (...) {
        _exit(2);  // else the child would go on with the other tests
      }
    }
    return wait_for_child(child);
  }

  TempDir temp_;
  std::string path_;
};

// So much work that a run wakes the session's other threads (engine/base/team.cc says from where on
// it is worth that): 60 sequences of up to 70 tokens, of a vocabulary of 64.
const Sequences& ids() {
  static const Sequences kIds = random_sources(60, 64, 70, 1);
  return kIds;
}

TEST_F(Process, AForkedChildUsesTheParentsSessionAndNewOnes) {
  Encoder parent(path_, "", 2);
  // Before its first run, and after: the child's threads are not there then.
  EXPECT_EQ(in_child([&] { return !parent.encode(ids()).pooled.empty(); }), 0);
  const std::vector<float> expected = parent.encode(ids()).pooled;
  EXPECT_EQ(in_child([&] { return parent.encode(ids()).pooled == expected; }), 0);
  EXPECT_EQ(in_child([&] { return Encoder(path_, "", 2).encode(ids()).pooled == expected; }), 0);
  EXPECT_EQ(in_child([&] {
              auto* gone = new Encoder(path_, "", 2);
              delete gone;
              return parent.encode(ids()).pooled == expected;
            }),
            0);
  EXPECT_EQ(parent.encode(ids()).pooled, expected);
}

TEST_F(Process, AChildMayDestroyTheParentsSession) {
  auto* parent = new Encoder(path_, "", 3);
  const std::vector<float> expected = parent->encode(ids()).pooled;
  EXPECT_EQ(in_child([&] {
              delete parent;
              return true;
            }),
            0);
  EXPECT_EQ(parent->encode(ids()).pooled, expected);
  delete parent;
}

TEST_F(Process, RefusedThreadsAreAStatus) {
  const ModelHandle model = open_model(path_);
  const int status = in_child([&] {
    const rlimit none{0, 0};
    setrlimit(RLIMIT_NPROC, &none);
    // Root is exempt from the limit on processes; the limit on memory holds for all: a thread's
    // stack no longer fits, whatever the user's limit makes of its size (ulimit -s).
    pthread_attr_t stacks_of_8_mb;
    pthread_attr_init(&stacks_of_8_mb);
    pthread_attr_setstacksize(&stacks_of_8_mb, size_t{8} << 20);
    pthread_setattr_default_np(&stacks_of_8_mb);
    const rlimit memory{rlim_t{1} << 32, rlim_t{1} << 32};
    setrlimit(RLIMIT_AS, &memory);
    // Several threads pack a model where there are several CPUs, so that it may be refused too.
    headlane_model* another = nullptr;
    const headlane_status opened = headlane_model_open(path_.c_str(), nullptr, &another);
    if (opened != HEADLANE_OK && opened != HEADLANE_OUT_OF_MEMORY) return false;
    headlane_model_destroy(another);
    headlane_session_options options = HEADLANE_INIT(headlane_session_options);
    options.max_tokens = 64;
    options.n_threads = 1000;
    headlane_session* session = nullptr;
    const headlane_status got = headlane_session_create(model.get(), &options, &session);
    return got == HEADLANE_OUT_OF_MEMORY && session == nullptr;
  });
  if (kUnderAddressSanitizer) {
    GTEST_SKIP() << "AddressSanitizer takes more address space than the limit: status " << status;
  }
  EXPECT_EQ(status, 0);
}

// CPU time, not wall time: other processes do not count. After a run a thread spins for some 20 to
// 60 microseconds, and sleeps: two of them take a tenth of a millisecond, a hundred times less than
// the bound. Spinning on would take 200 on one CPU and 400 on two, in each round; the best one
// tells, since a virtual machine may count what its host took from it.
TEST_F(Process, ThreadsSleepAfterARun) {
  Encoder encoder(path_, "", 3);
  const auto cpu_ms = [] {
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) / 1e6;
  };
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 3; ++i) {
    encoder.encode(ids());
    const double before = cpu_ms();
    usleep(200000);
    least = std::min(least, cpu_ms() - before);
  }
  EXPECT_LT(least, 10);
}

// A session made by one thread may be run by another, and allocates and starts nothing there.
TEST_F(Process, ASessionMovesBetweenThreads) {
  Encoder encoder(path_, "", 2);
  const std::vector<float> expected = encoder.encode(ids()).pooled;
  std::vector<float> got;
  std::thread([&] { got = encoder.encode(ids()).pooled; }).join();
  EXPECT_EQ(got, expected);
}

}  // namespace
}  // namespace headlane::test
