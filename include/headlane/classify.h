/** @file
 * Texts to scores: classifiers, cross-encoders, and labels of the caller's.
 */
#ifndef HEADLANE_CLASSIFY_H_
#define HEADLANE_CLASSIFY_H_

#include <headlane/embed.h>
#include <headlane/init.h>
#include <headlane/model.h>
#include <headlane/session.h>
#include <headlane/status.h>
#include <headlane/text.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A label of a classifier. */
typedef struct headlane_label_facts {
  size_t struct_size; /**< sizeof this struct */
  const char* name;   /**< null-terminated, UTF-8: "positive"; as long as the model */
  /** 1: it says that the second text of a pair follows from the first, which is what
   * headlane_session_zero_shot needs of a model. */
  int32_t is_entailment;
} headlane_label_facts;

/** One of the labels of a classifier.
 * @param model of a file
 * @param i which one, 0 <= i < n_labels of headlane_model_facts; it is the column of its score
 * @param[out] out filled as far as its struct_size reaches, which must be set
 * @return INVALID_ARGUMENT */
HEADLANE_API headlane_status headlane_model_get_label(const headlane_model* model, int64_t i,
                                                      headlane_label_facts* out);

/** What scores are. */
typedef enum headlane_outcome {
  /** As the model's files say (outcome of headlane_model_facts): probabilities, mostly. */
  HEADLANE_OUTCOME_OF_MODEL = 0,
  HEADLANE_OUTCOME_RAW = 1,     /**< what the last product gives: "logits" */
  HEADLANE_OUTCOME_SIGMOID = 2, /**< 1 / (1 + e^-x), each label by itself */
  HEADLANE_OUTCOME_SOFTMAX = 3  /**< e^x / sum of e^x: those of a text have the sum 1 */
} headlane_outcome;

/** How texts are classified or ranked. */
typedef struct headlane_classify_options {
  size_t struct_size;       /**< sizeof this struct */
  headlane_outcome outcome; /**< 0: OF_MODEL */
  /** Null: defaults. If its prompt is null, the model's default prompt is used, which few
   * classifiers have. */
  const headlane_tokenize_options* tokenize;
  /** Of headlane_session_classify: the second texts of pairs, as many as there are texts, which are
   * then the first ones. Null: the texts are no pairs. */
  const headlane_texts* second;
  headlane_on_progress on_progress; /**< null: none; texts count that have their scores */
  void* user;                       /**< handed to on_progress */
} headlane_classify_options;

/** Scores of a classifier's labels, for each of many texts or pairs of texts. They are tokenised
 * and run as by headlane_session_embed, and what is said there of memory, progress and cancelling
 * holds here too. The scores of a text have the same bits whatever is beside it, for any session
 * and any number of threads.
 * @param session of a model with a tokenizer and with labels
 * @param texts any number
 * @param options null: defaults
 * @param[out] scores row i, of text i, is the n_labels elements from scores + i * stride on; what
 * lies between rows is not touched. Null if there are no texts.
 * @param stride elements from one row to the next, at least n_labels; 0: n_labels
 * @return as headlane_session_embed, where UNSUPPORTED is: the model has no tokenizer, or is no
 * classifier; its tokenizer takes no pairs */
HEADLANE_API headlane_status headlane_session_classify(headlane_session* session,
                                                       const headlane_texts* texts,
                                                       const headlane_classify_options* options,
                                                       float* scores, int64_t stride);

/** Ranks texts for a query by a cross-encoder: a classifier of one label, to which each text is the
 * second one of a pair.
 * @param session of such a model
 * @param query [query_bytes], UTF-8 of any content; null if query_bytes is 0
 * @param query_bytes of the query
 * @param documents any number
 * @param options null: defaults; its `second` must be null
 * @param[out] scores [n_texts of documents], the score of each; null: not wanted
 * @param[out] order [the smaller of top_k and n_texts], the numbers of the documents with the
 * highest scores, the highest first. Documents of the same score stand in their own order, and
 * those whose score is a NaN at the end. Null if top_k is 0.
 * @param top_k how many are wanted
 * @return as headlane_session_classify; UNSUPPORTED also for a model of more labels than one. After
 * any error nothing is written. */
HEADLANE_API headlane_status headlane_session_rank(headlane_session* session, const char* query,
                                                   size_t query_bytes,
                                                   const headlane_texts* documents,
                                                   const headlane_classify_options* options,
                                                   float* scores, int64_t* order, int64_t top_k);

/** How texts are classified by labels of the caller's. */
typedef struct headlane_zero_shot_options {
  size_t struct_size;                        /**< sizeof this struct */
  const headlane_tokenize_options* tokenize; /**< as in headlane_classify_options */
  /** A sentence in which "{}" stands for a label, null-terminated, with no other brace; null: "This
   * example is {}." */
  const char* hypothesis;
  /** 0: one of the labels is right, and the scores of a text have the sum 1. 1: any of them may be,
   * and each has a score by itself. A label that is the only one always has one by itself. */
  int32_t multi_label;
  headlane_on_progress on_progress; /**< null: none; pairs of a text and a label count as texts */
  void* user;                       /**< handed to on_progress */
} headlane_zero_shot_options;

/** Classifies texts by labels that the model has not seen in training ("zero-shot"). The model is
 * one that says whether a second text follows from a first, contradicts it or neither. Each text is
 * the first one of a pair, and the hypothesis with a label in it the second. Scores are those that
 * transformers' pipeline computes.
 * @param session of a model with a tokenizer and a label of entailment (headlane_label_facts)
 * @param texts any number
 * @param labels one or more
 * @param options null: defaults
 * @param[out] scores row i, of text i, is a score for each label, from scores + i * stride on.
 * Null if there are no texts.
 * @param stride elements from one row to the next, at least the number of labels; 0: that number
 * @return as headlane_session_classify; INVALID_ARGUMENT also where there is no label, or where the
 * hypothesis has no place for one; UNSUPPORTED also where the model has no label of entailment.
 * After any error nothing is written. */
HEADLANE_API headlane_status headlane_session_zero_shot(headlane_session* session,
                                                        const headlane_texts* texts,
                                                        const headlane_texts* labels,
                                                        const headlane_zero_shot_options* options,
                                                        float* scores, int64_t stride);

#ifdef __cplusplus
}
#endif

#endif /* HEADLANE_CLASSIFY_H_ */
