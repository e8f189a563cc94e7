/** @file
 * Text to token ids, and back.
 */
#ifndef HEADLANE_TEXT_H_
#define HEADLANE_TEXT_H_

#include <headlane/model.h>
#include <headlane/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Token ids of text[0 .. text_bytes), special tokens included, truncated to max_len tokens
 * (0: the model's max_seq_len). Writes at most `capacity` ids to `ids` [capacity] and the number of
 * ids that the text has to *n_ids, after truncation. Asking with capacity 0 (ids may be null) gives
 * the number alone. Errors: INVALID_ARGUMENT; TOO_LARGE if 0 < capacity < *n_ids (*n_ids is written
 * all the same); UNSUPPORTED if the file has no tokenizer. */
HEADLANE_API headlane_status headlane_tokenize(const headlane_model* model, const char* text,
                                               size_t text_bytes, int64_t max_len, int32_t* ids,
                                               int64_t capacity, int64_t* n_ids);

typedef struct headlane_tokenize_options {
  size_t struct_size;
  int64_t max_len; /**< 0: the model's max_seq_len */
  /** Languages by the names that the model's community has for them: "zh", "zho_Hans". Null or "":
   * not said. NLLB and M2M-100 mark a source with its own language (if it is not said, the one that
   * the model's files name) and begin the target with the other; multilingual OPUS-MT models begin
   * the source with the token of target_language, unless the text does so itself: ">>fra<< ...". */
  const char* source_language;
  const char* target_language;
  /** 1: the text is an answer, not a source: in the pieces of targets, without special tokens, be
   * they languages' or an end's. */
  int32_t as_target;
} headlane_tokenize_options;

#define HEADLANE_TOKENIZE_OPTIONS_INIT \
  { sizeof(headlane_tokenize_options), 0, 0, 0, 0 }

/** headlane_tokenize with languages; `options` may be null. Further errors: INVALID_ARGUMENT for a
 * language that is none of the model's, UNSUPPORTED for one that it has no token for. */
HEADLANE_API headlane_status headlane_tokenize_with(const headlane_model* model, const char* text,
                                                    size_t text_bytes,
                                                    const headlane_tokenize_options* options,
                                                    int32_t* ids, int64_t capacity, int64_t* n_ids);

/** The text of ids [n_ids], of targets where these have a vocabulary of their own; special tokens
 * are left out. Writes at most `capacity` bytes, not null-terminated, to `text` and the number that
 * it has to *n_bytes. Asking with capacity 0 (text may be null) gives the number alone. Errors as
 * of headlane_tokenize; TOO_LARGE writes *n_bytes too. */
HEADLANE_API headlane_status headlane_detokenize(const headlane_model* model, const int32_t* ids,
                                                 int64_t n_ids, char* text, int64_t capacity,
                                                 int64_t* n_bytes);

/** The spelling of one token, not null-terminated: *text [*text_bytes] lives as long as the model.
 */
HEADLANE_API headlane_status headlane_token_text(const headlane_model* model, int32_t id,
                                                 const char** text, size_t* text_bytes);

/** The same of targets where these have a vocabulary of their own. */
HEADLANE_API headlane_status headlane_target_token_text(const headlane_model* model, int32_t id,
                                                        const char** text, size_t* text_bytes);

typedef struct headlane_language_facts {
  size_t struct_size;
  const char*
      name; /**< [name_bytes], not null-terminated: "zh", "zho_Hans"; as long as the model */
  size_t name_bytes;
  int32_t id;            /**< of its token */
  int32_t begins_target; /**< 1: a target in it begins with that token: give it as first_id; 0: the
                          * source does, which headlane_tokenize_with sees to */
} headlane_language_facts;

/** The i-th language, 0 <= i < n_languages. */
HEADLANE_API headlane_status headlane_model_get_language(const headlane_model* model, int64_t i,
                                                         headlane_language_facts* out);

/** The id of the token that is spelled text[0 .. text_bytes): "</s>", "__zh__", "zho_Hans". Errors:
 * INVALID_ARGUMENT if there is none; UNSUPPORTED if the file has no tokenizer. */
HEADLANE_API headlane_status headlane_token_id(const headlane_model* model, const char* text,
                                               size_t text_bytes, int32_t* id);

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_TEXT_H_ */
