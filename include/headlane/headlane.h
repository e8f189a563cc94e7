/*
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
 *    has been written (but for how many there are, where a function says so).
 *  - Option and result structs begin with struct_size, which the caller sets to the sizeof of the
 *    struct that it was compiled with (the INIT macros do), so that structs can grow. A null
 *    options pointer means defaults; so does a field that is zero.
 *  - Nothing is printed, no exception leaves, the process is never ended, no global state of the
 *    caller's (floating-point mode, locale, signals) is changed.
 *  - Sizes count elements unless the name ends in _bytes. Text is UTF-8; invalid bytes are allowed.
 *
 * Threads: a model may be used by any number of threads and sessions at once; a session by one at a
 * time, whichever it is. Each session has threads of its own, which sleep between runs. A forked
 * child may use the models and sessions of its parent (these with the calling thread alone) and
 * make its own; fork while another thread is inside a call, and the child may use neither.
 */
#ifndef HEADLANE_HEADLANE_H_
#define HEADLANE_HEADLANE_H_

#include <stddef.h>
#include <stdint.h>

#define HEADLANE_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Status ---- */

typedef enum headlane_status {
  HEADLANE_OK = 0,
  HEADLANE_INVALID_ARGUMENT = 1, /* the caller's argument is wrong */
  HEADLANE_IO = 2,               /* the operating system refused a file */
  HEADLANE_BAD_FILE = 3,         /* a file's contents are wrong or unsupported */
  HEADLANE_UNSUPPORTED = 4,      /* valid, but this build, model or machine cannot serve it */
  HEADLANE_OUT_OF_MEMORY = 5,
  HEADLANE_TOO_LARGE = 6, /* more than the session was created for */
  HEADLANE_INTERNAL = 7   /* a bug in Headlane */
} headlane_status;

/* What was wrong with this thread's last call; "" if it succeeded. Valid until this thread's next
 * call. */
HEADLANE_API const char* headlane_error(void);

/* "ok", "invalid argument", ...; never null. Static. */
HEADLANE_API const char* headlane_status_name(headlane_status status);

/* "0.1.0". Static. */
HEADLANE_API const char* headlane_version(void);

/* ---- Models ---- */

typedef struct headlane_model headlane_model;

typedef struct headlane_model_options {
  size_t struct_size;
  /* The fastest instruction set to use: "ref", "avx2", "avx2_vnni", "avx512", "avx512_vnni",
   * "avx512_bf16", "amx"; null: the fastest that this machine has and the environment variable
   * HEADLANE_MAX_ISA allows. Naming one that the machine lacks uses the fastest below it. */
  const char* isa;
  /* Who multiplies matrices: "headlane" (or null), or "onednn" where the library was built with it,
   * for comparison. With oneDNN a run may allocate, and results may depend on how many rows came
   * along. */
  const char* gemm;
  /* What products are computed in, for sessions that do not ask otherwise: "f32"; "bf16", summed in
   * f32; "int8", activations quantised row by row, sums exact; "auto": int8 where the machine has
   * instructions for it, else bf16, else f32; null: what the file's weights are stored in. Weights
   * are converted as they are packed; norms, residuals, softmax and pooling are f32 always. */
  const char* precision;
} headlane_model_options;

#define HEADLANE_MODEL_OPTIONS_INIT \
  { sizeof(headlane_model_options), 0, 0, 0 }

/* Maps `path` (a .headlane file), checks all of it, and packs the weights for this machine's
 * kernels. `options` may be null. The caller owns *out and ends it by headlane_model_close. Errors:
 * INVALID_ARGUMENT, IO, BAD_FILE, UNSUPPORTED, OUT_OF_MEMORY. */
HEADLANE_API headlane_status headlane_model_open(const char* path,
                                                 const headlane_model_options* options,
                                                 headlane_model** out);

/* Null is allowed. Every session of the model must have been destroyed before. */
HEADLANE_API void headlane_model_close(headlane_model* model);

typedef struct headlane_model_facts {
  size_t struct_size;
  const char* architecture; /* "bert": takes token ids; "layers": takes activations;
                             * "encoder_decoder": takes token ids, and generates. Strings live as
                             * long as the model */
  const char* activation;   /* "gelu", "gelu_tanh", "relu", "silu" */
  const char* pooling;      /* "none", "mean", "cls", "max" */
  const char* isa;          /* the instruction set chosen: "ref", "avx2", ... */
  const char* gemm;         /* who multiplies matrices: "headlane", "onednn" */
  int64_t n_layers;
  int64_t d_model;
  int64_t n_heads;
  int64_t head_dim;
  int64_t d_ff;
  int64_t vocab_size;
  int64_t max_positions; /* no sequence may have more tokens */
  int64_t max_seq_len;   /* text is truncated to this many tokens unless asked otherwise */
  int64_t n_types;       /* segment types */
  float norm_eps;
  int32_t normalize;     /* 1: pooled vectors have length 1 */
  int32_t has_tokenizer; /* 1: headlane_tokenize works */
  int64_t n_parameters;
  int64_t file_bytes;
  int64_t packed_bytes; /* memory that the packed weights take */
  int64_t n_tensors;
  int64_t kdim; /* of "layers": columns that keys and values are projected from; 0 otherwise */
  int64_t vdim;
  int64_t n_kv_heads;
  const char* norm;    /* "none", "post", "pre": where norms stand about residuals */
  int32_t residual;    /* 1: x is added to what attention, and the feed-forward, make of it */
  int32_t final_norm;  /* 1: one more norm at the end */
  int32_t batch_first; /* of "layers": 1: arrays of it are [batch, seq, d_model] by custom, 0: [seq,
                        * batch, d_model]; strides say what a call's are */
  const char* precision;      /* what products are computed in: "f32", "bf16", "int8" */
  const char* file_precision; /* what the file's weights are stored in */
  const char* auto_precision; /* what precision "auto" is on this machine */
  /* 1: headlane_generate works; those below are its, the first three also of decoder layers on
   * activations */
  int32_t has_decoder;
  int64_t n_decoder_layers;
  int64_t n_decoder_heads;
  int64_t decoder_d_ff;
  int64_t decoder_vocab_size;
  int64_t max_target_len; /* no target may have more tokens */
  int64_t max_new_tokens; /* defaults of headlane_generate_options */
  int64_t n_beams;
  int32_t start_id;        /* what the decoder is given first */
  int32_t forced_first_id; /* what answers begin with unless first_id says otherwise; -1: nothing */
  int64_t n_languages;     /* that the tokenizer has tokens for; 0: it has none, or there is none */
} headlane_model_facts;

/* Fills *out as far as out->struct_size reaches. */
HEADLANE_API headlane_status headlane_model_get_facts(const headlane_model* model,
                                                      headlane_model_facts* out);

typedef struct headlane_tensor_facts {
  size_t struct_size;
  const char* name;  /* strings and shape live as long as the model */
  const char* dtype; /* "f32", "bf16", "s8", "u8" */
  int64_t rank;
  const int64_t* shape; /* [rank] */
  int64_t bytes;
} headlane_tensor_facts;

/* The i-th tensor of the file, 0 <= i < n_tensors. */
HEADLANE_API headlane_status headlane_model_get_tensor(const headlane_model* model, int64_t i,
                                                       headlane_tensor_facts* out);

/* The kernels chosen: lines "slot: implementation". Lives as long as the model; null if `model` is
 * null. */
HEADLANE_API const char* headlane_model_kernels(const headlane_model* model);

/* ---- Text ---- */

/* Token ids of text[0 .. text_bytes), special tokens included, truncated to max_len tokens
 * (0: the model's max_seq_len). Writes at most `capacity` ids to `ids` [capacity] and the number of
 * ids that the text has to *n_ids, after truncation. Asking with capacity 0 (ids may be null) gives
 * the number alone. Errors: INVALID_ARGUMENT; TOO_LARGE if 0 < capacity < *n_ids (*n_ids is written
 * all the same); UNSUPPORTED if the file has no tokenizer. */
HEADLANE_API headlane_status headlane_tokenize(const headlane_model* model, const char* text,
                                               size_t text_bytes, int64_t max_len, int32_t* ids,
                                               int64_t capacity, int64_t* n_ids);

typedef struct headlane_tokenize_options {
  size_t struct_size;
  int64_t max_len; /* 0: the model's max_seq_len */
  /* Languages by the names that the model's community has for them: "zh", "zho_Hans". Null or "":
   * not said. NLLB and M2M-100 mark a source with its own language (if it is not said, the one that
   * the model's files name) and begin the target with the other; multilingual OPUS-MT models begin
   * the source with the token of target_language, unless the text does so itself: ">>fra<< ...". */
  const char* source_language;
  const char* target_language;
  /* 1: the text is an answer, not a source: in the pieces of targets, without special tokens, be
   * they languages' or an end's. */
  int32_t as_target;
} headlane_tokenize_options;

#define HEADLANE_TOKENIZE_OPTIONS_INIT \
  { sizeof(headlane_tokenize_options), 0, 0, 0, 0 }

/* headlane_tokenize with languages; `options` may be null. Further errors: INVALID_ARGUMENT for a
 * language that is none of the model's, UNSUPPORTED for one that it has no token for. */
HEADLANE_API headlane_status headlane_tokenize_with(const headlane_model* model, const char* text,
                                                    size_t text_bytes,
                                                    const headlane_tokenize_options* options,
                                                    int32_t* ids, int64_t capacity, int64_t* n_ids);

/* The text of ids [n_ids], of targets where these have a vocabulary of their own; special tokens
 * are left out. Writes at most `capacity` bytes, not null-terminated, to `text` and the number that
 * it has to *n_bytes. Asking with capacity 0 (text may be null) gives the number alone. Errors as
 * of headlane_tokenize; TOO_LARGE writes *n_bytes too. */
HEADLANE_API headlane_status headlane_detokenize(const headlane_model* model, const int32_t* ids,
                                                 int64_t n_ids, char* text, int64_t capacity,
                                                 int64_t* n_bytes);

/* The spelling of one token, not null-terminated: *text [*text_bytes] lives as long as the model.
 */
HEADLANE_API headlane_status headlane_token_text(const headlane_model* model, int32_t id,
                                                 const char** text, size_t* text_bytes);

/* The same of targets where these have a vocabulary of their own. */
HEADLANE_API headlane_status headlane_target_token_text(const headlane_model* model, int32_t id,
                                                        const char** text, size_t* text_bytes);

typedef struct headlane_language_facts {
  size_t struct_size;
  const char* name; /* [name_bytes], not null-terminated: "zh", "zho_Hans"; as long as the model */
  size_t name_bytes;
  int32_t id;            /* of its token */
  int32_t begins_target; /* 1: a target in it begins with that token: give it as first_id; 0: the
                          * source does, which headlane_tokenize_with sees to */
} headlane_language_facts;

/* The i-th language, 0 <= i < n_languages. */
HEADLANE_API headlane_status headlane_model_get_language(const headlane_model* model, int64_t i,
                                                         headlane_language_facts* out);

/* The id of the token that is spelled text[0 .. text_bytes): "</s>", "__zh__", "zho_Hans". Errors:
 * INVALID_ARGUMENT if there is none; UNSUPPORTED if the file has no tokenizer. */
HEADLANE_API headlane_status headlane_token_id(const headlane_model* model, const char* text,
                                               size_t text_bytes, int32_t* id);

/* ---- Sessions ---- */

typedef struct headlane_session headlane_session;

typedef struct headlane_session_options {
  size_t struct_size;
  int64_t max_tokens; /* tokens of a batch, all sequences together; 0: 4096, or max_len if that is
                         more */
  int64_t max_seqs;   /* sequences of a batch; 0: max_tokens */
  int64_t max_len;    /* tokens of one sequence; 0: max_positions, or max_tokens if that is less */
  int32_t n_threads;  /* 0: one for each CPU that this process may run on */
  void* memory; /* the caller's block of memory_bytes, 64-byte aligned, which the session uses */
  size_t memory_bytes;     /* until it is destroyed; null: the session allocates its own */
  int32_t cross_attention; /* 1: keys and values come from rows of their own, not from x; for a
                            * model of one layer on activations; a decoder's always do */
  int64_t max_kv_tokens;   /* with cross_attention: keys of a batch, all sequences together; 0:
                            * max_tokens */
  const char* precision;   /* as in headlane_model_options; null: the model's. The first session of
                            * a precision packs the weights for it, which the model then keeps */
} headlane_session_options;

#define HEADLANE_SESSION_OPTIONS_INIT \
  { sizeof(headlane_session_options), 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* The exact size of the block in which a session with these options works: all activations and
 * scratch. It grows linearly with max_tokens. (The handle itself, a list of passes, takes some KB
 * more.) */
HEADLANE_API headlane_status headlane_session_bytes(const headlane_model* model,
                                                    const headlane_session_options* options,
                                                    size_t* out);

/* Plans the passes and takes the memory; running allocates nothing. The caller owns *out, ends it
 * by headlane_session_destroy, and keeps `model` open until then. */
HEADLANE_API headlane_status headlane_session_create(headlane_model* model,
                                                     const headlane_session_options* options,
                                                     headlane_session** out);

/* Null is allowed. */
HEADLANE_API void headlane_session_destroy(headlane_session* session);

/* A ragged batch: all sequences end to end, no padding. */
typedef struct headlane_batch {
  size_t struct_size;
  int64_t n_seqs;
  const int64_t* offsets;  /* [n_seqs + 1], offsets[0] = 0, never falling: sequence i is the tokens
                            * offsets[i] .. offsets[i + 1]; a sequence may be empty */
  const int32_t* ids;      /* [offsets[n_seqs]], each in [0, vocab_size) */
  const int32_t* type_ids; /* [offsets[n_seqs]], each in [0, n_types); null: all 0 */
} headlane_batch;

/* Where to write attention probabilities, what the values are weighted with: rows that sum to 1 (to
 * less with sinks, to 0 where nothing is seen). They cost a second computation of the scores of
 * what is asked for, and nothing where they are not. */
typedef struct headlane_attention_maps {
  size_t struct_size;
  /* Element [layer, seq, head, i, j], query i, key j, at data + (layer - first_layer) *
   * layer_stride
   * + seq * seq_stride + (head - first_head) * head_stride + i * query_stride + j. i and j count
   * the rows of the padded tensors, or of the sequence where sequences are ragged. Only elements of
   * real queries and keys are written. */
  float* data;
  int64_t layer_stride, seq_stride, head_stride, query_stride;
  int64_t first_layer, n_layers; /* n_layers 0: all from first_layer on */
  int64_t first_head, n_heads;   /* likewise */
} headlane_attention_maps;

#define HEADLANE_ATTENTION_MAPS_INIT \
  { sizeof(headlane_attention_maps), 0, 0, 0, 0, 0, 0, 0, 0, 0 }

typedef struct headlane_outputs {
  size_t struct_size;
  float* hidden; /* [n_tokens, d_model], last hidden states; null: not wanted */
  float* pooled; /* [n_seqs, d_model], pooled and, if the model says so, normalised; null: not
                  * wanted. The vector of an empty sequence is zero. */
  const headlane_attention_maps* attention; /* null: not wanted */
} headlane_outputs;

/* Runs a model that takes token ids. The result for a sequence has the same bits in any batch, in
 * any order, for any number of threads. Errors: INVALID_ARGUMENT (ids, offsets), TOO_LARGE,
 * UNSUPPORTED (pooled wanted of a model without pooling); nothing is written then. */
HEADLANE_API headlane_status headlane_encode(headlane_session* session, const headlane_batch* batch,
                                             const headlane_outputs* outputs);

/* ---- Generation ----
 *
 * A model with an encoder and a decoder answers sources with targets: translations, say. Sources
 * are encoded once; then targets grow by a token a step, of all sources at once, and those that
 * are finished leave. headlane_generate does all of it; headlane_generator_encode and
 * headlane_generator_step are for programs that choose tokens themselves.
 *
 *     headlane_generator_create(model, NULL, &generator);
 *     headlane_generate(generator, &sources, NULL);
 *     headlane_generator_get_answer(generator, 0, 0, &answer);
 */

typedef struct headlane_generator headlane_generator;

typedef struct headlane_generator_options {
  size_t struct_size;
  int64_t max_sources;       /* of a batch; 0: 32 */
  int64_t max_source_tokens; /* of a batch, all together; 0: 4096, or max_source_len if more */
  int64_t max_source_len;    /* 0: max_positions */
  int64_t max_beams;         /* hypotheses, or samples, of a source; 0: the model's n_beams */
  int64_t max_new_tokens;    /* of an answer, its end included; 0: the model's */
  int64_t max_prefix;     /* tokens that an answer may be begun with, beside the first; 0: none */
  int64_t max_candidates; /* next tokens that are looked at, of a row: beams or top_k, and tokens
                           * that may not come; 0: 64 and what the model's defaults need. A search
                           * that needs more, or a step that asks for more, is TOO_LARGE, unless
                           * there is room for all logits */
  int32_t all_logits; /* 1: room for all logits of each row, which repetition_penalty, and sampling
                       * without top_k, need */
  int32_t n_threads;  /* as in headlane_session_options, as are those below */
  void* memory;
  size_t memory_bytes;
  const char* precision;
} headlane_generator_options;

#define HEADLANE_GENERATOR_OPTIONS_INIT \
  { sizeof(headlane_generator_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* The exact size of the block in which a generator with these options works, keys and values of all
 * layers for max_sources * max_beams targets included. */
HEADLANE_API headlane_status headlane_generator_bytes(const headlane_model* model,
                                                      const headlane_generator_options* options,
                                                      size_t* out);

/* Takes memory and threads; generating allocates nothing. The caller owns *out, ends it by
 * headlane_generator_destroy, and keeps `model` open until then. One thread at a time may use it.
 * Errors: UNSUPPORTED (the model has no decoder, or gemm is "onednn"), INVALID_ARGUMENT, TOO_LARGE
 * (2^31 tokens of all targets together), OUT_OF_MEMORY. */
HEADLANE_API headlane_status headlane_generator_create(headlane_model* model,
                                                       const headlane_generator_options* options,
                                                       headlane_generator** out);

/* Null is allowed. */
HEADLANE_API void headlane_generator_destroy(headlane_generator* generator);

typedef enum headlane_early_stopping {
  HEADLANE_EARLY_STOPPING_DEFAULT = 0,   /* the model's */
  HEADLANE_EARLY_STOPPING_HEURISTIC = 1, /* when no running beam is thought to become better */
  HEADLANE_EARLY_STOPPING_FIRST = 2,     /* when n_beams have ended */
  HEADLANE_EARLY_STOPPING_NEVER = 3      /* when no running beam can become better */
} headlane_early_stopping;

/* A length_penalty by which scores are sums of log-probabilities: any length to its power is 1. */
#define HEADLANE_NO_LENGTH_PENALTY 1e-30

typedef enum headlane_next {
  HEADLANE_GO_ON = 0,
  HEADLANE_STOP_SOURCE = 1, /* this source's answers are what it has so far */
  HEADLANE_STOP_ALL = 2     /* likewise all sources' */
} headlane_next;

/* Called for each token of each source as soon as it is chosen, on the thread that called
 * headlane_generate: with one beam, the answer's; with more, that of the beam that is the best at
 * the time. n_tokens: how many have come, with this one. It must not use the generator. */
typedef headlane_next (*headlane_on_token)(void* user, int64_t source, int32_t id,
                                           int64_t n_tokens);

/* Zero fields: the model's own defaults. */
typedef struct headlane_generate_options {
  size_t struct_size;
  int64_t n_beams;       /* 1: the likeliest token each time (greedy) */
  int64_t n_best;        /* answers of a source, at most n_beams (of samples: any number); 0: 1 */
  double length_penalty; /* a score is the sum of log-probabilities / length^length_penalty */
  headlane_early_stopping early_stopping;
  int32_t sample;    /* 1: tokens are drawn: logits over temperature; of these the top_k largest; of
                      * these the fewest that have a probability of top_p together; n_beams is 1 */
  float temperature; /* 0: 1 */
  int64_t top_k;     /* 0: all */
  float top_p;       /* 0: 1 */
  uint64_t seed;
  double repetition_penalty; /* scores of tokens that a target has are divided by it where they are
                              * positive, multiplied where negative; 0: the model's; 1: none */
  int64_t min_new_tokens;    /* no end before that many */
  int64_t max_new_tokens;
  const int32_t* first_id; /* the token that answers begin with: of models for many languages, the
                            * target's; -1: none; null: the model's, if it has one */
  const int32_t* end_ids;  /* [n_end_ids], tokens that end an answer; null: the model's */
  int64_t n_end_ids;
  const int32_t* suppressed_ids; /* [n_suppressed_ids], never generated; null: the model's */
  int64_t n_suppressed_ids;
  const int64_t* prefix_offsets; /* [n_seqs + 1], as offsets of a batch; null: no prefixes */
  const int32_t* prefix_ids;     /* what each source's answers begin with */
  const uint64_t* keys; /* [n_seqs]: what tells a source's random numbers from another's, so that
                         * samples do not depend on how sources are put into batches; null: their
                         * places in the batch */
  headlane_on_token on_token; /* null: none */
  void* user;
} headlane_generate_options;

#define HEADLANE_GENERATE_OPTIONS_INIT                                                             \
  {                                                                                                \
    sizeof(headlane_generate_options), 0, 0, 0, HEADLANE_EARLY_STOPPING_DEFAULT, 0, 0, 0, 0, 0, 0, \
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                                                         \
  }

/* Answers each source of a batch; `options` may be null. The answers to a source have the same bits
 * in any batch and for any number of threads. Errors: INVALID_ARGUMENT (ids, an empty source,
 * options out of range), TOO_LARGE; the generator stays usable. */
HEADLANE_API headlane_status headlane_generate(headlane_generator* generator,
                                               const headlane_batch* sources,
                                               const headlane_generate_options* options);

typedef struct headlane_answer {
  size_t struct_size;
  int64_t n_answers;  /* of the source, best first (samples in the order drawn) */
  const int32_t* ids; /* [n_ids]: prefix and end included, what the decoder begins with not; valid
                       * until the generator is used again */
  int64_t n_ids;
  float score; /* see length_penalty; NaN: logits were no numbers, and the answer broke off */
} headlane_answer;

#define HEADLANE_ANSWER_INIT \
  { sizeof(headlane_answer), 0, 0, 0, 0 }

/* The answer of rank `rank` to a source of the last headlane_generate. */
HEADLANE_API headlane_status headlane_generator_get_answer(const headlane_generator* generator,
                                                           int64_t source, int64_t rank,
                                                           headlane_answer* out);

/* Encodes sources for the steps that follow; outputs may be null (its pooled is UNSUPPORTED). */
HEADLANE_API headlane_status headlane_generator_encode(headlane_generator* generator,
                                                       const headlane_batch* sources,
                                                       const headlane_outputs* outputs);

typedef struct headlane_step {
  size_t struct_size;
  int64_t n_rows;         /* targets, at most max_sources * max_beams */
  const int32_t* ids;     /* [n_rows], the next token of each */
  const int32_t* sources; /* [n_rows] */
  const int32_t* parents; /* [n_rows]: the row of the last step whose target goes on, by any number
                           * of rows; -1: a new target. Null: row by row */
  /* What is wanted of each row; null: not. */
  float* logits;      /* [n_rows, vocab_size of the decoder]; needs all_logits */
  float* hidden;      /* [n_rows, d_model] */
  int64_t k;          /* of best next tokens */
  int32_t* best_ids;  /* [n_rows, k], best first, of equals the lower id */
  float* best_logits; /* [n_rows, k] */
  float* log_sum_exp; /* [n_rows], of all logits; with k > 0 */
  /* Probabilities of the decoder's layers: [layer, row, head, i, j], i being the row's position in
   * its target, j a position or a token of its source. */
  const headlane_attention_maps* self_attention;
  const headlane_attention_maps* cross_attention;
} headlane_step;

#define HEADLANE_STEP_INIT \
  { sizeof(headlane_step), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* One step of the decoder: rows of logits of what comes after each target. Errors:
 * INVALID_ARGUMENT, TOO_LARGE; nothing has happened then. */
HEADLANE_API headlane_status headlane_generator_step(headlane_generator* generator,
                                                     const headlane_step* step);

/* ---- Profiles ----
 *
 * Where the time of a session's runs goes, pass by pass. Off unless asked for; it costs a clock
 * reading a pass. */

/* From the next run on: 1 counts from zero, 0 stops counting. */
HEADLANE_API headlane_status headlane_session_profile(headlane_session* session, int32_t on);

typedef struct headlane_pass_facts {
  size_t struct_size;
  const char*
      name; /* "load + linear + linear", the ops of the pass; lives as long as the session */
  int64_t n_passes;        /* of the session, whichever is asked for */
  int64_t n_runs;          /* counted */
  double seconds;          /* of all of them, by the clock of the thread that called */
  double flops;            /* multiplications and additions of products and attention, likewise */
  double weight_bytes;     /* what one reading of its packed weights takes; each block of rows reads
                            * them once */
  int64_t block_rows;      /* rows of a block; 0: the pass is not one over rows */
  double activation_bytes; /* what the counted runs read and wrote of the activations that passes
                            * hand to each other */
  int64_t n_threads;       /* of the session */
} headlane_pass_facts;

#define HEADLANE_PASS_FACTS_INIT \
  { sizeof(headlane_pass_facts), 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* Of the i-th pass, 0 <= i < n_passes; there is always one. The last one copies the result out. */
HEADLANE_API headlane_status headlane_session_get_pass(const headlane_session* session, int64_t i,
                                                       headlane_pass_facts* out);

/* What one thread did of a pass in the last run counted. */
typedef struct headlane_pass_span {
  size_t struct_size;
  double begin, end; /* seconds since the run's start; equal: it took no part */
} headlane_pass_span;

#define HEADLANE_PASS_SPAN_INIT \
  { sizeof(headlane_pass_span), 0, 0 }

/* Of the i-th pass, as above, and a thread, 0 <= thread < n_threads; 0 is the one that called. */
HEADLANE_API headlane_status headlane_session_get_span(const headlane_session* session, int64_t i,
                                                       int64_t thread, headlane_pass_span* out);

/* ---- Attention on your own buffers ----
 *
 * O = softmax(cap(score(Q, K)) + bias + positions) V, for programs that have their own model. */

typedef struct headlane_attention headlane_attention;

typedef enum headlane_score {
  HEADLANE_SCORE_SCALED_DOT = 0, /* scale * q . k (Vaswani et al. 2017) */
  HEADLANE_SCORE_DOT = 1,        /* q . k */
  HEADLANE_SCORE_BILINEAR = 2,   /* q^T W k (Luong et al. 2015, "general"): layers only, where W is
                                  * folded into the projection of Q and costs nothing */
  HEADLANE_SCORE_ADDITIVE = 3    /* v . tanh(q + k) (Bahdanau et al. 2014), q and k being projected
                                  * already. head_dim hyperbolic tangents a score: far slower than
                                  * a dot product */
} headlane_score;

/* Which keys a query sees by position, where lengths differ. PyTorch's names are is_causal and
 * causal_upper_left, and causal_lower_right; ONNX Attention's is_causal is the former. */
typedef enum headlane_causal {
  HEADLANE_CAUSAL_NONE = 0,
  HEADLANE_CAUSAL_UPPER_LEFT = 1, /* query i sees keys 0 .. i */
  HEADLANE_CAUSAL_LOWER_RIGHT = 2 /* the last query sees all keys: i sees 0 .. i + kv_len - q_len */
} headlane_causal;

typedef enum headlane_rotary_scaling {
  HEADLANE_ROTARY_PLAIN = 0,
  HEADLANE_ROTARY_LINEAR = 1, /* positions divided by factor */
  HEADLANE_ROTARY_NTK = 2,    /* base times factor^(dims / (dims - 2)) */
  HEADLANE_ROTARY_YARN = 3,   /* Peng et al. 2023, "YaRN" */
  HEADLANE_ROTARY_LLAMA3 = 4  /* Llama 3.1's */
} headlane_rotary_scaling;

/* Rotary positions (Su et al. 2021, "RoFormer"): pairs of columns of Q and K turn by position times
 * base^(-2 c / dims). Positions count a sequence's real rows from 0; with CAUSAL_LOWER_RIGHT the
 * last query stands at the last key. A field that is 0 has its default. */
typedef struct headlane_rotary {
  size_t struct_size;
  int64_t dims;          /* columns of each head that turn, the first ones; even; 0: head_dim */
  int32_t interleaved;   /* 0: pairs are columns (c, c + dims / 2), as in Llama, Qwen and GPT-NeoX;
                          * 1: (2 c, 2 c + 1), as in RoFormer and GPT-J */
  double base;           /* 0: 10000 */
  int64_t max_positions; /* no sequence may be longer; needed */
  headlane_rotary_scaling scaling;
  double factor;                  /* of all scalings; 0: 1 */
  int64_t original_max_positions; /* YaRN, Llama 3: the length that the model was trained for */
  double beta_fast, beta_slow;    /* YaRN; 0: 32 and 1 */
  double attention_factor;        /* YaRN: multiplies cosines and sines; 0: 0.1 ln(factor) + 1 */
  double low_freq_factor, high_freq_factor; /* Llama 3; 0: 1 and 4 */
  int32_t untruncated; /* YaRN: 1: what blends begins and ends between pairs ("truncate": false) */
} headlane_rotary;

#define HEADLANE_ROTARY_INIT \
  { sizeof(headlane_rotary), 0, 0, 0, 0, HEADLANE_ROTARY_PLAIN, 0, 0, 0, 0, 0, 0, 0, 0 }

/* A learned bias for each head and bucket of distances (Raffel et al. 2020, "T5"). */
typedef struct headlane_relative_bias {
  size_t struct_size;
  const float* table; /* [n_buckets, n_heads] */
  int64_t n_buckets;
  int64_t max_distance;  /* from here on, all are one bucket */
  int32_t bidirectional; /* 1: half of the buckets are for keys after the query (encoders); 0: those
                          * count as distance 0 (decoders) */
  int64_t max_len;       /* no sequence may be longer */
} headlane_relative_bias;

#define HEADLANE_RELATIVE_BIAS_INIT \
  { sizeof(headlane_relative_bias), 0, 0, 0, 0, 0 }

/* What a caller's rows are made of. */
typedef enum headlane_element {
  HEADLANE_ELEMENT_F32 = 0,
  HEADLANE_ELEMENT_BF16 = 1 /* uint16_t: the upper half of a float */
} headlane_element;

/* Pointers in here are read by create, and may go afterwards. */
typedef struct headlane_attention_options {
  size_t struct_size;
  int64_t n_heads;    /* of Q and O */
  int64_t n_kv_heads; /* of K and V, a divisor of n_heads (grouped and multi-query); 0: n_heads */
  int64_t head_dim;   /* of Q and K, 1 to 256 */
  int64_t v_dim;      /* of V and O, 1 to 256; 0: head_dim */
  headlane_score score;
  float scale;   /* of SCALED_DOT, > 0; 0: 1 / sqrt(head_dim) */
  float softcap; /* scores become softcap * tanh(score / softcap); 0: they do not */
  headlane_causal causal;
  /* Keys before and after its own position that a query sees; 0: all; -1: none. Its position is its
   * number, or with CAUSAL_LOWER_RIGHT its number + kv_len - q_len. With a causal mask there is
   * nothing after it. */
  int64_t window_left, window_right;
  const headlane_rotary* rotary;               /* null: none */
  const headlane_relative_bias* relative_bias; /* null: none */
  const float* alibi_slopes; /* [n_heads]: scores lose slope * distance (Press et al. 2021,
                              * "ALiBi"); see headlane_alibi_slopes; null: none */
  const float* sinks;        /* [n_heads]: a score with a share and no value; null: none */
  const float* additive;     /* [n_heads, head_dim], the v of ADDITIVE; null otherwise */
  int32_t n_threads;         /* 0: one for each CPU that this process may run on */
  const char* isa;           /* as in headlane_model_options */
  void* memory;              /* as in headlane_session_options */
  size_t memory_bytes;
  /* Of Q, K, V and O. With BF16 the probabilities that the values are weighted with are rounded to
   * it too; scores, the softmax and sums are f32, and so are bias, weights and maps. Neither
   * ADDITIVE nor machines without products of bf16 have it: UNSUPPORTED. */
  headlane_element element;
} headlane_attention_options;

#define HEADLANE_ATTENTION_OPTIONS_INIT                                              \
  {                                                                                  \
    sizeof(headlane_attention_options), 0, 0, 0, 0, HEADLANE_SCORE_SCALED_DOT, 0, 0, \
        HEADLANE_CAUSAL_NONE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, HEADLANE_ELEMENT_F32  \
  }

/* The slopes of Press et al. for any number of heads, [n_heads]: 2^(-8 i / n) for powers of two,
 * and between those every other one of the next power. */
HEADLANE_API headlane_status headlane_alibi_slopes(int64_t n_heads, float* slopes);

/* The exact size of the block in which calls with these options work. It does not depend on lengths
 * (but on those of rotary and relative_bias, whose tables are in it). */
HEADLANE_API headlane_status headlane_attention_bytes(const headlane_attention_options* options,
                                                      size_t* out);

/* Takes memory and threads; running allocates nothing. The caller owns *out and ends it by
 * headlane_attention_destroy. One thread at a time may run it. */
HEADLANE_API headlane_status headlane_attention_create(const headlane_attention_options* options,
                                                       headlane_attention** out);

/* Null is allowed. */
HEADLANE_API void headlane_attention_destroy(headlane_attention* attention);

/* Element [seq, token, head, c] lies at data[seq * seq_stride + token * token_stride + head *
 * head_stride + c]: packed Q K V, [seqs, heads, tokens, dim] and [seqs, tokens, heads, dim] all
 * need no copy. */
typedef struct headlane_heads {
  const float* data;
  int64_t seq_stride; /* not used where sequences are ragged */
  int64_t token_stride;
  int64_t head_stride;
} headlane_heads;

typedef struct headlane_attention_batch {
  size_t struct_size;
  int64_t n_seqs;
  /* Ragged: sequence b is the tokens offsets[b] .. offsets[b + 1] of Q and O, and of K and V. */
  const int64_t* q_offsets;  /* [n_seqs + 1], from 0, never falling; null: padded */
  const int64_t* kv_offsets; /* [n_seqs + 1]; null with q_offsets: the same */
  /* Padded: every sequence has q_len and kv_len rows. */
  int64_t q_len, kv_len;
  const int64_t* q_lengths; /* [n_seqs], how many of the rows are real; null: all. Others of O
                             * become 0 */
  const int64_t*
      kv_lengths;      /* [n_seqs]; null: all. What is in other rows of K and V is never read */
  int32_t left_padded; /* 1: the real rows are the last ones, not the first */

  headlane_heads q; /* [n_seqs, q_len, n_heads, head_dim] */
  headlane_heads k; /* [n_seqs, kv_len, n_kv_heads, head_dim] */
  headlane_heads v; /* [n_seqs, kv_len, n_kv_heads, v_dim] */
  headlane_heads o; /* [n_seqs, q_len, n_heads, v_dim]; its data is written */

  /* Added to the scores: element [seq, head, i, j] at bias[seq * bias_seq_stride + head *
   * bias_head_stride + i * bias_query_stride + j]; a stride of 0 repeats. -inf and the most
   * negative float mask. Null: none. i and j count rows of the padded tensors, or of the sequence
   * where sequences are ragged. */
  const float* bias;
  int64_t bias_seq_stride, bias_head_stride, bias_query_stride;
  /* 1: may be seen, 0: not; laid out likewise. Null: all may. */
  const uint8_t* mask;
  int64_t mask_seq_stride, mask_head_stride, mask_query_stride;

  const int64_t* prefix_lengths; /* [n_seqs]: keys that a causal mask leaves to all queries; null:
                                  * none */
  const headlane_attention_maps* maps; /* its layers are not looked at; null: not wanted */

  /* With HEADLANE_ELEMENT_BF16, in place of the data of q, k, v and o, which must be null then:
   * their strides hold, and count elements. Null otherwise. */
  const uint16_t* q_bf16;
  const uint16_t* k_bf16;
  const uint16_t* v_bf16;
  uint16_t* o_bf16; /* written */
} headlane_attention_batch;

#define HEADLANE_ATTENTION_BATCH_INIT                                                     \
  {                                                                                       \
    sizeof(headlane_attention_batch), 0, 0, 0, 0, 0, 0, 0, 0, {0, 0, 0, 0}, {0, 0, 0, 0}, \
        {0, 0, 0, 0}, {0, 0, 0, 0}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0              \
  }

/* Masks combine: a key is seen if all of them allow it. A query that sees no key gets zeros. Values
 * of keys that a query does not see never matter, NaN included; NaN in what it sees shows in its
 * own result. Errors: INVALID_ARGUMENT naming the field (nulls, sizes, offsets, strides by which
 * rows of O overlap), TOO_LARGE. O must not overlap Q, K or V. */
HEADLANE_API headlane_status headlane_attention_run(headlane_attention* attention,
                                                    const headlane_attention_batch* batch);

/* ---- Layers on activations ----
 *
 * A multi-head attention layer made from weights at hand, or a file of PyTorch's attention,
 * encoder or decoder modules (see headlane_convert), is a model whose sessions run on activations.
 *
 * A decoder's layers (n_decoder_layers of the facts is not 0) attend to x and then to a memory.
 * Their sessions have cross_attention always, and each call gives x (tgt) and key: the memory, or,
 * where the file has an encoder too (nn.Transformer, n_layers not 0), src, which goes through the
 * encoder first. Keys and values are both made of it: value is null, or the key. Masks, biases,
 * prefixes and maps of probabilities are those of the decoder's attention to x, q_len x q_len
 * (tgt_mask); what hides keys from memory and src is their lengths alone. */

/* y = x * weight^T + bias */
typedef struct headlane_linear {
  const float* weight; /* [n_out, n_in] */
  const float* bias;   /* [n_out], or null */
} headlane_linear;

typedef enum headlane_norm {
  HEADLANE_NORM_NONE = 0,
  HEADLANE_NORM_POST = 1, /* norm(x + attention(x)), without residual norm(attention(x)) */
  HEADLANE_NORM_PRE = 2   /* x + attention(norm(x)), without residual attention(norm(x)); what keys
                           * and values come from is normalised only where it is x */
} headlane_norm;

typedef struct headlane_layer_options {
  size_t struct_size;
  int64_t d_model; /* columns of the input x and of the output */
  int64_t kdim;    /* columns that keys are projected from; 0: d_model */
  int64_t vdim;    /* columns that values are projected from; 0: d_model */
  /* Heads, scores, masks by position. Its n_threads, isa, memory, memory_bytes and element must
   * be 0: those belong to the session and the model. */
  const headlane_attention_options* attention;
  headlane_linear q;   /* [n_heads * head_dim, d_model] */
  headlane_linear k;   /* [n_kv_heads * head_dim, kdim] */
  headlane_linear v;   /* [n_kv_heads * v_dim, vdim] */
  headlane_linear qkv; /* in place of the three: their rows one below the other, all from d_model */
  headlane_linear out; /* [d_model, n_heads * v_dim] */
  const float* bilinear; /* [n_heads, head_dim, head_dim], W of q^T W k; null: not BILINEAR */
  int32_t residual;      /* 1: x is added */
  headlane_norm norm;
  const float* norm_weight; /* [d_model] */
  const float* norm_bias;   /* [d_model], or null */
  float norm_eps;           /* 0: 1e-5 */
  int64_t max_len;          /* no sequence may be longer; 0: as long as its position tables go */
} headlane_layer_options;

#define HEADLANE_LAYER_OPTIONS_INIT                                                           \
  {                                                                                           \
    sizeof(headlane_layer_options), 0, 0, 0, 0, {0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 0}, 0, 0, \
        HEADLANE_NORM_NONE, 0, 0, 0, 0                                                        \
  }

/* Packs the weights, which may go afterwards; `model_options` may be null. The model's sessions run
 * by headlane_forward; it has neither tokenizer nor file. The caller owns *out and ends it by
 * headlane_model_close. Errors: INVALID_ARGUMENT, UNSUPPORTED, OUT_OF_MEMORY. */
HEADLANE_API headlane_status headlane_layer_create(const headlane_layer_options* options,
                                                   const headlane_model_options* model_options,
                                                   headlane_model** out);

/* Row [seq, token] of a tensor begins at data + seq * seq_stride + token * token_stride. Strides of
 * 0 stand for rows one behind the other: token_stride = columns, seq_stride = rows * token_stride.
 */
typedef struct headlane_rows {
  const float* data;
  int64_t seq_stride; /* not used where sequences are ragged */
  int64_t token_stride;
} headlane_rows;

typedef struct headlane_forward_batch {
  size_t struct_size;
  int64_t n_seqs;
  /* Rows of x and out, ragged or padded, as in headlane_attention_batch. Those of key and value
   * only in a session with cross_attention; without, leave them null and 0. */
  const int64_t* q_offsets;
  const int64_t* kv_offsets;
  int64_t q_len, kv_len;
  const int64_t* q_lengths;
  const int64_t* kv_lengths;
  int32_t left_padded;

  headlane_rows x;     /* [n_seqs, q_len, d_model] */
  headlane_rows key;   /* [n_seqs, kv_len, kdim]; null: x, but a decoder needs it */
  headlane_rows value; /* [n_seqs, kv_len, vdim]; null: key */
  headlane_rows out;   /* [n_seqs, q_len, d_model]; its data is written, and may be x itself */

  /* As in headlane_attention_batch; the same for all layers. Of a decoder, see above. */
  const float* bias;
  int64_t bias_seq_stride, bias_head_stride, bias_query_stride;
  const uint8_t* mask;
  int64_t mask_seq_stride, mask_head_stride, mask_query_stride;
  const int64_t* prefix_lengths;
  const headlane_attention_maps* maps; /* null: not wanted */
} headlane_forward_batch;

#define HEADLANE_FORWARD_BATCH_INIT                                                          \
  {                                                                                          \
    sizeof(headlane_forward_batch), 0, 0, 0, 0, 0, 0, 0, 0, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}, \
        {0, 0, 0}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                                              \
  }

/* Runs a model that takes activations. The same promises as headlane_encode and
 * headlane_attention_run. Errors: INVALID_ARGUMENT naming the field, TOO_LARGE, UNSUPPORTED (the
 * model takes token ids). */
HEADLANE_API headlane_status headlane_forward(headlane_session* session,
                                              const headlane_forward_batch* batch);

/* ---- Conversion ---- */

/* Writes one .headlane file, by a temporary name that is renamed at the end. The same input gives
 * the same bytes. `path` is
 *  - a Hugging Face model folder (config.json, model.safetensors or its shards, the tokenizer's
 * files, modules.json, 1_Pooling/config.json, sentence_bert_config.json), or
 *  - the state dict of PyTorch's nn.MultiheadAttention, nn.TransformerEncoder(Layer),
 *    nn.TransformerDecoder(Layer) or nn.Transformer, told by the names of its tensors: a folder
 *    with one .safetensors and one .json file, or the .safetensors file with the .json of its name,
 *    or config.json, beside it. The JSON has the module's arguments: d_model (or embed_dim), nhead
 *    (or num_heads), norm_first, activation ("relu", "gelu"), layer_norm_eps (of a final norm too),
 *    batch_first, kdim, vdim, add_zero_attn, with PyTorch's defaults; num_layers,
 *    num_encoder_layers, num_decoder_layers and dim_feedforward are what the tensors say, and must
 *    agree if they are there. Besides, causal (true: row i of x sees rows 0 to i alone); and, added
 *    to the input, positions ("none", "sinusoidal", or "learned" from the tensor positions.weight)
 *    with max_positions. nn.Transformer adds them to both inputs; learned ones are
 *    src_positions.weight and tgt_positions.weight. */
HEADLANE_API headlane_status headlane_convert(const char* path, const char* out_path);

typedef struct headlane_convert_options {
  size_t struct_size;
  /* What weights of products and the table of words are stored in: "f32" (or null), "bf16" (half
   * the bytes), "int8" (a quarter, with a scale a row). All else stays f32. */
  const char* precision;
  /* [n_higher_precision] names of products that stay in bf16 where others are int8, such as
   * "layers.3.attention.qkv"; they are kept in the file's config, and count wherever it is run in
   * int8. Null: those that were measured to be worth it, for the kind of model. */
  const char* const* higher_precision;
  int64_t n_higher_precision;
} headlane_convert_options;

#define HEADLANE_CONVERT_OPTIONS_INIT \
  { sizeof(headlane_convert_options), 0, 0, 0 }

/* The same, with options; null: defaults. */
HEADLANE_API headlane_status headlane_convert_with(const char* path, const char* out_path,
                                                   const headlane_convert_options* options);

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_HEADLANE_H_ */
