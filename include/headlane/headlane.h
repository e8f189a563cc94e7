/** @file
 * All of the C API.
 *
 * Headlane: transformer layers on CPUs, for programs that embed them. C99.
 *
 * A model is opened once and shared; a session holds the working memory of one stream of calls.
 *
 *     headlane_model* model;
 *     headlane_session* session;
 *     headlane_model_open("minilm.headlane", NULL, &model);
 *     headlane_session_create(model, NULL, &session);
 *     headlane_encode(session, &batch, &outputs);
 *
 * Conventions of every function here:
 *  - Returns a status; results come through the pointers at the end of the list. After anything but
 *    HEADLANE_OK, headlane_error() is a sentence that names what is wrong and where, and no output
 *    has been written (but for how many there are, where a function says so, and by a call that was
 *    cancelled).
 *  - Option and result structs begin with struct_size, which the caller sets to the sizeof of the
 *    struct that it was compiled with (the INIT macros do), so that structs can grow. A null
 *    options pointer means defaults; so does a field that is zero.
 *  - Nothing is printed, no exception leaves, the process is never ended, no global state of the
 *    caller's (floating-point mode, locale, signals) is changed.
 *  - Shapes stand in brackets: [n_seqs + 1]. What a pointer points to stays the caller's: it is
 * read or written until the call returns, and not kept, unless a parameter says so.
 * INVALID_ARGUMENT is also a null where none may be; calls that create or run something may end
 * with OUT_OF_MEMORY or INTERNAL.
 *  - Sizes count elements unless the name ends in _bytes. Text is UTF-8; invalid bytes are allowed.
 *
 * Threads: a model may be used by any number of threads and sessions at once; a session by one at a
 * time, whichever it is. Each session has threads of its own, which sleep between runs, or uses the
 * caller's (headlane_thread_pool). A forked
 * child may use the models and sessions of its parent (these with the calling thread alone) and
 * make its own; fork while another thread is inside a call, and the child may use neither.
 */
#ifndef HEADLANE_HEADLANE_H_
#define HEADLANE_HEADLANE_H_

#include <headlane/attention.h>
#include <headlane/batch.h>
#include <headlane/check.h>
#include <headlane/convert.h>
#include <headlane/generate.h>
#include <headlane/host.h>
#include <headlane/layer.h>
#include <headlane/model.h>
#include <headlane/profile.h>
#include <headlane/session.h>
#include <headlane/status.h>
#include <headlane/text.h>

#endif /* HEADLANE_HEADLANE_H_ */
