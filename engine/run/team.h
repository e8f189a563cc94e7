// The threads of a session, and the only place in Headlane that knows of OpenMP.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

namespace headlane {

// CPUs that this process may run on.
int available_cpus();

class Team {
 public:
  explicit Team(int n_threads) : n_threads_(n_threads) {}
  int n_threads() const { return n_threads_; }

  // Calls body(thread, count) once on each of `count` threads at the same time, thread = 0 .. count
  // - 1, and returns when all have; count is n_threads(), or less where the system gives fewer. The
  // caller is thread 0. body must not throw. Allocates nothing once the threads exist (the first
  // call makes them).
  template <typename Body>
  void run(Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    run_erased([](void* context, int thread,
                  int count) { (*static_cast<Plain*>(context))(thread, count); },
               &body);
  }

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

  // Inside run: waits until all `count` threads of the team are here. What one wrote before, all
  // see after. A thread spins only briefly, then sleeps: where other processes hold a core, a
  // teammate may be long in coming, and spinning for it takes the time it needs.
  void barrier(int count);

 private:
  void run_erased(void (*call)(void*, int, int), void* context);
  static int set_library_threads(int n_threads);  // for the calling thread; returns what it was

  int n_threads_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<uint32_t> generation_{0};  // how many barriers have been passed
};

}  // namespace headlane
