/** @file
 * Sessions: the working memory of one stream of calls, and text to vectors.
 */
#ifndef HEADLANE_SESSION_H_
#define HEADLANE_SESSION_H_

#include <headlane/batch.h>
#include <headlane/model.h>
#include <headlane/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct headlane_session headlane_session;

typedef struct headlane_session_options {
  size_t struct_size;
  int64_t max_tokens; /**< tokens of a batch, all sequences together; 0: 4096, or max_len if that is
                         more */
  int64_t max_seqs;   /**< sequences of a batch; 0: max_tokens */
  int64_t max_len;   /**< tokens of one sequence; 0: max_positions, or max_tokens if that is less */
  int32_t n_threads; /**< 0: one for each CPU that this process may run on */
  void* memory; /**< the caller's block of memory_bytes, 64-byte aligned, which the session uses */
  size_t memory_bytes;     /**< until it is destroyed; null: the session allocates its own */
  int32_t cross_attention; /**< 1: keys and values come from rows of their own, not from x; for a
                            * model of one layer on activations; a decoder's always do */
  int64_t max_kv_tokens;   /**< with cross_attention: keys of a batch, all sequences together; 0:
                            * max_tokens */
  const char* precision; /**< as in headlane_model_options; null: the model's. The first session of
                          * a precision packs the weights for it, which the model then keeps */
} headlane_session_options;

#define HEADLANE_SESSION_OPTIONS_INIT \
  { sizeof(headlane_session_options), 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/** The exact size of the block in which a session with these options works: all activations and
 * scratch. It grows linearly with max_tokens. (The handle itself, a list of passes, takes some KB
 * more.) */
HEADLANE_API headlane_status headlane_session_bytes(const headlane_model* model,
                                                    const headlane_session_options* options,
                                                    size_t* out);

/** Plans the passes and takes the memory; running allocates nothing. The caller owns *out, ends it
 * by headlane_session_destroy, and keeps `model` open until then. */
HEADLANE_API headlane_status headlane_session_create(headlane_model* model,
                                                     const headlane_session_options* options,
                                                     headlane_session** out);

/** Null is allowed. */
HEADLANE_API void headlane_session_destroy(headlane_session* session);

/** Runs a model that takes token ids. The result for a sequence has the same bits in any batch, in
 * any order, for any number of threads. Errors: INVALID_ARGUMENT (ids, offsets), TOO_LARGE,
 * UNSUPPORTED (pooled wanted of a model without pooling); nothing is written then. */
HEADLANE_API headlane_status headlane_encode(headlane_session* session, const headlane_batch* batch,
                                             const headlane_outputs* outputs);

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_SESSION_H_ */
