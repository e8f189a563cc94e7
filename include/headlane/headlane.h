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
 *     headlane_session_embed(session, &texts, NULL, vectors, 0);
 *
 * Conventions of every function here:
 *  - A function of a handle is called headlane_HANDLE_VERB, and the options of a verb
 *    headlane_VERB_options. A handle that a call makes is the caller's, who ends it by
 *    headlane_HANDLE_destroy. Choices that files name too, such as a precision, are strings.
 *  - A function returns a status; results come through the pointers at the end of the list. After
 *    any status except HEADLANE_OK, headlane_error() is a sentence that names what is wrong and
 *    where, and no output has been written (except how many there are, where a function says so,
 *    and outputs of a call that was cancelled).
 *  - Option and result structs begin with struct_size, which the caller sets to the sizeof of the
 *    struct that it was compiled with (HEADLANE_INIT does), so that structs can grow. A null
 *    options pointer means defaults; so does a field that is zero.
 *  - Headlane prints nothing, lets no exception out, never ends the process, and changes no global
 *    state of the caller (floating-point mode, locale, signals).
 *  - Shapes stand in brackets: [n_seqs + 1]. What a pointer points to stays the caller's: it is
 * read or written until the call returns, and not kept, unless a parameter says so.
 * A null pointer where none may be is INVALID_ARGUMENT too; calls that create or run something may
 * end with OUT_OF_MEMORY or INTERNAL.
 *  - Sizes count elements unless the name ends in _bytes. Text is UTF-8; invalid bytes are allowed.
 *
 * Threads: a model may be used by any number of threads and sessions at once; a session may be used
 * by one thread at a time, which may be another one each time. Each session has threads of its own,
 * which sleep between runs, or uses the caller's (headlane_thread_pool). A forked child may use the
 * models and sessions of its parent (these with the calling thread alone) and make its own; but if
 * the parent forks while another thread is inside a call, the child may use neither.
 */
#ifndef HEADLANE_HEADLANE_H_
#define HEADLANE_HEADLANE_H_

#include <headlane/attention.h>
#include <headlane/batch.h>
#include <headlane/chat.h>
#include <headlane/check.h>
#include <headlane/classify.h>
#include <headlane/constraint.h>
#include <headlane/convert.h>
#include <headlane/embed.h>
#include <headlane/generate.h>
#include <headlane/host.h>
#include <headlane/init.h>
#include <headlane/layer.h>
#include <headlane/model.h>
#include <headlane/pack.h>
#include <headlane/profile.h>
#include <headlane/sequences.h>
#include <headlane/session.h>
#include <headlane/status.h>
#include <headlane/text.h>

#endif /* HEADLANE_HEADLANE_H_ */
