/** @file
 * Profiles.
 *
 * Profiles show where the time of a session's runs goes, pass by pass. They are off unless asked
 * for, and cost one clock reading for each pass. */
#ifndef HEADLANE_PROFILE_H_
#define HEADLANE_PROFILE_H_

#include <headlane/init.h>
#include <headlane/session.h>
#include <headlane/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Starts or stops counting.
 * @param session that is not running
 * @param on counts from the next run on: 1 starts from zero, 0 stops
 * @return INVALID_ARGUMENT */
HEADLANE_API headlane_status headlane_session_profile(headlane_session* session, int32_t on);

/** A pass, and what was counted for it. */
typedef struct headlane_pass_facts {
  size_t struct_size; /**< sizeof this struct */
  const char* name;   /**< its ops, "load + linear + linear"; as long as the session */
  int64_t n_passes;   /**< of the session; the same for every pass */
  int64_t n_runs;     /**< runs that were counted */
  double seconds;     /**< of all of them, by the clock of the thread that called */
  double flops; /**< multiplications and additions of products and attention, of all these runs */
  double weight_bytes; /**< what one reading of its packed weights takes; each block of rows reads
                        * them once */
  int64_t block_rows;  /**< rows of a block; 0: the pass is not one over rows */
  double activation_bytes; /**< what the counted runs read and wrote of the activations that passes
                            * hand to each other */
  int64_t n_threads;       /**< of the session */
} headlane_pass_facts;

/** What was counted for one pass. A session always has a pass; the last one copies the result out.
 * @param session that is not running
 * @param i which one, 0 <= i < n_passes
 * @param[out] out filled as far as its struct_size reaches, which must be set
 * @return INVALID_ARGUMENT */
HEADLANE_API headlane_status headlane_session_get_pass(const headlane_session* session, int64_t i,
                                                       headlane_pass_facts* out);

/** What one thread did of a pass in the last run counted. */
typedef struct headlane_pass_span {
  size_t struct_size; /**< sizeof this struct */
  double begin;       /**< seconds since the run's start */
  double end;         /**< likewise; the same as begin: the thread took no part */
} headlane_pass_span;

/** When one thread worked on one pass, in the last run that was counted.
 * @param session that is not running
 * @param i which pass, 0 <= i < n_passes
 * @param thread which thread, 0 <= thread < n_threads; 0 is the one that called
 * @param[out] out filled as far as its struct_size reaches, which must be set
 * @return INVALID_ARGUMENT */
HEADLANE_API headlane_status headlane_session_get_span(const headlane_session* session, int64_t i,
                                                       int64_t thread, headlane_pass_span* out);

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_PROFILE_H_ */
