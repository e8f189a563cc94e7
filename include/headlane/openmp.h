/** @file
 * A pool of OpenMP's threads, for hosts that already run OpenMP.
 *
 * This header is not a part of headlane.h, and the library knows nothing of it: its functions are
 * compiled into the host, with whatever the host's compiler calls -fopenmp, so Headlane runs on the
 * threads of the very OpenMP runtime that the host uses. C99.
 *
 *     headlane_thread_pool pool = headlane_openmp_pool(0);
 *     headlane_session_options options = HEADLANE_INIT(headlane_session_options);
 *     options.pool = &pool;
 */
#ifndef HEADLANE_OPENMP_H_
#define HEADLANE_OPENMP_H_

#ifndef _OPENMP
#error "headlane/openmp.h needs a compiler that is told to use OpenMP: -fopenmp"
#endif

#include <headlane/host.h>
#include <omp.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The parallel_for of headlane_openmp_pool. OpenMP may give it fewer threads than there are tasks,
 * one inside a parallel region that does not nest: they then take the tasks in turn.
 * @param user not used
 * @param n how many tasks
 * @param task called once for each i in 0 .. n - 1
 * @param context handed to the tasks */
static inline void headlane_openmp_parallel_for(void* user, int32_t n,
                                                void (*task)(void* context, int32_t i),
                                                void* context) {
  int32_t i;
  (void)user;
  /* Mostly there are as many tasks as threads, so each thread takes one without asking. */
#pragma omp parallel for schedule(static, 1) num_threads(n)
  for (i = 0; i < n; ++i) task(context, i);
}

/** A pool of OpenMP's threads, for the options of a model, a session, a generator or an attention.
 * @param n_threads how many tasks are started at once, up to 1024; 0: omp_get_max_threads()
 * @return it holds no memory, and need not be ended */
static inline headlane_thread_pool headlane_openmp_pool(int32_t n_threads) {
  headlane_thread_pool pool = HEADLANE_INIT(headlane_thread_pool);
  pool.n_threads = n_threads > 0 ? n_threads : (int32_t)omp_get_max_threads();
  if (pool.n_threads > 1024) pool.n_threads = 1024;
  pool.parallel_for = headlane_openmp_parallel_for;
  return pool;
}

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_OPENMP_H_ */
