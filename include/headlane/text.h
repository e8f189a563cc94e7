/** @file
 * Text to token ids, and back.
 */
#ifndef HEADLANE_TEXT_H_
#define HEADLANE_TEXT_H_

#include <headlane/init.h>
#include <headlane/model.h>
#include <headlane/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Which of two texts loses tokens if they are too long together. The values are those of the
 * `tokenizers` library. */
typedef enum headlane_truncation {
  /** The longer one, until it is as long as the other; then both. */
  HEADLANE_LONGEST_FIRST = 0,
  HEADLANE_ONLY_FIRST = 1,  /**< the first one alone; an error if it has too few */
  HEADLANE_ONLY_SECOND = 2, /**< the second one alone; likewise */
} headlane_truncation;

/** The language of a text, its prompt, and what it is for. A field that is zero has its default. */
typedef struct headlane_tokenize_options {
  size_t struct_size; /**< sizeof this struct */
  int64_t max_len;    /**< the ids are cut to this many, special tokens counted; 0: the model's
                       * max_seq_len */
  /** Languages by the names that the model's community has for them: "zh", "zho_Hans". Null or "":
   * not given. NLLB and M2M-100 mark a source with its own language (if it is not given, the one
   * that the model's files name) and begin the target with the other language; multilingual OPUS-MT
   * models begin the source with the token of target_language, unless the text does so itself:
   * ">>fra<< ...". */
  const char* source_language; /**< null-terminated */
  const char* target_language; /**< likewise */
  /** 1: the text is an answer, not a source: its ids are of the targets' vocabulary, without
   * special tokens (neither a language's nor an end's). */
  int32_t as_target;
  /** Put before the text, as if the text began with it; null-terminated. Null or "": nothing. A
   * prompt of the model: default_prompt of headlane_model_facts, or one that
   * headlane_model_find_prompt gives. */
  const char* prompt;
  headlane_truncation truncation; /**< of pairs of texts */
} headlane_tokenize_options;

/** Token ids of a text, special tokens included. They are those of this text alone, unless the
 * options have a prompt: where a model has a default prompt (headlane_model_facts), its makers want
 * it to be put before each text that is embedded.
 * @param model with a tokenizer
 * @param text [text_bytes], UTF-8 of any content; null if text_bytes is 0
 * @param text_bytes of the text
 * @param options null: defaults
 * @param[out] ids [capacity]; null if capacity is 0
 * @param capacity how many ids there is room for; 0 asks for the number alone
 * @param[out] n_ids how many ids the text has, after truncation
 * @return INVALID_ARGUMENT, also for a language that the model does not have; TOO_LARGE: 0 <
 * capacity < n_ids, which is written all the same; UNSUPPORTED: the file has no tokenizer, or the
 * tokenizer no token for a language */
HEADLANE_API headlane_status headlane_model_tokenize(const headlane_model* model, const char* text,
                                                     size_t text_bytes,
                                                     const headlane_tokenize_options* options,
                                                     int32_t* ids, int64_t capacity,
                                                     int64_t* n_ids);

/** Token ids of two texts as one sequence, as the folder's tokenizer makes it: for BERT, [CLS] text
 * [SEP] second [SEP]; for RoBERTa, the begin, the text, two ends, the second text, and an end. If
 * they are too long, tokens are cut as headlane_tokenize_options.truncation says, from the ends of
 * the texts, or from their beginnings where the folder said so.
 * @param model with a tokenizer that takes pairs
 * @param text [text_bytes], UTF-8 of any content; null if text_bytes is 0
 * @param text_bytes of the text
 * @param second [second_bytes], likewise
 * @param second_bytes of the second text
 * @param options null: defaults; a prompt is put before the first text
 * @param[out] ids [capacity]; null if capacity is 0
 * @param[out] type_ids [capacity], for headlane_batch: BERT's are 0 up to the first [SEP], then 1;
 * all 0 where the tokenizer gives the model no types, or the model has one. Null: not wanted
 * @param capacity how many ids there is room for; 0 asks for the number alone
 * @param[out] n_ids how many ids the pair has, after truncation
 * @return as headlane_model_tokenize; INVALID_ARGUMENT also where the one text that may be cut is
 * too short; UNSUPPORTED also where the tokenizer does not take pairs, or where nobody knows the
 * types that the model needs */
HEADLANE_API headlane_status headlane_model_tokenize_pair(const headlane_model* model,
                                                          const char* text, size_t text_bytes,
                                                          const char* second, size_t second_bytes,
                                                          const headlane_tokenize_options* options,
                                                          int32_t* ids, int32_t* type_ids,
                                                          int64_t capacity, int64_t* n_ids);

/** The text of ids. If targets have a vocabulary of their own, the ids are of that vocabulary.
 * Special tokens are left out.
 * @param model with a tokenizer
 * @param ids [n_ids], each in the vocabulary
 * @param n_ids how many
 * @param[out] text [capacity], UTF-8, not null-terminated; null if capacity is 0
 * @param capacity how many bytes there is room for; 0 asks for the number alone
 * @param[out] n_bytes how many bytes the text has
 * @return INVALID_ARGUMENT; TOO_LARGE: 0 < capacity < n_bytes, which is written all the same;
 * UNSUPPORTED: the file has no tokenizer */
HEADLANE_API headlane_status headlane_model_detokenize(const headlane_model* model,
                                                       const int32_t* ids, int64_t n_ids,
                                                       char* text, int64_t capacity,
                                                       int64_t* n_bytes);

/** The spelling of one token.
 * @param model with a tokenizer
 * @param id in [0, vocab_size)
 * @param[out] text not null-terminated; as long as the model
 * @param[out] text_bytes of the text
 * @return INVALID_ARGUMENT; UNSUPPORTED: the file has no tokenizer */
HEADLANE_API headlane_status headlane_model_get_token(const headlane_model* model, int32_t id,
                                                      const char** text, size_t* text_bytes);

/** The spelling of one token of targets, where these have a vocabulary of their own; otherwise as
 * headlane_model_get_token.
 * @param model with a tokenizer
 * @param id in [0, decoder_vocab_size)
 * @param[out] text not null-terminated; as long as the model
 * @param[out] text_bytes of the text
 * @return INVALID_ARGUMENT; UNSUPPORTED: the file has no tokenizer */
HEADLANE_API headlane_status headlane_model_get_target_token(const headlane_model* model,
                                                             int32_t id, const char** text,
                                                             size_t* text_bytes);

/** A language of a tokenizer. */
typedef struct headlane_language_facts {
  size_t struct_size; /**< sizeof this struct */
  /** [name_bytes], not null-terminated: "zh", "zho_Hans"; as long as the model. */
  const char* name;
  size_t name_bytes;     /**< of the name */
  int32_t id;            /**< of its token */
  int32_t begins_target; /**< 1: a target in it begins with that token: give it as first_id; 0: the
                          * source begins with it, and headlane_model_tokenize puts it there */
} headlane_language_facts;

/** One of the languages that the tokenizer has tokens for.
 * @param model with a tokenizer
 * @param i which one, 0 <= i < n_languages
 * @param[out] out filled as far as its struct_size reaches, which must be set
 * @return INVALID_ARGUMENT; UNSUPPORTED: the file has no tokenizer */
HEADLANE_API headlane_status headlane_model_get_language(const headlane_model* model, int64_t i,
                                                         headlane_language_facts* out);

/** The id of the token that is spelled so: "</s>", "__zh__", "zho_Hans".
 * @param model with a tokenizer
 * @param text [text_bytes]
 * @param text_bytes of the text
 * @param[out] id of that token
 * @return INVALID_ARGUMENT: there is none; UNSUPPORTED: the file has no tokenizer */
HEADLANE_API headlane_status headlane_model_find_token(const headlane_model* model,
                                                       const char* text, size_t text_bytes,
                                                       int32_t* id);

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_TEXT_H_ */
