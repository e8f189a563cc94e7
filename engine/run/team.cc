#include "engine/run/team.h"

#include <omp.h>

namespace headlane {

int available_cpus() { return omp_get_num_procs(); }

void Team::run_erased(void (*call)(void*, int, int), void* context) {
  if (n_threads_ == 1)
    return call(context, 0, 1);  // no region: a single thread never touches OpenMP
#pragma omp parallel num_threads(n_threads_)
  call(context, omp_get_thread_num(), omp_get_num_threads());
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
  // Some 20 to 60 microseconds, by what a pause costs: longer than teammates with equal parts
  // differ.
  constexpr int kSpins = 2000;
  for (int i = 0; i < kSpins; ++i) {
    if (generation_.load(std::memory_order_acquire) != generation) return;
    __builtin_ia32_pause();
  }
  generation_.wait(generation, std::memory_order_acquire);
}

}  // namespace headlane
