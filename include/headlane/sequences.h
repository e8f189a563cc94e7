/** @file
 * Many sequences of a language model at once.
 *
 * Sequences join and leave at any time, from any thread; one thread takes steps. In a step, each
 * sequence that runs gets one token, and prompts are computed in chunks, so that a long one does
 * not hold up the others. Sequences that begin alike share what the cache has of their beginning.
 *
 *     headlane_sequences_create(model, NULL, &sequences);
 *     headlane_sequences_add(sequences, ids, n_ids, NULL, &sequence);
 *     do {
 *       headlane_sequences_step(sequences, &n_unfinished);
 *     } while (n_unfinished > 0);
 *     headlane_sequences_get_ids(sequences, sequence, new_ids, capacity, &n_new_ids);
 *
 * A sequence may be told to guess tokens (speculate), of which a step computes several at once.
 *
 * The tokens and numbers of a sequence have the same bits whatever other sequences there are,
 * however its prompt was cut into chunks, whatever it shares, and for any number of threads.
 */
#ifndef HEADLANE_SEQUENCES_H_
#define HEADLANE_SEQUENCES_H_

#include <headlane/generate.h>
#include <headlane/host.h>
#include <headlane/init.h>
#include <headlane/model.h>
#include <headlane/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Sequences, and the memory and threads that they are computed with. Any thread may use it at any
 * time, also while another one is inside headlane_sequences_step; that function alone is for one
 * thread at a time, and so is headlane_sequences_destroy, with which no other call may be under
 * way. */
typedef struct headlane_sequences headlane_sequences;

/** How large sequences may be together, and their memory and threads. */
typedef struct headlane_sequences_options {
  size_t struct_size;    /**< sizeof this struct */
  int64_t max_sequences; /**< in the cache at once, the rest waits; 0: 32 */
  int64_t max_tokens;    /**< that the cache has room for, of all sequences together; shared ones
                          * count once; 0: 8192. Layers with a window have room for max_sequences *
                          * (window + max_step_tokens) + max_step_tokens, if that is less */
  int64_t max_len; /**< tokens of a sequence, its prompt included; 0: the model's max_positions,
                    * or max_tokens + 1 if that is less */
  /** Tokens that one step computes, of all sequences together, max_sequences or more. Fewer mean
   * shorter steps while prompts are computed, more mean prompts are computed sooner. 0: 512, or
   * max_sequences if that is more. */
  int64_t max_step_tokens;
  int64_t max_candidates; /**< as in headlane_generator_options; n_top is at most that, too */
  int32_t all_logits;    /**< 1: there is room for all logits of each sequence, which biases, masks,
                          * repetition_penalty and sampling without top_k need */
  int32_t hidden;        /**< 1: there is room for hidden states */
  int32_t n_threads;     /**< as in headlane_session_options */
  void* memory;          /**< as in headlane_session_options */
  size_t memory_bytes;   /**< of memory */
  const char* precision; /**< as in headlane_session_options */
  const headlane_thread_pool* pool; /**< as in headlane_session_options */
  /** In what keys and values are kept: "f32", "bf16", or "int8", a byte each and a scale for each
   * token and head. Null: what attention multiplies by, bf16 in every precision except for f32. */
  const char* cache;
  /** A smaller model of the same tokens, which guesses for sequences that ask for guesses
   * (speculate of headlane_sequence_options); null: these look in their own tokens. It has a cache
   * of its own in the block, max_tokens and max_len as here, stays open until the sequences are
   * destroyed, and may be used by others meanwhile. */
  const headlane_model* draft;
} headlane_sequences_options;

/** The exact size of the block in which sequences with these options are computed, the cache
 * included. What belongs to one sequence alone (its tokens, text, log-probabilities) is taken when
 * it is added.
 * @param model with a decoder alone
 * @param options null: defaults; its memory is not looked at
 * @param[out] out bytes
 * @return as headlane_sequences_create */
HEADLANE_API headlane_status headlane_sequences_bytes(const headlane_model* model,
                                                      const headlane_sequences_options* options,
                                                      size_t* out);

/** Takes memory and threads.
 * @param model with a decoder alone; stays open until the sequences are destroyed
 * @param options null: defaults
 * @param[out] out the caller's, who ends it by headlane_sequences_destroy
 * @return UNSUPPORTED: the model, or draft, is no language model, or gemm is "onednn";
 * INVALID_ARGUMENT, also if draft has other numbers of tokens; OUT_OF_MEMORY */
HEADLANE_API headlane_status headlane_sequences_create(headlane_model* model,
                                                       const headlane_sequences_options* options,
                                                       headlane_sequences** out);

/** Ends all sequences, and the threads. The caller's block, if there is one, may go afterwards.
 * @param sequences null: nothing happens */
HEADLANE_API void headlane_sequences_destroy(headlane_sequences* sequences);

/** Does for steps what headlane_session_set_cancelled does for a session. Sequences stay as they
 * were before a cancelled step.
 * @param sequences that may be inside a call of another thread
 * @param cancelled 1 or 0
 * @return INVALID_ARGUMENT */
HEADLANE_API headlane_status headlane_sequences_set_cancelled(headlane_sequences* sequences,
                                                              int32_t cancelled);

/** A callback is told this: of a token that was chosen, or that its sequence ended without another.
 * The last one that is told of a sequence has a finish_reason. */
typedef struct headlane_sequence_token {
  size_t struct_size;     /**< sizeof the library's struct, which may be more than the caller's */
  int64_t sequence;       /**< its number */
  int64_t n_new;          /**< tokens that have come after the prompt, with this one */
  int32_t id;             /**< the token; -1: none */
  float logprob;          /**< of the token; NaN if it was not asked for */
  const int32_t* top_ids; /**< [n_top], the best tokens at this place; -1: there are no more */
  const float* top_logprobs; /**< [n_top], theirs */
  int64_t n_top;             /**< as it was asked for, 0 where logprob is NaN */
  /** [text_bytes], what can be shown since the last token: whole characters, and nothing that may
   * become a stop. Without a tokenizer there is none. Not null-terminated. */
  const char* text;
  size_t text_bytes;         /**< of the text */
  const char* finish_reason; /**< as in headlane_sequence_facts; null: the sequence goes on */
} headlane_sequence_token;

/** Called on the thread that called headlane_sequences_step. It may call all functions of the
 * sequences except for headlane_sequences_step and headlane_sequences_destroy. It must return: no
 * longjmp, no exception.
 * @param user of the options
 * @param token valid until the callback returns
 * @return HEADLANE_STOP_SOURCE ends this sequence, HEADLANE_STOP_ALL all of them, whose callbacks
 * are not told of it: of the tokens that guesses brought in this step, they keep those that
 * callbacks were told of before. Any other number than HEADLANE_GO_ON is like the latter */
typedef headlane_next (*headlane_on_sequence_token)(void* user,
                                                    const headlane_sequence_token* token);

/** A max_new_tokens that means none: the prompt is computed, and the sequence ends. */
#define HEADLANE_NO_NEW_TOKENS (-1)

/** How a sequence goes on. A field that is zero has its default. */
typedef struct headlane_sequence_options {
  size_t struct_size; /**< sizeof this struct */
  /** Tokens after the prompt, the end included; 0: the model's; HEADLANE_NO_NEW_TOKENS. Where
   * max_len leaves room for fewer, fewer come. */
  int64_t max_new_tokens;
  int64_t min_new_tokens;    /**< the sequence does not end by an end id before it has this many */
  int32_t sample;            /**< 1: tokens are drawn: logits over temperature; of these the top_k
                              * largest; of these the fewest that have a probability of top_p together;
                              * of these the ones with min_p of the likeliest one's. 0: the likeliest
                              * token each time */
  float temperature;         /**< 0: 1 */
  int64_t top_k;             /**< 0: all */
  float top_p;               /**< 0: 1 */
  float min_p;               /**< from 0 to 1 */
  uint64_t seed;             /**< of the random numbers, which depend on it, key and n_new */
  double repetition_penalty; /**< as in headlane_generate_options; 0: the model's; 1: none */
  const int32_t* end_ids;    /**< [n_end_ids], tokens that end it; null: the model's */
  int64_t n_end_ids;         /**< how many */
  const char* const* stops;  /**< [n_stops], null-terminated texts that it ends before, each at
                              * most 1,024 bytes; null: none */
  int64_t n_stops;           /**< how many, at most 256 */
  const int32_t* bias_ids;   /**< [n_bias], tokens whose logits are changed; null: none */
  const float* biases;       /**< [n_bias], what is added; -infinity: the token never comes */
  int64_t n_bias;            /**< how many */
  int32_t logprobs;          /**< 1: log-probabilities of the tokens that come are kept */
  int32_t prompt_logprobs;   /**< 1: those of the prompt's tokens too; then nothing is shared */
  int64_t n_top;             /**< with log-probabilities: how many best tokens at each place */
  int32_t hidden;            /**< 1: the last hidden state of its last token is kept */
  int32_t keep; /**< 1: once it has ended, it stays in the cache until it is removed, to
                 * be shared, forked and rewound */
  headlane_on_sequence_token on_token; /**< null: none */
  void* user;                          /**< handed to on_token */
  /** Models that choose their rotary positions by how long a sequence is (longrope, dynamic NTK)
   * take for that the tokens that it has room for, which are known before the first one is
   * computed: its prompt and max_new_tokens, or this number where that is more; at most max_len.
   * Sequences share a beginning where that choice is the same, so a kept one whose beginning longer
   * ones are to share needs their room. */
  int64_t room;
  /** Chooses other random numbers of the same seed, so that sequences of one request differ; they
   * are those of headlane_generate_options for a source that has this key. */
  uint64_t key;
  /** The most tokens that are guessed in a step. The step computes them together, and those that
   * come to be chosen are the sequence's: it then gets several tokens in one step, the same as
   * without guesses, to the bit, and the callback is told of each. What was guessed wrong leaves no
   * trace. Fewer are guessed where guesses turn out wrong, and where the step or the cache has no
   * room; none while all logits are needed (biases, masks, repetition_penalty, sampling without
   * top_k of some), and none of sequences with prompt_logprobs or hidden. 0: none are. */
  int64_t speculate;
  /** Says which tokens may come; null: all. It needs all_logits of headlane_sequences_options. It
   * may call all functions of the sequences except for headlane_sequences_step and
   * headlane_sequences_destroy. */
  headlane_mask_tokens mask_tokens;
  void* mask_user; /**< handed to mask_tokens */
  /** What comes after the prompt must be like this, in the place of mask_tokens; null: anything. An
   * end id comes where the text is whole, and nowhere else; without one, the sequence ends where
   * nothing can follow. It needs all_logits. Where options of the sequence leave no token that the
   * constraint lets come (suppressed ids, biases, min_new_tokens), it ends with "nan"; where the
   * constraint takes too much work, or the text can go on by end ids alone, with "constraint" and a
   * status. */
  const headlane_constraint* constraint;
} headlane_sequence_options;

/** Adds a sequence. It joins in the next step, or once there is room in the cache. If it begins as
 * one does that is in the cache, the part that both have is not computed again, and takes no more
 * room; if that part is being computed, it waits for it.
 * @param sequences of the model
 * @param ids [n_ids], the prompt; one or more
 * @param n_ids how many
 * @param options null: defaults; nothing in it is looked at after the call but callbacks and what
 * they are handed
 * @param[out] sequence its number, from 1 on; none is given twice
 * @return INVALID_ARGUMENT: ids, options; TOO_LARGE: the prompt is longer than max_len or
 * max_tokens, or more is wanted than there is room for; UNSUPPORTED: stops without a tokenizer */
HEADLANE_API headlane_status headlane_sequences_add(headlane_sequences* sequences,
                                                    const int32_t* ids, int64_t n_ids,
                                                    const headlane_sequence_options* options,
                                                    int64_t* sequence);

/** Adds a sequence whose prompt is a text, as headlane_model_tokenize makes ids of it, but never
 * cut.
 * @param sequences of a model with a tokenizer
 * @param text [text_bytes], UTF-8 of any content
 * @param text_bytes of the text
 * @param options as of headlane_sequences_add
 * @param[out] sequence its number
 * @return as headlane_sequences_add; UNSUPPORTED: the file has no tokenizer */
HEADLANE_API headlane_status headlane_sequences_add_text(headlane_sequences* sequences,
                                                         const char* text, size_t text_bytes,
                                                         const headlane_sequence_options* options,
                                                         int64_t* sequence);

/** Adds a sequence whose prompt is the beginning of another one, and more tokens behind it. They
 * share what of it is in the cache.
 * @param sequences that have it
 * @param from the number of the other one, which may have ended
 * @param n_tokens of its prompt and of what came after it
 * @param ids [n_ids], what comes behind them; null if n_ids is 0
 * @param n_ids how many
 * @param options as of headlane_sequences_add
 * @param[out] sequence its number
 * @return as headlane_sequences_add; INVALID_ARGUMENT: there is no such sequence, or it has fewer
 * tokens */
HEADLANE_API headlane_status headlane_sequences_fork(headlane_sequences* sequences, int64_t from,
                                                     int64_t n_tokens, const int32_t* ids,
                                                     int64_t n_ids,
                                                     const headlane_sequence_options* options,
                                                     int64_t* sequence);

/** Makes a sequence shorter; it goes on from there, also if it had ended. What was told of later
 * tokens is not taken back. It can go back to any of its tokens, except where layers with a window
 * have given up what lies before (least_tokens of headlane_sequence_facts).
 * @param sequences that have it
 * @param sequence that runs or waits, or is kept
 * @param n_tokens of its prompt and of what came after it, 1 or more
 * @return INVALID_ARGUMENT: there is no such sequence, it has fewer tokens, n_tokens is below
 * least_tokens, or it has left the cache */
HEADLANE_API headlane_status headlane_sequences_rewind(headlane_sequences* sequences,
                                                       int64_t sequence, int64_t n_tokens);

/** Ends a sequence, if it has not ended, and forgets it. No callback is told, except that one which
 * another thread is inside of, or about to enter, may still be.
 * @param sequences that have it
 * @param sequence its number
 * @return INVALID_ARGUMENT: there is no such sequence */
HEADLANE_API headlane_status headlane_sequences_remove(headlane_sequences* sequences,
                                                       int64_t sequence);

/** Lets those that wait join, computes some tokens of each sequence that runs, and calls the
 * callbacks.
 * @param sequences no other step of which is under way
 * @param[out] n_unfinished how many sequences have not ended; null: not wanted
 * @return CANCELLED; IO, BAD_FILE: the model's file cannot be read any more; INVALID_ARGUMENT:
 * another step is under way. Sequences are then as before, and the next step may do it. What is
 * wrong with one sequence alone is no error of the step: its headlane_sequence_facts say it */
HEADLANE_API headlane_status headlane_sequences_step(headlane_sequences* sequences,
                                                     int64_t* n_unfinished);

/** A sequence is in one of these states. */
typedef enum headlane_sequence_state {
  HEADLANE_SEQUENCE_WAITING = 0, /**< for room in the cache, or for what it shares */
  HEADLANE_SEQUENCE_PROMPT = 1,  /**< its prompt is being computed */
  HEADLANE_SEQUENCE_RUNNING = 2, /**< tokens come */
  HEADLANE_SEQUENCE_ENDED = 3    /**< none comes any more */
} headlane_sequence_state;

/** How far a sequence is. */
typedef struct headlane_sequence_facts {
  size_t struct_size;            /**< sizeof this struct */
  headlane_sequence_state state; /**< now */
  headlane_status status;        /**< HEADLANE_OK, or why it ended by an error */
  const char* message;           /**< of the error, a sentence, else ""; valid until the sequence is
                                  * rewound or removed */
  /** "stop": by an end id, a stop, or a mask that let no token come; "length": no more tokens were
   * wanted, or max_len has no room; "cache_full": max_tokens has none; "callback"; "nan": logits
   * were no numbers, or left nothing to choose; "constraint": an error of that, as status says.
   * Null: it has not ended. It lives as long as the library. */
  const char* finish_reason;
  int64_t n_prompt;        /**< tokens of the prompt */
  int64_t n_new;           /**< tokens that came after it, the end included */
  int64_t n_computed;      /**< of its tokens, those that went through the layers */
  int64_t n_shared;        /**< of these, those that were in the cache already when it joined */
  int64_t text_bytes;      /**< of the text that can be shown */
  int64_t n_logprobs;      /**< places that have log-probabilities */
  int64_t least_tokens;    /**< the fewest tokens that it can be rewound to now; 0: it cannot */
  int64_t n_guessed;       /**< tokens that were guessed and computed (speculate) */
  int64_t n_guessed_right; /**< of these, those that came to be chosen */
} headlane_sequence_facts;

/** How far a sequence is.
 * @param sequences that have it
 * @param sequence its number
 * @param[out] out filled as far as its struct_size reaches, which must be set
 * @return INVALID_ARGUMENT: there is no such sequence */
HEADLANE_API headlane_status headlane_sequences_get(const headlane_sequences* sequences,
                                                    int64_t sequence, headlane_sequence_facts* out);

/** The tokens that came after the prompt of a sequence, so far.
 * @param sequences that have it
 * @param sequence its number
 * @param[out] ids [capacity]; null if capacity is 0
 * @param capacity how many ids there is room for; 0 asks for the number alone
 * @param[out] n_ids how many there are
 * @return INVALID_ARGUMENT; TOO_LARGE: 0 < capacity < n_ids, which is written all the same */
HEADLANE_API headlane_status headlane_sequences_get_ids(const headlane_sequences* sequences,
                                                        int64_t sequence, int32_t* ids,
                                                        int64_t capacity, int64_t* n_ids);

/** The text that a sequence adds to its prompt, as much of it as can be shown: it never ends within
 * a character, and ends before the first of the stops.
 * @param sequences of a model with a tokenizer
 * @param sequence its number
 * @param[out] text [capacity], UTF-8, not null-terminated; null if capacity is 0
 * @param capacity how many bytes there is room for; 0 asks for the number alone
 * @param[out] n_bytes how many there are
 * @return INVALID_ARGUMENT; UNSUPPORTED: the file has no tokenizer; TOO_LARGE: 0 < capacity <
 * n_bytes, which is written all the same */
HEADLANE_API headlane_status headlane_sequences_get_text(const headlane_sequences* sequences,
                                                         int64_t sequence, char* text,
                                                         int64_t capacity, int64_t* n_bytes);

/** The log-probabilities of a sequence, by place: with prompt_logprobs from its first token on,
 * which has none (NaN), else from the first token after the prompt on. They are the model's own,
 * before temperature, penalty and biases.
 * @param sequences that have it
 * @param sequence that was added with logprobs or prompt_logprobs
 * @param first the first place that is wanted, counted from 0
 * @param n how many places, first + n at most n_logprobs of headlane_sequence_facts
 * @param[out] logprobs [n], of the token at each place; null: not wanted
 * @param[out] top_ids [n, n_top of its options], the best tokens at each place, best first; -1:
 * there are no more. Null: not wanted
 * @param[out] top_logprobs [n, n_top], theirs; null: not wanted
 * @return INVALID_ARGUMENT */
HEADLANE_API headlane_status headlane_sequences_get_logprobs(const headlane_sequences* sequences,
                                                             int64_t sequence, int64_t first,
                                                             int64_t n, float* logprobs,
                                                             int32_t* top_ids, float* top_logprobs);

/** The last hidden state of the last token of a sequence that went through the layers, n_computed
 * of headlane_sequence_facts: the token that came last has not, as a rule.
 * @param sequences that have it
 * @param sequence that was added with hidden, and whose prompt has been computed
 * @param[out] hidden [d_model]
 * @return INVALID_ARGUMENT */
HEADLANE_API headlane_status headlane_sequences_get_hidden(const headlane_sequences* sequences,
                                                           int64_t sequence, float* hidden);

/** Saves what a sequence has in the cache, and its tokens, so that another run of the program need
 * not compute it again. A state fits the same model, in the same precision and format of the cache,
 * on machines with the same order of bytes. What was told of it, and its options, are not saved.
 * @param sequences that have it
 * @param sequence that runs, or is kept; what it has computed so far is saved
 * @param[out] state [capacity]; null if capacity is 0
 * @param capacity how many bytes there is room for; 0 asks for the number alone
 * @param[out] n_bytes how many there are
 * @return INVALID_ARGUMENT: there is no such sequence, or nothing of it is in the cache; TOO_LARGE:
 * 0 < capacity < n_bytes, which is written all the same; UNSUPPORTED: the model's file was made
 * before files had a checksum */
HEADLANE_API headlane_status headlane_sequences_save(const headlane_sequences* sequences,
                                                     int64_t sequence, void* state, size_t capacity,
                                                     size_t* n_bytes);

/** Takes up a saved state as a sequence that has ended and is kept: others that begin with its
 * tokens share it, and headlane_sequences_fork goes on from it, with the same bits as if it had
 * never been saved.
 * @param sequences of the model that it was saved of
 * @param state [n_bytes], of any content: it is checked
 * @param n_bytes its size
 * @param[out] sequence its number
 * @return BAD_FILE: it is no saved state, or damaged; UNSUPPORTED: it is of another model,
 * precision or format of the cache; TOO_LARGE: the cache has no room for it */
HEADLANE_API headlane_status headlane_sequences_load(headlane_sequences* sequences,
                                                     const void* state, size_t n_bytes,
                                                     int64_t* sequence);

/** Saves a sequence to a file, which is whole or not there.
 * @param sequences as of headlane_sequences_save
 * @param sequence likewise
 * @param path of the file; one that is there is replaced
 * @return as headlane_sequences_save; IO */
HEADLANE_API headlane_status headlane_sequences_save_file(const headlane_sequences* sequences,
                                                          int64_t sequence, const char* path);

/** Takes up a state from a file.
 * @param sequences as of headlane_sequences_load
 * @param path of the file
 * @param[out] sequence its number
 * @return as headlane_sequences_load; IO */
HEADLANE_API headlane_status headlane_sequences_load_file(headlane_sequences* sequences,
                                                          const char* path, int64_t* sequence);

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_SEQUENCES_H_ */
