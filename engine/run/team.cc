#include "engine/run/team.h"

#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <system_error>

#include "engine/error.h"

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

int available_cpus() { return omp_get_num_procs(); }

Team::Team(int n_threads) : n_threads_(n_threads), process_(getpid()) {
  set_library_threads(set_library_threads(1));  // OpenMP allocates at a thread's first call: now
  if (n_threads == 1) return;
  threads_ = std::make_unique<std::thread[]>(static_cast<size_t>(n_threads - 1));
  const BlockSignals blocked;
  for (int i = 0; i < n_threads - 1; ++i) {
    try {
      threads_[static_cast<size_t>(i)] = std::thread([this, i] { work(i + 1); });
    } catch (const std::system_error& error) {
      stop(i);
      fail(Status::kOutOfMemory, "the system refuses thread %d of %d: %s", i + 1, n_threads,
           error.what());
    }
  }
  run([](int, int) {});  // what threads allocate when they start is allocated now
}

Team::~Team() { stop(n_threads_ - 1); }

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
  runs_.notify_all();
  for (int i = 0; i < n_started; ++i) threads_[static_cast<size_t>(i)].join();
}

// A program that calls again at once, as a loop over texts does, finds the thread awake.
void Team::await_run(uint32_t seen) const {
  for (int i = 0; i < kSpins; ++i) {
    if (runs_.load(std::memory_order_acquire) != seen) return;
    __builtin_ia32_pause();
  }
  runs_.wait(seen, std::memory_order_acquire);
}

void Team::work(int thread) {
  set_library_threads(1);
  for (uint32_t seen = 0;; ++seen) {
    await_run(seen);
    if (stopping_) return;
    call_(context_, thread, n_threads_);
    barrier(n_threads_);
  }
}

void Team::run_erased(Call call, void* context, double seconds) {
  // A sleeping thread takes some 10 to 50 microseconds to wake, and each barrier is a chance to
  // lose it to another process.
  constexpr double kWorthWaking = 200e-6;
  with_one_thread([&] {
    if (n_threads_ == 1 || seconds < kWorthWaking || getpid() != process_) {
      return call(context, 0, 1);
    }
    call_ = call;
    context_ = context;
    runs_.fetch_add(1, std::memory_order_release);
    runs_.notify_all();
    call(context, 0, n_threads_);
    barrier(n_threads_);
  });
}

int Team::set_library_threads(int n_threads) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(n_threads);
  return before;
}

void Team::barrier(int count) {
  if (count == 1) return;
  const uint32_t generation = generation_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == count) {
    arrived_.store(0, std::memory_order_relaxed);
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
    return;
  }
  for (int i = 0; i < kSpins; ++i) {
    if (generation_.load(std::memory_order_acquire) != generation) return;
    __builtin_ia32_pause();
  }
  generation_.wait(generation, std::memory_order_acquire);
}

}  // namespace headlane
