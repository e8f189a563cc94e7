/** @file
 * Many texts to vectors, in one call.
 */
#ifndef HEADLANE_EMBED_H_
#define HEADLANE_EMBED_H_

#include <headlane/init.h>
#include <headlane/session.h>
#include <headlane/status.h>
#include <headlane/text.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Texts end to end, in the layout of strings that Apache Arrow has (of a Utf8 array offsets_32, of
 * a LargeUtf8 array offsets_64). A bitmap of nulls is not read: a null is an empty text. */
typedef struct headlane_texts {
  size_t struct_size; /**< sizeof this struct */
  int64_t n_texts;    /**< how many; 0: nothing else is read */
  const char* data;   /**< [data_bytes], UTF-8 of any content; null if all texts are empty */
  int64_t data_bytes; /**< of data, at least the last offset */
  /** [n_texts + 1], the first at least 0, never falling: text i is the bytes of data from its
   * offset up to the next one. Either these are set or offsets_64, and the others are null. */
  const int32_t* offsets_32;
  const int64_t* offsets_64; /**< likewise */
} headlane_texts;

/** How far a headlane_session_embed is. */
typedef struct headlane_embed_progress {
  size_t struct_size; /**< sizeof the library's struct, which may be more than the caller's */
  int64_t n_texts;    /**< whose vectors are written */
  int64_t n_tokens;   /**< of these texts together, special tokens and prompts counted */
} headlane_embed_progress;

/** Is told after each batch how far the call is, by the thread that called. It may call Headlane,
 * except that of this session's functions it may call only headlane_session_set_cancelled. It must
 * return: no longjmp, no exception.
 * @param user as it was given
 * @param progress valid until it returns
 * @return 0: go on; else the call ends with CANCELLED, unless all is done */
typedef int32_t (*headlane_on_progress)(void* user, const headlane_embed_progress* progress);

/** How texts are turned into vectors. */
typedef struct headlane_embed_options {
  size_t struct_size; /**< sizeof this struct */
  /** Null: defaults. If its prompt is null, the model's default prompt (headlane_model_facts) is
   * used; "" asks for none. Vectors are those that sentence-transformers computes. */
  const headlane_tokenize_options* tokenize;
  headlane_on_progress on_progress; /**< null: none */
  void* user;                       /**< handed to on_progress */
  /** The second texts of pairs, as many as there are texts, which are then the first ones: a vector
   * is that of both as one sequence, as headlane_model_tokenize_pair makes it. Null: the texts are
   * no pairs. */
  const headlane_texts* second;
  /** The name of the model's prompt that is put before each text; "query" and "document" are what
   * encode_query and encode_document of sentence-transformers take. Null: the prompt that tokenize
   * says, else the model's default; tokenize must say none if this is set. */
  const char* prompt_name;
  /** Only so many first columns of each vector are written, which is for models that were trained
   * for it (Matryoshka); they are those of the whole vector, not divided by their own length. 0:
   * the model's d_embedding; more than d_vector: all. */
  int64_t truncate_dim;
  /** How vectors are made, in place of the model's own pooling: a name that headlane_model_facts
   * has for one; null: that. */
  const char* pooling;
} headlane_embed_options;

/** Texts to vectors: tokenises them on the session's threads, and runs them in batches as large as
 * the session's, texts of about the same length together. The vector of a text has the bits that
 * headlane_model_tokenize and headlane_session_encode give for this text alone, whatever is beside
 * it, for any session and any number of threads.
 *
 * Unlike headlane_session_encode it allocates, and frees it all before it returns: the token ids of
 * all texts (4 bytes a token, 8 a token of pairs, for a while up to three times that as the lists
 * grow), 24 bytes a text, and the ids and vectors of one batch. Call it with some thousand texts at
 * a time to bound that.
 * @param session of a model with a tokenizer and with pooling
 * @param texts any number
 * @param options null: defaults
 * @param[out] vectors row i, the vector of text i, is the d_embedding elements
 * (headlane_model_facts), or as many as truncate_dim says, from vectors + i * stride on; what lies
 * between rows is not touched. Null if there are no texts.
 * @param stride elements from one row to the next, at least those that are written; 0: d_model,
 * which must be as many
 * @return INVALID_ARGUMENT: offsets that fall or lie beyond data, which are found before any text
 * is read; stride; a max_len that has no room for the special tokens; TOO_LARGE: a text has more
 * tokens than a sequence of the session may have; UNSUPPORTED: the model has no tokenizer, or no
 * pooling. Nothing is written then. After CANCELLED (see headlane_session_set_cancelled), and after
 * IO or BAD_FILE (the model's file cannot be read any more), each row is either whole or as it was:
 * those of long texts are written first. */
HEADLANE_API headlane_status headlane_session_embed(headlane_session* session,
                                                    const headlane_texts* texts,
                                                    const headlane_embed_options* options,
                                                    float* vectors, int64_t stride);

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_EMBED_H_ */
