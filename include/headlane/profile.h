/** @file
 * Profiles.
 *
 * Where the time of a session's runs goes, pass by pass. Off unless asked for; it costs a clock
 * reading a pass. */
#ifndef HEADLANE_PROFILE_H_
#define HEADLANE_PROFILE_H_

#include <headlane/session.h>
#include <headlane/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** From the next run on: 1 counts from zero, 0 stops counting. */
HEADLANE_API headlane_status headlane_session_profile(headlane_session* session, int32_t on);

typedef struct headlane_pass_facts {
  size_t struct_size;
  const char*
      name; /**< "load + linear + linear", the ops of the pass; lives as long as the session */
  int64_t n_passes;    /**< of the session, whichever is asked for */
  int64_t n_runs;      /**< counted */
  double seconds;      /**< of all of them, by the clock of the thread that called */
  double flops;        /**< multiplications and additions of products and attention, likewise */
  double weight_bytes; /**< what one reading of its packed weights takes; each block of rows reads
                        * them once */
  int64_t block_rows;  /**< rows of a block; 0: the pass is not one over rows */
  double activation_bytes; /**< what the counted runs read and wrote of the activations that passes
                            * hand to each other */
  int64_t n_threads;       /**< of the session */
} headlane_pass_facts;

#define HEADLANE_PASS_FACTS_INIT \
  { sizeof(headlane_pass_facts), 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/** Of the i-th pass, 0 <= i < n_passes; there is always one. The last one copies the result out. */
HEADLANE_API headlane_status headlane_session_get_pass(const headlane_session* session, int64_t i,
                                                       headlane_pass_facts* out);

/** What one thread did of a pass in the last run counted. */
typedef struct headlane_pass_span {
  size_t struct_size;
  double begin, end; /**< seconds since the run's start; equal: it took no part */
} headlane_pass_span;

#define HEADLANE_PASS_SPAN_INIT \
  { sizeof(headlane_pass_span), 0, 0 }

/** Of the i-th pass, as above, and a thread, 0 <= thread < n_threads; 0 is the one that called. */
HEADLANE_API headlane_status headlane_session_get_span(const headlane_session* session, int64_t i,
                                                       int64_t thread, headlane_pass_span* out);

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_PROFILE_H_ */
