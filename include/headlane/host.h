/** @file
 * What a host may give to Headlane: threads to run on, and a function that takes messages.
 */
#ifndef HEADLANE_HOST_H_
#define HEADLANE_HOST_H_

#include <headlane/init.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Threads of the caller, which Headlane uses in place of its own. The call that gets the struct
 * reads it at once; what the struct points to must live as long as what that call makes. */
typedef struct headlane_thread_pool {
  size_t struct_size; /**< sizeof this struct */
  void* user;         /**< handed back to parallel_for */
  int32_t n_threads;  /**< how many tasks are worth starting at once, 1 to 1024 */
  /** Calls task(context, i) once for each i in 0 .. n - 1, on any thread, in any order, at the same
   * time or one after the other, and returns when all have returned. Tasks neither wait for each
   * other nor fail. It is called from inside calls of Headlane, a few times a layer. */
  void (*parallel_for)(void* user, int32_t n, void (*task)(void* context, int32_t i),
                       void* context);
} headlane_thread_pool;

/** The kinds of messages. */
typedef enum headlane_log_level {
  HEADLANE_LOG_INFO = 0,   /**< what was chosen, and why */
  HEADLANE_LOG_WARNING = 1 /**< it works, though not as asked, or not as well as it could */
} headlane_log_level;

/** A function that Headlane calls with a message, on any thread that is inside a call. It must not
 * call Headlane.
 * @param user the pointer that was given with the function
 * @param level what kind of message
 * @param message a sentence, valid during the call */
typedef void (*headlane_log)(void* user, headlane_log_level level, const char* message);

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_HOST_H_ */
