/** @file
 * C++: sessions, which turn batches into hidden states and vectors.
 */
#ifndef HEADLANE_SESSION_HPP_
#define HEADLANE_SESSION_HPP_

#include <algorithm>
#include <headlane/batch.hpp>
#include <headlane/error.hpp>
#include <headlane/model.hpp>
#include <headlane/texts.hpp>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace headlane {
inline namespace v0 {

/** headlane_session: what one stream of calls works in. One thread at a time may use it. */
class Session {
 public:
  /** Plans the passes, and takes memory and threads.
   * @param model kept by the session
   * @param options see headlane_session_options
   * @throw Error as of headlane_session_create */
  explicit Session(const Model& model, const headlane_session_options& options = SessionOptions())
      : d_model_(static_cast<size_t>(model.facts().d_model)),
        d_vector_(static_cast<size_t>(model.facts().d_vector)),
        d_embedding_(static_cast<size_t>(model.facts().d_embedding)),
        n_labels_(static_cast<size_t>(model.facts().n_labels)) {
    headlane_session* made = nullptr;
    check(headlane_session_create(model.get(), &options, &made));
    session_ = {made, Destroy{model.model_}};
  }

  /** The exact size of the block that a session would work in.
   * @param model that it would be of
   * @param options see headlane_session_options
   * @return bytes
   * @throw Error as of headlane_session_bytes */
  static size_t bytes(const Model& model,
                      const headlane_session_options& options = SessionOptions()) {
    size_t n_bytes = 0;
    check(headlane_session_bytes(model.get(), &options, &n_bytes));
    return n_bytes;
  }

  /** Runs a model that takes token ids.
   * @param batch of this class, or C's own
   * @param outputs where to write what is wanted
   * @throw Error as of headlane_session_encode */
  void encode(const headlane_batch& batch, const headlane_outputs& outputs) {
    check(headlane_session_encode(get(), &batch, &outputs));
  }

  /** Runs a model that takes token ids.
   * @param batch the sequences
   * @param hidden [n_tokens, d_model], last hidden states; empty: not wanted
   * @param pooled [n_seqs, d_vector], a vector for each sequence; empty: not wanted
   * @throw Error as of headlane_session_encode; INVALID_ARGUMENT if a span has another size */
  void encode(const Batch& batch, std::span<float> hidden, std::span<float> pooled = {}) {
    Outputs outputs;
    outputs.hidden = room("hidden", hidden, batch.n_tokens() * d_model_);
    outputs.pooled = room("pooled", pooled, batch.n_seqs() * d_vector_);
    outputs.d_pooled = static_cast<int64_t>(d_vector_);
    encode(batch.get(), outputs);
  }

  /** Texts to vectors. The model's default prompt, if it has one, is put before each text.
   * @param texts any number, of which a copy is made; the other embed takes them where they are
   * @param options see headlane_tokenize_options; a prompt takes the place of the model's default,
   * "" that of none
   * @return [texts, d_embedding]
   * @throw Error as of headlane_session_embed */
  template <Texts Range = std::initializer_list<std::string_view>>
  std::vector<float> embed(const Range& texts,
                           const headlane_tokenize_options& options = TokenizeOptions()) {
    EmbedOptions embed_options;
    embed_options.tokenize = &options;
    return embed(texts, embed_options);
  }

  /** Texts to vectors, with all that can be asked of them.
   * @param texts any number, of which a copy is made
   * @param options see headlane_embed_options
   * @return [texts, columns]: d_embedding of the model, or as many as truncate_dim says
   * @throw Error as of headlane_session_embed */
  template <Texts Range = std::initializer_list<std::string_view>>
  std::vector<float> embed(const Range& texts, const headlane_embed_options& options) {
    const JoinedTexts joined(texts);
    std::vector<float> vectors(joined.size() * columns_of(options));
    if (joined.size() > 0) embed(joined.get(), vectors, 0, options);
    return vectors;
  }

  /** Texts end to end to vectors in rows of the caller's.
   * @param texts see headlane_texts
   * @param vectors [texts, stride], whose last row may end with the elements of its vector
   * @param stride elements from one row to the next; 0: those of a vector
   * @param options see headlane_embed_options
   * @throw Error as of headlane_session_embed; INVALID_ARGUMENT if vectors has too few elements */
  void embed(const headlane_texts& texts, std::span<float> vectors, int64_t stride = 0,
             const headlane_embed_options& options = EmbedOptions()) {
    const size_t columns = columns_of(options);
    check_rows("vectors", vectors, texts.n_texts, columns, stride);
    check(headlane_session_embed(get(), &texts, &options, vectors.data(),
                                 stride != 0 ? stride : static_cast<int64_t>(columns)));
  }

  /** Scores of a classifier's labels for each text.
   * @param texts any number, of which a copy is made; the other classify takes them where they are
   * @param options see headlane_classify_options, which has the second texts of pairs
   * @return [texts, labels]
   * @throw Error as of headlane_session_classify */
  template <Texts Range = std::initializer_list<std::string_view>>
  std::vector<float> classify(const Range& texts,
                              const headlane_classify_options& options = ClassifyOptions()) {
    const JoinedTexts joined(texts);
    std::vector<float> scores(joined.size() * n_labels_);
    const TextArray array = joined.get();
    check(headlane_session_classify(get(), &array, &options, scores.data(), 0));
    return scores;
  }

  /** Scores of a classifier's labels in rows of the caller's.
   * @param texts see headlane_texts
   * @param scores [texts, stride], whose last row may end with its labels
   * @param stride elements from one row to the next; 0: one for each label
   * @param options see headlane_classify_options
   * @throw Error as of headlane_session_classify; INVALID_ARGUMENT if scores has too few elements
   */
  void classify(const headlane_texts& texts, std::span<float> scores, int64_t stride = 0,
                const headlane_classify_options& options = ClassifyOptions()) {
    check_rows("scores", scores, texts.n_texts, n_labels_, stride);
    check(headlane_session_classify(get(), &texts, &options, scores.data(), stride));
  }

  /** A document that was ranked. */
  struct Ranked {
    int64_t document; /**< its number, from 0 */
    float score;      /**< the higher, the better it answers the query */
  };

  /** Ranks documents for a query, by a cross-encoder.
   * @param query UTF-8 of any content
   * @param documents any number, of which a copy is made
   * @param top_k how many are wanted; -1: all
   * @param options see headlane_classify_options
   * @return those with the highest scores, the highest first
   * @throw Error as of headlane_session_rank */
  template <Texts Range = std::initializer_list<std::string_view>>
  std::vector<Ranked> rank(std::string_view query, const Range& documents, int64_t top_k = -1,
                           const headlane_classify_options& options = ClassifyOptions()) {
    const JoinedTexts joined(documents);
    const size_t n = joined.size();
    std::vector<float> scores(n);
    std::vector<int64_t> order(top_k < 0 ? n : std::min(n, static_cast<size_t>(top_k)));
    const TextArray array = joined.get();
    check(headlane_session_rank(get(), query.data(), query.size(), &array, &options, scores.data(),
                                order.data(), static_cast<int64_t>(order.size())));
    std::vector<Ranked> ranked;
    for (const int64_t document : order) {
      ranked.push_back({document, scores[static_cast<size_t>(document)]});
    }
    return ranked;
  }

  /** Scores of labels that the model has not seen in training, for each text.
   * @param texts any number, of which a copy is made
   * @param labels one or more, likewise
   * @param options see headlane_zero_shot_options
   * @return [texts, labels]
   * @throw Error as of headlane_session_zero_shot */
  template <Texts Range = std::initializer_list<std::string_view>,
            Texts Labels = std::initializer_list<std::string_view>>
  std::vector<float> zero_shot(const Range& texts, const Labels& labels,
                               const headlane_zero_shot_options& options = ZeroShotOptions()) {
    const JoinedTexts joined(texts), names(labels);
    std::vector<float> scores(joined.size() * names.size());
    const TextArray array = joined.get(), label_array = names.get();
    check(headlane_session_zero_shot(get(), &array, &label_array, &options, scores.data(), 0));
    return scores;
  }

  /** Runs a model that takes activations.
   * @param batch the rows
   * @throw Error as of headlane_session_forward */
  void forward(const headlane_forward_batch& batch) {
    check(headlane_session_forward(get(), &batch));
  }

  /** Ends the call that is under way, and those to come until it is set to false again. From any
   * thread, at any time: the one exception to one thread at a time.
   * @param cancelled true: calls throw an Error of HEADLANE_CANCELLED
   * @throw Error if this was moved from */
  void set_cancelled(bool cancelled) {
    check(headlane_session_set_cancelled(get(), cancelled ? 1 : 0));
  }

  /** Begins to count where the time goes, or stops.
   * @param on true counts from zero, from the next run on
   * @throw Error if this was moved from */
  void profile(bool on) { check(headlane_session_profile(get(), on ? 1 : 0)); }

  /** What was counted of one pass.
   * @param i which one, below n_passes of any
   * @return see headlane_pass_facts
   * @throw Error if there is none */
  PassFacts pass(int64_t i) const {
    PassFacts found;
    check(headlane_session_get_pass(get(), i, &found));
    return found;
  }

  /** When one thread worked on one pass, in the last run that was counted.
   * @param i which pass
   * @param thread which thread, below n_threads of the pass
   * @return see headlane_pass_span
   * @throw Error if there is none */
  PassSpan span(int64_t i, int64_t thread) const {
    PassSpan found;
    check(headlane_session_get_span(get(), i, thread, &found));
    return found;
  }

  /** The session as the C API takes it.
   * @return as long as this lives; null if it was moved from */
  headlane_session* get() const noexcept { return session_.get(); }

 private:
  // The session keeps the model until it ends itself.
  struct Destroy {
    std::shared_ptr<headlane_model> model;
    void operator()(headlane_session* session) const { headlane_session_destroy(session); }
  };

  // A vector that the options ask for has so many. The library says what is wrong with them.
  size_t columns_of(const headlane_embed_options& options) const {
    const size_t all = d_vector_ > 0 ? d_vector_ : options.pooling ? d_model_ : 0;
    if (options.truncate_dim <= 0) return d_embedding_ > 0 ? d_embedding_ : all;
    return std::min(static_cast<size_t>(options.truncate_dim), all);
  }

  static float* room(const char* name, std::span<float> given, size_t n_elements) {
    if (given.empty()) return nullptr;
    if (given.size() != n_elements) {
      throw Error(HEADLANE_INVALID_ARGUMENT, std::string(name) + " has " +
                                                 std::to_string(given.size()) + " elements, not " +
                                                 std::to_string(n_elements));
    }
    return given.data();
  }

  // Whether there is room for n_texts rows of n_columns, the last of which may end with them.
  static void check_rows(const char* name, std::span<const float> given, int64_t n_texts,
                         size_t n_columns, int64_t stride) {
    const size_t row = stride > 0 ? static_cast<size_t>(stride) : n_columns;
    const size_t n_rows = n_texts > 0 ? static_cast<size_t>(n_texts) : 0;
    const size_t n_full = row > 0 ? given.size() / row : n_rows;
    const size_t rest = given.size() - (row > 0 ? n_full * row : 0);
    if (n_full + (rest >= n_columns ? 1 : 0) >= n_rows) return;
    throw Error(HEADLANE_INVALID_ARGUMENT, std::string(name) + " has " +
                                               std::to_string(given.size()) +
                                               " elements, too few for " + std::to_string(n_rows) +
                                               " rows of " + std::to_string(row));
  }

  size_t d_model_, d_vector_, d_embedding_, n_labels_;
  std::unique_ptr<headlane_session, Destroy> session_;
};

}  // namespace v0
}  // namespace headlane

#endif  // HEADLANE_SESSION_HPP_
