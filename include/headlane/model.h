/** @file
 * Models: opening them, and what they are.
 */
#ifndef HEADLANE_MODEL_H_
#define HEADLANE_MODEL_H_

#include <headlane/host.h>
#include <headlane/init.h>
#include <headlane/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A model that is open: weights packed for this machine, config and tokenizer. Any number of
 * threads may use it at once. */
typedef struct headlane_model headlane_model;

/** How a model is run. */
typedef struct headlane_model_options {
  size_t struct_size; /**< sizeof this struct */
  /** The fastest instruction set to use, one of headlane_isa_names(); null: the fastest that this
   * machine has and the environment variable HEADLANE_MAX_ISA allows. Naming one that the machine
   * lacks uses the fastest below it. */
  const char* isa;
  /** Which library multiplies matrices: "headlane" (or null), or "onednn" where the library was
   * built with it, for comparison. With oneDNN a run may allocate, and results may depend on how
   * many rows came along. */
  const char* gemm;
  /** What products are computed in, for sessions that do not ask otherwise: "f32"; "bf16", summed
   * in f32; "int8", activations quantised row by row, sums exact; "int8g", "int6", "int5" and
   * "int4", weights of so many bits, with a scale for each 16 or 32 columns, as activations of 8
   * bits have; "auto": int8 where
   * the machine has instructions for it, else bf16, else f32; null: what the file's weights are
   * stored in. Weights are converted as they are packed; norms, residuals, softmax and pooling are
   * f32 always.
   */
  const char* precision;
  /** Threads that weights are packed on, in this call and in one that makes the first session of a
   * precision; 0: one for each CPU that this process may run on. */
  int32_t n_threads;
  /** To pack on, with its n_threads unless n_threads is set here; null: threads that are made for
   * it, and end with it. */
  const headlane_thread_pool* pool;
  /** Told what is chosen, of the model and of what is made from it; null: nobody. */
  headlane_log log;
  void* log_user; /**< handed to log */
  /** 1: no weight is read. The model tells its facts, tokenizes, and says what sessions, generators
   * and sequences would take (headlane_session_bytes and the like), which cannot be made. */
  int64_t sizes_only;
  /** 1: the file is mapped, and what it has as this machine reads it (headlane_pack) stays there,
   * so that processes with the same file share it. As long as the model is open, the file must not
   * be written to nor cut: a call that begins afterwards returns BAD_FILE, and one that is running
   * then may end the process by SIGBUS. Replacing the file by another of its name does no harm. 0:
   * it is read. */
  int32_t map;
  /** 1: all of the file is read for its checksum, which must match (headlane_check_file); 0: what
   * is not needed is not read. */
  int32_t verify;
} headlane_model_options;

/** Opens a .headlane file, checks all of it, and packs the weights for this machine's kernels.
 * @param path of the file; it must not be written to as long as the model is open
 * @param options null: defaults
 * @param[out] out the caller's, who ends it by headlane_model_destroy
 * @return INVALID_ARGUMENT: an invalid option; IO, BAD_FILE, UNSUPPORTED, OUT_OF_MEMORY */
HEADLANE_API headlane_status headlane_model_open(const char* path,
                                                 const headlane_model_options* options,
                                                 headlane_model** out);

/** Ends a model. Every session and generator of it must have been destroyed before.
 * @param model null: nothing happens */
HEADLANE_API void headlane_model_destroy(headlane_model* model);

/** What a model is. Numbers of parts that it does not have are 0. Strings live as long as the
 * model. */
typedef struct headlane_model_facts {
  size_t struct_size; /**< sizeof this struct */
  /** A name for people: "bert", "layers", "encoder_decoder". What a model takes and does is in the
   * other fields: with vocab_size 0 it takes activations, with has_decoder it generates. */
  const char* architecture;
  const char* activation; /**< "gelu", "gelu_tanh", "relu", "silu" */
  /** "none", "mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"; of several
   * poolings, whose vectors stand side by side, the first */
  const char* pooling;
  const char* isa;       /**< the instruction set chosen: "ref", "avx2", ... */
  const char* gemm;      /**< which library multiplies matrices: "headlane", "onednn" */
  int64_t n_layers;      /**< of the encoder, or of the layers on activations */
  int64_t d_model;       /**< columns of a hidden state */
  int64_t n_heads;       /**< of Q in each layer */
  int64_t head_dim;      /**< columns of a head of Q and K */
  int64_t d_ff;          /**< columns inside the feed-forward; 0: there is none */
  int64_t vocab_size;    /**< of sources: ids are below it */
  int64_t max_positions; /**< no sequence may have more tokens */
  int64_t max_seq_len;   /**< text is truncated to this many tokens unless asked otherwise */
  int64_t n_types;       /**< segment types */
  float norm_eps;        /**< what layer norms add to the variance */
  int32_t normalize;     /**< 1: vectors of sequences have length 1 */
  int32_t has_tokenizer; /**< 1: headlane_model_tokenize works */
  int64_t n_parameters;  /**< elements of all weights */
  int64_t file_bytes;    /**< of the file */
  int64_t packed_bytes;  /**< memory that the packed weights take */
  int64_t n_tensors;     /**< in the file */
  int64_t kdim;          /**< for "layers": columns that keys are projected from; else 0 */
  int64_t vdim;          /**< likewise, of values */
  int64_t n_kv_heads;    /**< of K and V in each layer */
  const char* norm;      /**< "none", "post", "pre": where norms stand about residuals */
  int32_t residual;      /**< 1: x is added to what attention, and the feed-forward, make of it */
  int32_t final_norm;    /**< 1: one more norm at the end */
  /** For "layers": 1: its arrays are [batch, seq, d_model] by custom, 0: [seq, batch, d_model]; the
   * strides of a call say how its own arrays lie. */
  int32_t batch_first;
  /** What products are computed in: "f32", "bf16", "int8", "int8g", "int6", "int5", "int4". */
  const char* precision;
  const char* file_precision; /**< what the file's weights are stored in */
  const char* auto_precision; /**< what precision "auto" is on this machine */
  /** 1: headlane_generator_generate works; those below are its, the first three also of decoder
   * layers on activations */
  int32_t has_decoder;
  int64_t n_decoder_layers;   /**< of the decoder */
  int64_t n_decoder_heads;    /**< of Q in each of them */
  int64_t decoder_d_ff;       /**< columns inside their feed-forward */
  int64_t decoder_vocab_size; /**< of targets */
  int64_t max_target_len;     /**< no target may have more tokens */
  int64_t max_new_tokens;     /**< defaults of headlane_generate_options */
  int64_t n_beams;            /**< likewise */
  int32_t start_id;           /**< what the decoder is given first */
  /** What answers begin with unless first_id says otherwise; -1: nothing. */
  int32_t forced_first_id;
  int64_t n_languages; /**< that the tokenizer has tokens for; 0 also if there is no tokenizer */
  int64_t n_prompts;   /**< that headlane_model_get_prompt knows */
  /** What the model's makers want to be put before each text that is embedded, null-terminated; "":
   * nothing. Give it as headlane_tokenize_options.prompt. */
  const char* default_prompt;
  /** Columns of the vector that the model makes of a sequence: d_model, unless there are steps
   * behind pooling that make more or fewer of them; 0: it makes none. */
  int64_t d_vector;
  int64_t n_labels;    /**< of a classifier, that headlane_model_get_label knows */
  const char* outcome; /**< what its scores are made to be: "raw", "sigmoid", "softmax"; "none": it
                        * is no classifier */
  /** 1: one of the labels is entailment, and headlane_session_zero_shot works. */
  int32_t has_entailment;
  /** Columns of a vector that headlane_session_embed writes unless another number is asked for: the
   * first ones, which the model's makers mean to be used alone; d_vector if they mean all. */
  int64_t d_embedding;
  /** How vectors are to be compared: "cosine", "dot", "euclidean" (minus the distance),
   * "manhattan" (likewise, by the sum of the differences). */
  const char* similarity;
  /** 1: pooling leaves the tokens of a prompt out, as headlane_session_embed does by itself;
   * headlane_session_encode must be told how many they are (headlane_batch.n_left_out). */
  int32_t leaves_out_prompt;
  /** How the makers of a language model mean tokens to be drawn, by the names of
   * headlane_generate_options. 0: they do not, and the other three say nothing. A call of
   * headlane_generator_generate that asks for nothing takes the likeliest tokens all the same. */
  double temperature;
  int64_t top_k; /**< likewise */
  double top_p;  /**< likewise */
  double min_p;  /**< likewise */
  /** What keys and values of one token take, in all layers of the decoder, in this precision; 0:
   * the model does not generate. */
  int64_t cache_token_bytes;
  /** Likewise, where the option cache of headlane_sequences_options says so; 0 also where the model
   * has no cache in that format. */
  int64_t cache_token_bytes_f32;
  int64_t cache_token_bytes_bf16; /**< likewise */
  int64_t cache_token_bytes_int8; /**< likewise */
  int64_t mapped_bytes;           /**< of packed_bytes, those that lie in the mapped file */
  int64_t n_products;             /**< weights that packed_bytes are of */
  /** Of these, how many the file has as this machine reads them (headlane_pack); the others are
   * packed when the model is opened. */
  int64_t n_stored_products;
  int64_t n_panels; /**< weights that the file has packed, for this machine and for others */
  int64_t n_chat_templates; /**< of a language model; 0: it holds no conversations */
} headlane_model_facts;

/** What the model is.
 * @param model of a file or of headlane_model_create_layer
 * @param[out] out filled as far as its struct_size reaches, which must be set. Its strings live as
 * long as the model.
 * @return INVALID_ARGUMENT */
HEADLANE_API headlane_status headlane_model_get_facts(const headlane_model* model,
                                                      headlane_model_facts* out);

/** What the model is, as JSON in UTF-8: everything that headlane_model_facts says and what it has
 * no fields for. It is for people and for programs that show it; new members come with new
 * versions.
 *
 *     {"config": {...},             as the file has it (docs/files.md)
 *      "vectors": {"columns": 384, "embedding_columns": 384, "similarity": "cosine",
 *                  "leaves_out_prompt": false},  or null
 *      "tokenizer": {"type": "wordpiece", "vocab_size": 30522, "languages": ["en", ...]},  or null
 *      "n_parameters": 22713216, "file_bytes": ..., "packed_bytes": ...,
 *      "file_precision": "f32", "precision": "f32", "auto_precision": "int8",
 *      "isa": "avx2", "gemm": "headlane", "kernels": {"gemm_f32": "avx2 6x16", ...},
 *      "tensors": [{"name": "...", "dtype": "f32", "shape": [30522, 384], "bytes": ...}, ...]}
 *
 * @param model of a file or of headlane_model_create_layer
 * @param[out] json [capacity], not null-terminated; null if capacity is 0
 * @param capacity how many bytes there is room for; 0 asks for the number alone
 * @param[out] n_bytes how many bytes it has; packed_bytes grows with the first session of a
 * precision, so a later call may need some more
 * @return INVALID_ARGUMENT; TOO_LARGE: 0 < capacity < n_bytes, which is written all the same */
HEADLANE_API headlane_status headlane_model_get_json(const headlane_model* model, char* json,
                                                     int64_t capacity, int64_t* n_bytes);

/** What a tensor of the file is. */
typedef struct headlane_tensor_facts {
  size_t struct_size;   /**< sizeof this struct */
  const char* name;     /**< strings and shape live as long as the model */
  const char* dtype;    /**< "f32", "bf16", "s8", "u8" */
  int64_t rank;         /**< how many dimensions */
  const int64_t* shape; /**< [rank] */
  int64_t bytes;        /**< of its data */
} headlane_tensor_facts;

/** One tensor of the file.
 * @param model of a file or of headlane_model_create_layer
 * @param i which one, 0 <= i < n_tensors
 * @param[out] out filled as far as its struct_size reaches, which must be set. Its strings and its
 * shape live as long as the model.
 * @return INVALID_ARGUMENT */
HEADLANE_API headlane_status headlane_model_get_tensor(const headlane_model* model, int64_t i,
                                                       headlane_tensor_facts* out);

/** A text that stands before the texts which the model embeds, for a use of the model. */
typedef struct headlane_prompt_facts {
  size_t struct_size; /**< sizeof this struct */
  const char* name;   /**< null-terminated: "query"; as long as the model */
  const char* text;   /**< null-terminated: "query: ", or ""; likewise */
  int32_t is_default; /**< 1: it is put before texts unless another prompt is asked for */
} headlane_prompt_facts;

/** One of the prompts of the model.
 * @param model of a file
 * @param i which one, 0 <= i < n_prompts; they are in the order of their names
 * @param[out] out filled as far as its struct_size reaches, which must be set
 * @return INVALID_ARGUMENT */
HEADLANE_API headlane_status headlane_model_get_prompt(const headlane_model* model, int64_t i,
                                                       headlane_prompt_facts* out);

/** The prompt of a name. Every model has the names "query" and "document"; their prompts are empty
 * unless its file says otherwise.
 * @param model of a file
 * @param name null-terminated
 * @param[out] text null-terminated, as long as the model: give it as
 * headlane_tokenize_options.prompt
 * @return INVALID_ARGUMENT: the model has no prompt of that name */
HEADLANE_API headlane_status headlane_model_find_prompt(const headlane_model* model,
                                                        const char* name, const char** text);

/** The instruction set that models get which are opened or made now, without any model.
 * @param isa as in headlane_model_options; null: the fastest there is
 * @param[out] out "ref", "avx2", ..., as headlane_model_facts would say; valid for ever
 * @return INVALID_ARGUMENT: isa, or the environment's HEADLANE_MAX_ISA, is no name of one */
HEADLANE_API headlane_status headlane_isa(const char* isa, const char** out);

/** The instruction sets that there are kernels for, slowest first: the names that
 * headlane_model_options.isa and HEADLANE_MAX_ISA may have.
 * @return "ref, avx2, ...", valid for ever */
HEADLANE_API const char* headlane_isa_names(void);

/** The kernels that were chosen for this machine: lines "slot: implementation".
 * @param model or null
 * @return as long as the model; null if the model is null */
HEADLANE_API const char* headlane_model_kernels(const headlane_model* model);

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_MODEL_H_ */
