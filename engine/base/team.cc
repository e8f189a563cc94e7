#include "engine/base/team.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <exception>

#include "engine/base/default_floats.h"
#include "engine/base/error.h"

namespace headlane {
namespace {

// Some 20 to 60 microseconds, by what a pause costs: longer than teammates with equal parts differ.
constexpr int kSpins = 2000;

// While it lives, new threads start with all signals blocked: signals are for the host's own
// threads.
class BlockSignals {
 public:
  BlockSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~BlockSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockSignals(const BlockSignals&) = delete;
  BlockSignals& operator=(const BlockSignals&) = delete;

 private:
  sigset_t before_;
};

}  // namespace

Team::Team(int n_threads, const CallerPool& pool)
    : n_threads_(n_threads), pool_(pool), process_(getpid()) {
  if (n_threads == 1 || pool.parallel_for) return;
  threads_ = std::make_unique<std::thread[]>(static_cast<size_t>(n_threads - 1));
  const BlockSignals blocked;
  for (int i = 0; i < n_threads - 1; ++i) {
    try {
      threads_[static_cast<size_t>(i)] = std::thread([this, i] { work(i + 1); });
    } catch (const std::exception& error) {  // also of memory
      stop(i);
      fail(Status::kOutOfMemory, "the system cannot start thread %d of %d: %s", i + 1, n_threads,
           error.what());
    }
  }
  // Threads allocate when they start, so this run makes them start now.
  run(1, n_threads, [](int, int, int) {});
}

Team::~Team() {
  if (threads_) stop(n_threads_ - 1);
}

void Team::stop(int n_started) {
  if (n_started == 0) return;
  if (getpid() != process_) {
    // A forked child: there is nothing to join, and a std::thread that seems to run must not be
    // destroyed.
    threads_.release();  // NOLINT(bugprone-unused-return-value)
    return;
  }
  stopping_ = true;
  runs_.fetch_add(1, std::memory_order_release);
  wake();
  for (int i = 0; i < n_started; ++i) threads_[static_cast<size_t>(i)].join();
}

int Team::width(double seconds, size_t n_passes) {
  // A sleeping thread takes some 10 to 50 microseconds to wake, and each barrier is a chance to
  // lose it to another process. A thread that spins takes part within one, at a few barriers a
  // pass.
  constexpr double kWorthWaking = 200e-6, kWorthSharing = 10e-6;
  shares_ = times_ends_ = false;
  if (n_threads_ == 1) return 1;
  if (pool_.parallel_for) return seconds < kWorthWaking ? 1 : n_threads_;
  if (getpid() != process_) return 1;
  if (seconds >= kWorthWaking) return n_threads_;
  if (seconds < kWorthSharing * static_cast<double>(n_passes)) return 1;
  times_ends_ = true;
  shares_ = shares_short_run(seconds);
  return shares_ ? n_threads_ : 1;
}

// A short run is not shared with threads that sleep. If the last one has just ended, there is a
// loop of them: the threads are called for the next one. No short run is shared for a while after a
// shared one took long: another process may have the CPU of a thread that seems to spin.
bool Team::shares_short_run(double seconds) {
  constexpr auto kLately = std::chrono::microseconds(50);
  const Clock::time_point now = Clock::now();
  if (now < alone_until_) return false;
  if (asleep_.load(std::memory_order_acquire) > 0) {
    if (now - last_end_ < kLately) wake();
    return false;
  }
  latest_end_ = now + std::chrono::duration_cast<Clock::duration>(
                          std::chrono::duration<double>(4 * seconds + 20e-6));
  return true;
}

void Team::end_short_run() {
  constexpr Clock::duration kLeast = std::chrono::milliseconds(1);
  constexpr Clock::duration kMost = std::chrono::milliseconds(64);
  if (!times_ends_) return;
  last_end_ = Clock::now();
  if (!shares_) return;
  const bool late = last_end_ > latest_end_;
  pause_ = late ? std::clamp(2 * pause_, kLeast, kMost) : Clock::duration{0};
  if (late) alone_until_ = last_end_ + pause_;
}

void Team::wake() {
  calls_.fetch_add(1, std::memory_order_release);
  calls_.notify_all();
}

// A program that calls again at once, as a loop over texts does, finds the thread awake. One that
// was called for the next run spins for longer: it woke while a run was under way that it has no
// part in.
void Team::await_run(uint32_t seen) {
  for (int spins = kSpins;; spins = 10 * kSpins) {
    for (int i = 0; i < spins; ++i) {
      if (runs_.load(std::memory_order_acquire) != seen) return;
      __builtin_ia32_pause();
    }
    // Whoever adds to runs_ adds to calls_ after it.
    const uint32_t calls = calls_.load(std::memory_order_acquire);
    if (runs_.load(std::memory_order_acquire) != seen) return;
    asleep_.fetch_add(1, std::memory_order_relaxed);
    calls_.wait(calls, std::memory_order_acquire);
    asleep_.fetch_sub(1, std::memory_order_release);
  }
}

void Team::work(int thread) {
  for (uint32_t seen = 0;; ++seen) {
    await_run(seen);
    if (stopping_) return;
    run_phases(Job(job_), thread);  // a copy: after the last barrier, the next job may be written
  }
}

void Team::run_erased(const Job& job) {
  abandoned_.store(false, std::memory_order_relaxed);
  bool finished = !is_stopped();
  if (!finished) fail(Status::kCancelled, "the call was cancelled before it began");
  if (job.count == 1) {
    finished = run_alone(job);
  } else if (pool_.parallel_for) {
    finished = run_on_caller_pool(job);
  } else {
    job_ = job;
    runs_.fetch_add(1, std::memory_order_release);
    wake();
    finished = run_phases(job, 0);
  }
  end_short_run();
  if (!finished) fail(Status::kCancelled, "the call was cancelled");
}

bool Team::run_alone(const Job& job) {
  for (int phase = 0; phase < job.n_phases && !is_stopped(); ++phase) {
    job.call(job.context, phase, 0, 1);
  }
  return !is_stopped();
}

// Ends with a barrier, so that when one returns, all have done their part.
bool Team::run_phases(const Job& job, int thread) {
  bool go_on = true;
  for (int phase = 0; phase < job.n_phases && go_on; ++phase) {
    job.call(job.context, phase, thread, job.count);
    go_on = barrier(job.count);
  }
  return go_on;
}

// Phases are calls of their own, since the host's threads may be fewer than tasks, and a barrier
// would wait for ever.
bool Team::run_on_caller_pool(const Job& job) {
  struct Phase {
    const Job& job;
    int number;
    std::atomic<int> n_done{0};
  };
  for (int i = 0; i < job.n_phases && !is_stopped(); ++i) {
    Phase phase{job, i};
    const auto task = [](void* context, int32_t thread) {
      Phase& of = *static_cast<Phase*>(context);
      const DefaultFloats floats;
      of.job.call(of.job.context, of.number, thread, of.job.count);
      of.n_done.fetch_add(1, std::memory_order_acq_rel);
    };
    pool_.parallel_for(pool_.user, job.count, task, &phase);
    const int n_done = phase.n_done.load(std::memory_order_acquire);
    if (n_done != job.count) {
      fail(Status::kInvalidArgument,
           "the pool's parallel_for returned when only %d of %d tasks had returned", n_done,
           job.count);
    }
  }
  return !is_stopped();
}

bool Team::barrier(int count) {
  const uint32_t before = generation_.load(std::memory_order_acquire);
  const auto go_on = [](uint32_t generation) { return (generation & 1) == 0; };
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == count) {
    const uint32_t after = ((before | 1) + 1) | (is_stopped() ? 1 : 0);
    arrived_.store(0, std::memory_order_relaxed);
    generation_.store(after, std::memory_order_release);
    generation_.notify_all();
    return go_on(after);
  }
  for (int i = 0; i < kSpins; ++i) {
    const uint32_t now = generation_.load(std::memory_order_acquire);
    if (now != before) return go_on(now);
    __builtin_ia32_pause();
  }
  generation_.wait(before, std::memory_order_acquire);
  return go_on(generation_.load(std::memory_order_acquire));
}

}  // namespace headlane
