// The threads of a session, and the only place in Headlane that makes any.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>

namespace headlane {

// Threads of the host's. parallel_for(user, n, task, context) calls task(context, i) once for each
// i in 0 .. n - 1, on any thread, in any order, at the same time or not, and returns when all have
// returned.
struct CallerPool {
  void (*parallel_for)(void* user, int32_t n, void (*task)(void* context, int32_t i),
                       void* context) = nullptr;
  void* user = nullptr;
};

// A pool of a session's own, or the host's. Its own is shared with no other session and nothing of
// the process; it sleeps between runs, after some tens of microseconds. In a forked child, where
// its threads do not exist, it goes on as the calling thread alone.
class Team {
 public:
  // With `pool`, no threads are made. Without, n_threads - 1; the caller of run is the last. Throws
  // Error(kOutOfMemory) if the system refuses one.
  explicit Team(int n_threads, const CallerPool& pool = {});
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;
  int n_threads() const { return n_threads_; }

  // How many threads the run that comes now should have, of so many passes, and thought to take
  // `seconds` on one thread: n_threads(), or 1 where others are not worth waking, or in a forked
  // child. A short run is shared with threads that are awake only; calls in a loop wake them for
  // the next.
  int width(double seconds, size_t n_passes = 1);

  // For each phase in turn, calls body(phase, thread, count) once for each thread 0 .. count - 1,
  // where count is n_threads() or 1. A phase begins when all are through with the one before, and
  // sees all that these wrote. Threads of a phase may run one after the other: none may wait for
  // another. body must not throw. Allocates nothing. Throws Error(kCancelled) if it was, and then
  // not all was done, and Error(kInvalidArgument) if the host's pool did not call each task once.
  template <typename Body>
  void run(int n_phases, int count, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    run_erased({[](void* context, int phase, int thread, int threads) {
                  (*static_cast<Plain*>(context))(phase, thread, threads);
                },
                const_cast<void*>(static_cast<const void*>(&body)), n_phases, count});
  }

  // From any thread, at any time: while it is true, runs end early.
  void set_cancelled(bool cancelled) { cancelled_.store(cancelled, std::memory_order_relaxed); }
  // Inside a phase: whether it may be left undone, since its run will end as cancelled.
  bool may_stop() {
    if (!cancelled_.load(std::memory_order_relaxed)) return false;
    abandoned_.store(true, std::memory_order_relaxed);
    return true;
  }

 private:
  struct Job {
    void (*call)(void* context, int phase, int thread, int count) = nullptr;
    void* context = nullptr;
    int n_phases = 0, count = 1;
  };

  void run_erased(const Job& job);
  bool run_on_caller_pool(const Job& job);
  bool run_alone(const Job& job);
  bool run_phases(const Job& job, int thread);
  void work(int thread);  // what each thread of the pool does
  using Clock = std::chrono::steady_clock;
  bool shares_short_run(double seconds);
  void end_short_run();
  void wake();
  void await_run(uint32_t seen);
  // Waits until all threads of the team are here. What one wrote before, all see after. True: go
  // on; all get the same answer. A thread spins only briefly, then sleeps: where other processes
  // hold a core, a teammate may be long in coming, and spinning for it takes the time it needs.
  bool barrier(int count);
  bool is_stopped() const {
    return cancelled_.load(std::memory_order_relaxed) || abandoned_.load(std::memory_order_relaxed);
  }
  void stop(int n_started);

  int n_threads_;
  CallerPool pool_;
  int process_;  // the one that has the threads
  Job job_;
  bool stopping_ = false;
  // Three times that short runs are decided by: the last one ended at `last_end_`; the one at hand
  // is late if it ends after `latest_end_`; none is shared before `alone_until_`, since one was
  // late. Each late run in a row makes that pause twice as long.
  Clock::time_point last_end_, latest_end_, alone_until_;
  Clock::duration pause_{0};
  bool shares_ = false;                        // the short run at hand
  bool times_ends_ = false;                    // of the run at hand
  std::unique_ptr<std::thread[]> threads_;     // [n_threads - 1]
  std::atomic<bool> cancelled_{false};         // by the host
  std::atomic<bool> abandoned_{false};         // a phase of this run was left undone
  alignas(64) std::atomic<uint32_t> runs_{0};  // each increment is a run, or the end
  std::atomic<uint32_t> calls_{0};  // to sleeping threads: to look at runs_, and to spin again
  alignas(64) std::atomic<int> arrived_{0};  // at the barrier at hand
  std::atomic<int> asleep_{0};  // threads of the pool that wait for a run and no longer spin
  // Twice how many barriers have been passed, and 1 if the last of them ended its run: what a
  // thread waits for and what it is told are one word, so that all are told the same.
  alignas(64) std::atomic<uint32_t> generation_{0};
};

}  // namespace headlane
