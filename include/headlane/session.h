/** @file
 * Sessions: the working memory of one stream of calls, and text to vectors.
 */
#ifndef HEADLANE_SESSION_H_
#define HEADLANE_SESSION_H_

#include <headlane/batch.h>
#include <headlane/host.h>
#include <headlane/init.h>
#include <headlane/model.h>
#include <headlane/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What one stream of calls works in: a plan, its memory and its threads. One thread at a time may
 * use it. */
typedef struct headlane_session headlane_session;

/** The largest batch that a session is for, and what it works with. */
typedef struct headlane_session_options {
  size_t struct_size; /**< sizeof this struct */
  /** Tokens of a batch, all sequences together; 0: 4096, or max_len if that is more. */
  int64_t max_tokens;
  int64_t max_seqs; /**< of a batch; 0: max_tokens */
  int64_t max_len;  /**< tokens of one sequence; 0: max_positions, or max_tokens if that is less */
  /** 0: one for each CPU that this process may run on: those of its affinity, or as many as the CPU
   * quota of its control group allows if that is less. */
  int32_t n_threads;
  /** The caller's block of memory_bytes, 64-byte aligned, which the session uses until it is
   * destroyed; null: the session allocates its own. */
  void* memory;
  size_t memory_bytes; /**< of memory, at least what headlane_session_bytes says */
  /** 1: keys and values come from rows of their own, not from x. This is for a model of one layer
   * on activations; a decoder's sessions always have it. */
  int32_t cross_attention;
  int64_t max_kv_tokens; /**< with cross_attention: keys of a batch; 0: max_tokens */
  /** As in headlane_model_options; null: the model's. The first session of a precision packs the
   * weights for it, which the model then keeps. */
  const char* precision;
  /** To run on, n_threads tasks at once, or the pool's n_threads if that is 0; null: threads of the
   * session's own. */
  const headlane_thread_pool* pool;
} headlane_session_options;

/** The exact size of the block in which a session with these options works: all activations and
 * scratch. It grows linearly with max_tokens. (The handle itself, a list of passes, takes some KB
 * more.)
 * @param model that the session would be of
 * @param options null: defaults; its memory is not looked at
 * @param[out] out bytes
 * @return INVALID_ARGUMENT, UNSUPPORTED, TOO_LARGE, OUT_OF_MEMORY */
HEADLANE_API headlane_status headlane_session_bytes(const headlane_model* model,
                                                    const headlane_session_options* options,
                                                    size_t* out);

/** Plans the passes and takes the memory and the threads; running allocates nothing.
 * @param model stays open until the session is destroyed
 * @param options null: defaults
 * @param[out] out the caller's, who ends it by headlane_session_destroy
 * @return INVALID_ARGUMENT: an invalid limit, or memory that is too small or not aligned;
 * UNSUPPORTED, TOO_LARGE, OUT_OF_MEMORY */
HEADLANE_API headlane_status headlane_session_create(headlane_model* model,
                                                     const headlane_session_options* options,
                                                     headlane_session** out);

/** Ends a session, and its threads. The caller's block, if it has one, may go afterwards.
 * @param session null: nothing happens */
HEADLANE_API void headlane_session_destroy(headlane_session* session);

/** Ends the call that is under way on a session, and those to come until it is set to 0 again: they
 * return HEADLANE_CANCELLED within the time of a task of a pass, some milliseconds at most. What
 * their outputs then hold is unspecified, except where a function says more
 * (headlane_session_embed); the session is as usable as before.
 * @param session that may be inside a call of another thread
 * @param cancelled 1 or 0
 * @return INVALID_ARGUMENT */
HEADLANE_API headlane_status headlane_session_set_cancelled(headlane_session* session,
                                                            int32_t cancelled);

/** Runs a model that takes token ids. The result for a sequence has the same bits in any batch, in
 * any order, for any number of threads.
 * @param session of a model that takes token ids
 * @param batch the sequences
 * @param outputs where to write what is wanted
 * @return INVALID_ARGUMENT: ids or offsets; TOO_LARGE; UNSUPPORTED: pooled is wanted of a model
 * without pooling. Nothing is written then. */
HEADLANE_API headlane_status headlane_session_encode(headlane_session* session,
                                                     const headlane_batch* batch,
                                                     const headlane_outputs* outputs);

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_SESSION_H_ */
