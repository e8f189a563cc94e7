// The threads of a session, and the only place in Headlane that knows of threads and of OpenMP.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>

namespace headlane {

// CPUs that this process may run on.
int available_cpus();

// A pool of a session's own: nothing of it is shared with other sessions or with the rest of the
// process. It sleeps between runs, after some tens of microseconds. In a forked child, where its
// threads do not exist, it goes on as the calling thread alone.
class Team {
 public:
  // Makes n_threads - 1 threads; the caller of run is the last. Throws Error(kOutOfMemory) if the
  // system refuses one.
  explicit Team(int n_threads);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;
  int n_threads() const { return n_threads_; }

  // Calls body(thread, count) once on each of `count` threads at the same time, thread = 0 .. count
  // - 1, and returns when all have; count is n_threads(), or 1 in a forked child or where
  // `seconds`, what the body is thought to take on one thread, is not worth waking the others. The
  // caller is thread 0. body must not throw. Allocates nothing.
  template <typename Body>
  void run(Body&& body, double seconds = 1) {
    using Plain = std::remove_reference_t<Body>;
    run_erased([](void* context, int thread,
                  int count) { (*static_cast<Plain*>(context))(thread, count); },
               &body, seconds);
  }

  // Inside run: waits until all `count` threads of the team are here. What one wrote before, all
  // see after. A thread spins only briefly, then sleeps: where other processes hold a core, a
  // teammate may be long in coming, and spinning for it takes the time it needs.
  void barrier(int count);

  // Calls body() where libraries that ask OpenMP how many threads to use are told one.
  template <typename Body>
  static void with_one_thread(Body&& body) {
    const int before = set_library_threads(1);
    try {
      body();
    } catch (...) {
      set_library_threads(before);
      throw;
    }
    set_library_threads(before);
  }

 private:
  using Call = void (*)(void* context, int thread, int count);

  void run_erased(Call call, void* context, double seconds);
  void work(int thread);  // what each thread of the pool does
  void await_run(uint32_t seen) const;
  void stop(int n_started);
  static int set_library_threads(int n_threads);  // for the calling thread; returns what it was

  int n_threads_;
  int process_;  // the one that has the threads
  Call call_ = nullptr;
  void* context_ = nullptr;
  bool stopping_ = false;
  std::unique_ptr<std::thread[]> threads_;           // [n_threads - 1]
  alignas(64) std::atomic<uint32_t> runs_{0};        // each increment is a run, or the end
  alignas(64) std::atomic<int> arrived_{0};          // at the barrier at hand
  alignas(64) std::atomic<uint32_t> generation_{0};  // how many barriers have been passed
};

}  // namespace headlane
