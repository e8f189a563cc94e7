/** @file
 * Constraints: answers of a language model that obey a JSON schema or a regular expression.
 *
 *     options.schema = "{\"type\": \"object\", ...}";
 *     headlane_constraint_create(model, &options, &constraint);
 *     sequence_options.constraint = constraint;
 *
 * A constraint lets no token come from which its texts cannot be reached any more, and ends exactly
 * where a text is whole. An answer that ends for want of room (max_new_tokens, max_len) is only the
 * beginning of one, and has no end, even if the model's makers force one there. What an answer
 * begins with (a prefix, or the token that is forced as the first) is no part of the text.
 */
#ifndef HEADLANE_CONSTRAINT_H_
#define HEADLANE_CONSTRAINT_H_

#include <headlane/init.h>
#include <headlane/model.h>
#include <headlane/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** An automaton over a model's tokens. Any number of answers, of any threads, may obey it at once.
 * It keeps sets of its states and masks as they come up, at most some 100 MiB. */
typedef struct headlane_constraint headlane_constraint;

/** What texts must be like: one of these. docs/conversations.md says what they may have. */
typedef struct headlane_constraint_options {
  size_t struct_size;  /**< sizeof this struct */
  const char* schema;  /**< [schema_bytes], a JSON schema; null: none */
  size_t schema_bytes; /**< of the schema */
  const char*
      regex; /**< [regex_bytes], a regular expression that the whole text fits; null: none */
  size_t regex_bytes; /**< of the regex */
} headlane_constraint_options;

/** Makes a constraint.
 * @param model with a decoder, and a tokenizer whose tokens have bytes of their own; it may be
 * destroyed before the constraint
 * @param options schema or regex; nothing in it is looked at after the call
 * @param[out] out the caller's, who ends it by headlane_constraint_destroy
 * @return INVALID_ARGUMENT: it is no schema or regular expression, or has no text; UNSUPPORTED: a
 * keyword or a construct that Headlane does not have, by its name and place, or the model has no
 * such tokenizer; TOO_LARGE: the automaton would be */
HEADLANE_API headlane_status headlane_constraint_create(const headlane_model* model,
                                                        const headlane_constraint_options* options,
                                                        headlane_constraint** out);

/** Ends a constraint. Sequences that were added with it go on with it.
 * @param constraint null: nothing happens */
HEADLANE_API void headlane_constraint_destroy(headlane_constraint* constraint);

/** Which tokens may come, for programs that choose tokens themselves.
 * @param constraint of the model
 * @param ids [n_ids], tokens of the text so far; null if n_ids is 0
 * @param n_ids how many
 * @param[out] mask [(decoder_vocab_size + 31) / 32], as of headlane_token_mask; ends are not in it
 * @param[out] may_end 1: the text is whole, so that an end may come; null: not wanted
 * @return INVALID_ARGUMENT: the tokens are not the beginning of a text; TOO_LARGE: this takes too
 * much work or memory */
HEADLANE_API headlane_status headlane_constraint_get_mask(const headlane_constraint* constraint,
                                                          const int32_t* ids, int64_t n_ids,
                                                          uint32_t* mask, int32_t* may_end);

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_CONSTRAINT_H_ */
