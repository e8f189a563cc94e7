/** @file
 * C++: many sequences of a language model at once.
 */
#ifndef HEADLANE_SEQUENCES_HPP_
#define HEADLANE_SEQUENCES_HPP_

#include <headlane/error.hpp>
#include <headlane/model.hpp>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace headlane {
inline namespace v0 {

/** headlane_sequences: sequences that join and leave while one thread takes steps. All functions
 * but step, and the destructor, may be called by any thread at any time. */
class Sequences {
 public:
  /** Takes memory and threads.
   * @param model with a decoder alone; kept by the sequences
   * @param options see headlane_sequences_options
   * @throw Error for each error of headlane_sequences_create */
  explicit Sequences(const Model& model,
                     const headlane_sequences_options& options = SequencesOptions())
      : d_model_(static_cast<size_t>(model.facts().d_model)) {
    headlane_sequences* made = nullptr;
    check(headlane_sequences_create(model.get(), &options, &made));
    sequences_ = {made, Destroy{model.model_}};
  }

  /** The exact size of the block in which sequences would be computed.
   * @param model with a decoder alone
   * @param options see headlane_sequences_options
   * @return bytes
   * @throw Error for each error of headlane_sequences_bytes */
  static size_t bytes(const Model& model,
                      const headlane_sequences_options& options = SequencesOptions()) {
    size_t n_bytes = 0;
    check(headlane_sequences_bytes(model.get(), &options, &n_bytes));
    return n_bytes;
  }

  /** Adds a sequence.
   * @param ids the prompt, one or more
   * @param options see headlane_sequence_options
   * @return its number
   * @throw Error for each error of headlane_sequences_add */
  int64_t add(std::span<const int32_t> ids,
              const headlane_sequence_options& options = SequenceOptions()) {
    int64_t sequence = 0;
    check(headlane_sequences_add(get(), ids.data(), static_cast<int64_t>(ids.size()), &options,
                                 &sequence));
    return sequence;
  }

  /** Adds a sequence whose prompt is a text.
   * @param text UTF-8 of any content
   * @param options see headlane_sequence_options
   * @return its number
   * @throw Error for each error of headlane_sequences_add_text */
  int64_t add_text(std::string_view text,
                   const headlane_sequence_options& options = SequenceOptions()) {
    int64_t sequence = 0;
    check(headlane_sequences_add_text(get(), text.data(), text.size(), &options, &sequence));
    return sequence;
  }

  /** Adds a sequence that begins as another one.
   * @param from the number of the other one
   * @param n_tokens of its prompt and of what came after it
   * @param ids what comes behind them
   * @param options see headlane_sequence_options
   * @return its number
   * @throw Error for each error of headlane_sequences_fork */
  int64_t fork(int64_t from, int64_t n_tokens, std::span<const int32_t> ids = {},
               const headlane_sequence_options& options = SequenceOptions()) {
    int64_t sequence = 0;
    check(headlane_sequences_fork(get(), from, n_tokens, ids.data(),
                                  static_cast<int64_t>(ids.size()), &options, &sequence));
    return sequence;
  }

  /** Makes a sequence shorter; it goes on from there.
   * @param sequence its number
   * @param n_tokens of its prompt and of what came after it, 1 or more
   * @throw Error for each error of headlane_sequences_rewind */
  void rewind(int64_t sequence, int64_t n_tokens) {
    check(headlane_sequences_rewind(get(), sequence, n_tokens));
  }

  /** Ends a sequence, if it has not ended, and forgets it.
   * @param sequence its number
   * @throw Error if there is no such sequence */
  void remove(int64_t sequence) { check(headlane_sequences_remove(get(), sequence)); }

  /** Some tokens of each sequence that runs. One thread at a time may call it.
   * @return how many sequences have not ended
   * @throw Error for each error of headlane_sequences_step */
  int64_t step() {
    int64_t n_unfinished = 0;
    check(headlane_sequences_step(get(), &n_unfinished));
    return n_unfinished;
  }

  /** How far a sequence is.
   * @param sequence its number
   * @return see headlane_sequence_facts
   * @throw Error if there is no such sequence */
  SequenceFacts facts(int64_t sequence) const {
    SequenceFacts facts;
    check(headlane_sequences_get(get(), sequence, &facts));
    return facts;
  }

  /** The tokens that came after the prompt, so far.
   * @param sequence its number
   * @return a copy
   * @throw Error if there is no such sequence */
  std::vector<int32_t> ids(int64_t sequence) const {
    const SequenceFacts of = facts(sequence);
    // As many as may come while this is called.
    std::vector<int32_t> ids(static_cast<size_t>(of.n_new + 1));
    int64_t n = 0;
    headlane_status status = HEADLANE_OK;
    while ((status = headlane_sequences_get_ids(get(), sequence, ids.data(),
                                                static_cast<int64_t>(ids.size()), &n)) ==
           HEADLANE_TOO_LARGE) {
      ids.resize(static_cast<size_t>(n + 1));
    }
    check(status);
    ids.resize(static_cast<size_t>(n));
    return ids;
  }

  /** The text that came after the prompt, as much as can be shown.
   * @param sequence its number
   * @return a copy
   * @throw Error for each error of headlane_sequences_get_text */
  std::string text(int64_t sequence) const {
    std::string text(static_cast<size_t>(facts(sequence).text_bytes + 1), '\0');
    int64_t n = 0;
    headlane_status status = HEADLANE_OK;
    while ((status = headlane_sequences_get_text(get(), sequence, text.data(),
                                                 static_cast<int64_t>(text.size()), &n)) ==
           HEADLANE_TOO_LARGE) {
      text.resize(static_cast<size_t>(n + 1));
    }
    check(status);
    text.resize(static_cast<size_t>(n));
    return text;
  }

  /** The log-probabilities of the tokens at all places that have some, so far.
   * @param sequence that was added with logprobs or prompt_logprobs
   * @return a copy
   * @throw Error for each error of headlane_sequences_get_logprobs */
  std::vector<float> logprobs(int64_t sequence) const {
    std::vector<float> logprobs(static_cast<size_t>(facts(sequence).n_logprobs));
    check(headlane_sequences_get_logprobs(get(), sequence, 0, static_cast<int64_t>(logprobs.size()),
                                          logprobs.data(), nullptr, nullptr));
    return logprobs;
  }

  /** The last hidden state of the last token that went through the layers.
   * @param sequence that was added with hidden
   * @return [d_model]
   * @throw Error for each error of headlane_sequences_get_hidden */
  std::vector<float> hidden(int64_t sequence) const {
    std::vector<float> hidden(d_model_);
    check(headlane_sequences_get_hidden(get(), sequence, hidden.data()));
    return hidden;
  }

  /** What a sequence has in the cache, for load.
   * @param sequence its number
   * @return the bytes of headlane_sequences_save
   * @throw Error for each error of headlane_sequences_save */
  std::string save(int64_t sequence) const {
    size_t n = 0;
    check(headlane_sequences_save(get(), sequence, nullptr, 0, &n));
    std::string state;
    headlane_status status = HEADLANE_OK;
    do {  // it may grow while this is called
      state.resize(n);
      status = headlane_sequences_save(get(), sequence, state.data(), n, &n);
    } while (status == HEADLANE_TOO_LARGE);
    check(status);
    state.resize(n);
    return state;
  }

  /** Takes up a saved state as a sequence that has ended and is kept.
   * @param state of save
   * @return its number
   * @throw Error for each error of headlane_sequences_load */
  int64_t load(std::string_view state) {
    int64_t sequence = 0;
    check(headlane_sequences_load(get(), state.data(), state.size(), &sequence));
    return sequence;
  }

  /** Saves a sequence to a file.
   * @param sequence its number
   * @param path of the file
   * @throw Error for each error of headlane_sequences_save_file */
  void save_file(int64_t sequence, const std::string& path) const {
    check(headlane_sequences_save_file(get(), sequence, path.c_str()));
  }

  /** Takes up a state from a file.
   * @param path of the file
   * @return its number
   * @throw Error for each error of headlane_sequences_load_file */
  int64_t load_file(const std::string& path) {
    int64_t sequence = 0;
    check(headlane_sequences_load_file(get(), path.c_str(), &sequence));
    return sequence;
  }

  /** Ends the step that is under way, and later ones until it is set to false again.
   * @param cancelled true: step throws an Error of HEADLANE_CANCELLED
   * @throw Error if this was moved from */
  void set_cancelled(bool cancelled) {
    check(headlane_sequences_set_cancelled(get(), cancelled ? 1 : 0));
  }

  /** The sequences as the C API takes them.
   * @return as long as this lives; null if it was moved from */
  headlane_sequences* get() const noexcept { return sequences_.get(); }

 private:
  // The sequences keep the model until they end themselves.
  struct Destroy {
    std::shared_ptr<headlane_model> model;
    void operator()(headlane_sequences* sequences) const { headlane_sequences_destroy(sequences); }
  };

  size_t d_model_;
  std::unique_ptr<headlane_sequences, Destroy> sequences_;
};

}  // namespace v0
}  // namespace headlane

#endif  // HEADLANE_SEQUENCES_HPP_
