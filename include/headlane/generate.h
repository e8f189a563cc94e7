/** @file
 * Generation.
 *
 * A model with an encoder and a decoder answers sources with targets: translations, say. Sources
 * are encoded once; then the targets of all sources grow together, one token in each step, and
 * finished targets leave the batch. headlane_generator_generate does all of this;
 * headlane_generator_encode and headlane_generator_step are for programs that choose tokens
 * themselves.
 *
 * A language model has a decoder alone. Its sources are prompts, and its answers are what comes
 * after them: max_source_len is the longest prompt, and a prompt and its answer have at most
 * max_positions tokens together, so an answer may end for want of room. There are no prefixes.
 *
 *     headlane_generator_create(model, NULL, &generator);
 *     headlane_generator_generate(generator, &sources, NULL);
 *     headlane_generator_get_answer(generator, 0, 0, &answer);
 */
#ifndef HEADLANE_GENERATE_H_
#define HEADLANE_GENERATE_H_

#include <headlane/batch.h>
#include <headlane/constraint.h>
#include <headlane/host.h>
#include <headlane/init.h>
#include <headlane/model.h>
#include <headlane/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The memory and threads of generation: plans, caches of keys and values, hypotheses. One thread
 * at a time may use it. */
typedef struct headlane_generator headlane_generator;

/** The largest sizes that a generator is made for, and its memory and threads. */
typedef struct headlane_generator_options {
  size_t struct_size;        /**< sizeof this struct */
  int64_t max_sources;       /**< of a batch; 0: 32 */
  int64_t max_source_tokens; /**< of a batch, all sources together; 0: 4096, or max_source_len if
                              * that is more */
  int64_t max_source_len;    /**< 0: max_positions; of a language model 2048, or half of
                              * max_positions if that is less */
  int64_t max_beams;         /**< hypotheses, or samples, of a source; 0: the model's n_beams */
  int64_t max_new_tokens;    /**< tokens of an answer, its end included; 0: the model's */
  int64_t max_prefix; /**< tokens that an answer may be begun with, beside the first; 0: none. Of a
                       * language model it must be 0 */
  /** How many of the best next tokens of a target a search may look at: the number of beams (or
   * top_k) and the number of tokens that may not come, together; 0: 64 and what the model's
   * defaults need. A search or a step that needs more is TOO_LARGE, unless there is room for all
   * logits. */
  int64_t max_candidates;
  /** 1: there is room for all logits of each target, which repetition_penalty, sampling without
   * top_k and masks need. */
  int32_t all_logits;
  int32_t n_threads;                /**< as in headlane_session_options */
  void* memory;                     /**< likewise */
  size_t memory_bytes;              /**< of memory */
  const char* precision;            /**< as in headlane_session_options */
  const headlane_thread_pool* pool; /**< as in headlane_session_options */
  /** As in headlane_sequences_options. Keys and values of sources that an encoder has read are kept
   * as they would be without it. */
  const char* cache;
} headlane_generator_options;

/** The exact size of the block in which a generator with these options works, keys and values of
 * all layers for max_sources * max_beams targets included.
 * @param model with a decoder
 * @param options null: defaults; its memory is not looked at
 * @param[out] out bytes
 * @return as headlane_generator_create */
HEADLANE_API headlane_status headlane_generator_bytes(const headlane_model* model,
                                                      const headlane_generator_options* options,
                                                      size_t* out);

/** Takes memory and threads; generating allocates nothing. One thread at a time may use a
 * generator.
 * @param model with a decoder; stays open until the generator is destroyed
 * @param options null: defaults
 * @param[out] out the caller's, who ends it by headlane_generator_destroy
 * @return UNSUPPORTED: the model has no decoder, or gemm is "onednn"; INVALID_ARGUMENT; TOO_LARGE:
 * 2^31 tokens of all targets together; OUT_OF_MEMORY */
HEADLANE_API headlane_status headlane_generator_create(headlane_model* model,
                                                       const headlane_generator_options* options,
                                                       headlane_generator** out);

/** Ends a generator, and its threads. The caller's block, if it has one, may go afterwards.
 * @param generator null: nothing happens */
HEADLANE_API void headlane_generator_destroy(headlane_generator* generator);

/** Does for a generator what headlane_session_set_cancelled does for a session. There are no
 * answers after a cancelled headlane_generator_generate, and no sources after a cancelled
 * headlane_generator_encode; a cancelled headlane_generator_step may be called again.
 * @param generator that may be inside a call of another thread
 * @param cancelled 1 or 0
 * @return INVALID_ARGUMENT */
HEADLANE_API headlane_status headlane_generator_set_cancelled(headlane_generator* generator,
                                                              int32_t cancelled);

/** When a search by beams ends. */
typedef enum headlane_early_stopping {
  HEADLANE_EARLY_STOPPING_DEFAULT = 0,   /**< the model's */
  HEADLANE_EARLY_STOPPING_HEURISTIC = 1, /**< when no running beam is thought to become better */
  HEADLANE_EARLY_STOPPING_FIRST = 2,     /**< when n_beams have ended */
  HEADLANE_EARLY_STOPPING_NEVER = 3      /**< when no running beam can become better */
} headlane_early_stopping;

/** A length_penalty that makes scores plain sums of log-probabilities: any length to this power
 * is 1. */
#define HEADLANE_NO_LENGTH_PENALTY 1e-30

/** What a callback wants to happen next. */
typedef enum headlane_next {
  HEADLANE_GO_ON = 0,       /**< the search goes on */
  HEADLANE_STOP_SOURCE = 1, /**< this source keeps the answers that it has so far, and ends */
  HEADLANE_STOP_ALL = 2     /**< all sources do that */
} headlane_next;

/** Called for each token of each source as soon as it is chosen, on the thread that called
 * headlane_generator_generate: with one beam, the token is the answer's; with more, it is the token
 * of the beam that is the best at the time. The callback must not use the generator.
 * @param user of the options
 * @param source which source of the batch
 * @param id the token
 * @param n_tokens how many have come, with this one
 * @return what is to happen next; any other number stops all sources */
typedef headlane_next (*headlane_on_token)(void* user, int64_t source, int32_t id,
                                           int64_t n_tokens);

/** What a callback is asked for: which tokens may come next after these. */
typedef struct headlane_token_mask {
  size_t struct_size; /**< sizeof the library's struct, which may be more than the caller's */
  int64_t number;     /**< of the sequence; of a generator: which source of the batch */
  const int32_t* ids; /**< [n_ids], what there is so far: the prompt (of a model with an encoder:
                       * the token that targets begin with, and the prefix), and what came */
  int64_t n_ids;      /**< how many */
  int64_t n_new;      /**< of these the last ones, that came */
  int64_t vocab_size; /**< of the decoder; ids are below it */
  uint32_t* mask;     /**< [(vocab_size + 31) / 32]: bit id % 32 of word id / 32 is 1 where the
                       * token may come. All are 0 at first, and the callback sets some */
} headlane_token_mask;

/** Called before each token that is chosen, on the thread that generates or takes the step, and
 * again for the same place where that was cancelled. Both greedy search and sampling then choose
 * among the tokens of the mask alone, from their probabilities as if the others had none;
 * log-probabilities and scores stay the model's own. End ids and suppressed ids count as without a
 * mask: where an end is to be possible, the mask must have it, and a token that is suppressed or
 * comes too early as an end does not come. A token that the model is forced to begin or to end with
 * comes without a mask.
 *
 * It must return: no longjmp, no exception. What it needs between calls is its own, behind `user`;
 * ids say all that the answer depends on. One that fails notes why for itself, and ends the answer.
 * @param user of the options
 * @param mask valid until the callback returns
 * @return HEADLANE_GO_ON: where no bit is set, no token may come any more, and the answer ends with
 * the finish_reason "stop"; HEADLANE_STOP_SOURCE: this answer ends as it stands, with the
 * finish_reason "callback"; HEADLANE_STOP_ALL: all of them do, and so with any other number */
typedef headlane_next (*headlane_mask_tokens)(void* user, const headlane_token_mask* mask);

/** How answers are chosen. A field that is zero has the model's own default. */
typedef struct headlane_generate_options {
  size_t struct_size; /**< sizeof this struct */
  int64_t n_beams;    /**< 1: the likeliest token each time (greedy) */
  int64_t n_best;     /**< answers of a source, at most n_beams (of samples: any number); 0: 1 */
  /** A score is the sum of log-probabilities / length^length_penalty. Any finite number; if the
   * quotient is too large for a float, the score is 0 or -infinity, and the order of
   * answers is still right. */
  double length_penalty;
  headlane_early_stopping early_stopping; /**< 0: the model's */
  int32_t sample; /**< 1: tokens are drawn: logits over temperature; of these the top_k largest; of
                   * these the fewest that have a probability of top_p together; of these the ones
                   * that have min_p of the largest probability; n_beams is 1 */
  float temperature;         /**< 0: 1 */
  int64_t top_k;             /**< 0: all */
  float top_p;               /**< 0: 1 */
  uint64_t seed;             /**< of the random numbers; any number, 0 is one of them */
  double repetition_penalty; /**< scores of tokens that a target has are divided by it where they
                              * are positive, multiplied where negative; 0: the model's; 1: none */
  int64_t min_new_tokens;    /**< an answer does not end before it has this many tokens */
  int64_t max_new_tokens;    /**< at most the generator's */
  /** The token that answers begin with: in models for many languages, that of the target's
   * language; -1: none; null: the model's, if it has one. */
  const int32_t* first_id;
  const int32_t* end_ids;        /**< [n_end_ids], tokens that end an answer; null: the model's */
  int64_t n_end_ids;             /**< how many */
  const int32_t* suppressed_ids; /**< [n_suppressed_ids], never generated; null: the model's */
  int64_t n_suppressed_ids;      /**< how many */
  const int64_t* prefix_offsets; /**< [n_seqs + 1], as offsets of a batch; null: no prefixes */
  const int32_t* prefix_ids;     /**< what each source's answers begin with */
  const uint64_t* keys; /**< [n_seqs]: a number for each source that chooses its random numbers, so
                         * that samples do not depend on how sources are put into batches; null: the
                         * place of the source in the batch */
  headlane_on_token on_token; /**< null: none */
  void* user;                 /**< handed to on_token */
  double min_p;               /**< from 0, which is all, to 1 */
  /** Says which tokens may come; null: all. It needs all_logits, and n_beams must be 1. It must not
   * use the generator. With several answers of a source each is asked for by itself. */
  headlane_mask_tokens mask_tokens;
  void* mask_user; /**< handed to mask_tokens */
  /** What an answer must be like, in the place of mask_tokens; null: anything. A prefix is not part
   * of that text, nor is the token that answers begin with (first_id). An end id comes where the
   * text is whole, and nowhere else, not as the last of max_new_tokens either: an answer that has
   * no more room is the beginning of a text, with the finish_reason "length". Where options leave
   * no token that the constraint lets come (suppressed_ids, min_new_tokens), an answer ends with
   * "nan". A constraint that takes too much work, or whose text can go on by end ids alone, fails
   * the call. It needs what mask_tokens needs, and is looked at during the call alone. */
  const headlane_constraint* constraint;
} headlane_generate_options;

/** Answers each source of a batch. The answers to a source have the same bits in any batch and for
 * any number of threads. headlane_generator_get_answer returns them.
 * @param generator stays usable, whatever is returned
 * @param sources token ids, as headlane_model_tokenize makes them; none may be empty
 * @param options null: the model's own
 * @return INVALID_ARGUMENT: ids, an empty source, options out of range; TOO_LARGE, also of the work
 * of a constraint; UNSUPPORTED: mask_tokens or a constraint with beams, a constraint whose text
 * would be ended before it is whole, by first_id or since it can go on by end ids alone */
HEADLANE_API headlane_status headlane_generator_generate(headlane_generator* generator,
                                                         const headlane_batch* sources,
                                                         const headlane_generate_options* options);

/** An answer to a source. */
typedef struct headlane_answer {
  size_t struct_size; /**< sizeof this struct */
  int64_t n_answers;  /**< of the source, best first (samples in the order drawn) */
  const int32_t* ids; /**< [n_ids]: the prefix and the end are included, the token that the decoder
                       * begins with is not, nor is a language model's prompt; valid until the
                       * generator is used again */
  int64_t n_ids;      /**< how many, the end included */
  float score;        /**< see length_penalty; NaN: logits were NaN, and the answer ends there */
  /** "stop": the last id is one of end_ids, or a mask let no token come; "length": there was no
   * more room; "callback": a callback stopped it; "nan": logits were NaN, or left
   * nothing to choose. It lives as long as the library. */
  const char* finish_reason;
} headlane_answer;

/** One answer of the last headlane_generator_generate.
 * @param generator that has generated
 * @param source which source of the batch
 * @param rank 0 <= rank < n_answers of that source; 0: the best one
 * @param[out] out filled as far as its struct_size reaches, which must be set
 * @return INVALID_ARGUMENT */
HEADLANE_API headlane_status headlane_generator_get_answer(const headlane_generator* generator,
                                                           int64_t source, int64_t rank,
                                                           headlane_answer* out);

/** Encodes sources for the steps that follow.
 * @param generator forgets the targets of earlier steps
 * @param sources token ids; none may be empty
 * @param outputs of the encoder; null: none wanted. Its pooled must be null.
 * @return INVALID_ARGUMENT, TOO_LARGE; UNSUPPORTED: pooled is wanted */
HEADLANE_API headlane_status headlane_generator_encode(headlane_generator* generator,
                                                       const headlane_batch* sources,
                                                       const headlane_outputs* outputs);

/** A step of the decoder: tokens in, what comes next out. */
typedef struct headlane_step {
  size_t struct_size;     /**< sizeof this struct */
  int64_t n_rows;         /**< targets, at most max_sources * max_beams */
  const int32_t* ids;     /**< [n_rows], the next token of each */
  const int32_t* sources; /**< [n_rows] */
  const int32_t* parents; /**< [n_rows]: the row of the last step whose target this row continues;
                           * any number of rows may continue the same one; -1: a new target. Null:
                           * row i continues row i */
  /** Results of each row, here and below; null: not wanted. */
  float* logits;      /**< [n_rows, vocab_size of the decoder]; needs all_logits */
  float* hidden;      /**< [n_rows, d_model] */
  int64_t k;          /**< how many best next tokens are wanted */
  int32_t* best_ids;  /**< [n_rows, k], best first; of equal ones, the lower id first */
  float* best_logits; /**< [n_rows, k] */
  float* log_sum_exp; /**< [n_rows], of all logits; with k > 0 */
  /** Probabilities of the decoder's layers, here and below: [layer, row, head, i, j], i being the
   * row's position in its target, j a position or a token of its source. */
  const headlane_attention_maps* self_attention;  /**< to themselves; null: not wanted */
  const headlane_attention_maps* cross_attention; /**< to their sources; null: not wanted */
} headlane_step;

/** One step of the decoder: what comes after each target.
 * @param generator after headlane_generator_encode
 * @param step the next token of each target, and what is wanted
 * @return INVALID_ARGUMENT, TOO_LARGE; in both cases nothing was changed */
HEADLANE_API headlane_status headlane_generator_step(headlane_generator* generator,
                                                     const headlane_step* step);

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_GENERATE_H_ */
