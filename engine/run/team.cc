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

void Team::barrier() {
#pragma omp barrier
}

}  // namespace headlane
