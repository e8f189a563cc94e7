// Many sequences that a language model goes on with at once. They join and leave between any two
// steps; a step takes one token of each that runs, and prompts in chunks, so that long ones do not
// hold up the others. Sequences that begin alike share the rows of the cache.
//
// Any thread may add, fork, rewind, remove and read sequences, also while another one takes a step:
// a lock guards them, which a step holds only before and after its run through the layers. What a
// sequence gets depends on its request alone, not on the others, on threads or on chunks.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "engine/base/buffer.h"
#include "engine/generate/draft_model.h"
#include "engine/generate/sequence.h"
#include "engine/generate/sequence_cache.h"
#include "engine/generate/sequence_stepper.h"
#include "engine/model/model.h"

namespace headlane {

struct SequencesOptions {
  int64_t max_sequences = 0;  // 0: as sequences.h of the C API says
  int64_t max_tokens = 0;
  int64_t max_len = 0;
  int64_t max_step_tokens = 0;
  int64_t max_candidates = 0;
  bool all_logits = false, hidden = false;
  int64_t n_threads = 0;
  std::string precision;         // as of choose_precision; "": the model's
  std::string cache;             // as of choose_cache_format; "": default_cache_format
  const Model* draft = nullptr;  // that guesses; null: sequences look in their own tokens
};

struct SequencesLimits {
  SequenceStepLimits step;
  SequenceCacheLimits cache;
  DraftLimits draft;
  int64_t n_rows() const { return cache.n_rows; }
  int64_t max_len() const { return cache.max_len; }
};

// The defaults filled in and every field checked against the model; throws Error.
SequencesLimits sequences_limits(const Model& model, const SequencesOptions& options);

// A listener is told this when a token came, or when its sequence ended without another one.
struct SequenceEvent {
  std::shared_ptr<Sequence> sequence;
  int32_t id = -1;  // -1: none
  int64_t n_new = 0;
  float logprob = 0;  // NaN where it was not asked for
  std::vector<int32_t> top_ids;
  std::vector<float> top_values;
  std::string text;  // that is shown since the last time
  std::optional<Finish> finish;
};
using TellEvent = Next (*)(const SequenceEvent& event);

class Sequences {
 public:
  static size_t bytes(const Model& model, const SequencesLimits& limits);

  // `memory`: bytes() of it, 64-byte aligned, or null: they take their own.
  Sequences(const Model& model, const SequencesLimits& limits, void* memory,
            const CallerPool& pool);
  Sequences(const Sequences&) = delete;
  Sequences& operator=(const Sequences&) = delete;

  const Model& model() const { return model_; }
  const SequencesLimits& limits() const { return limits_; }
  void set_cancelled(bool cancelled) { team_.set_cancelled(cancelled); }

  // All throw Error, and then nothing was changed. A sequence goes by the number that it got.
  int64_t add(SequenceRequest request);
  // A sequence of the first n_tokens tokens of another, and the request's ids behind them.
  int64_t fork(int64_t number, int64_t n_tokens, SequenceRequest request);
  // The sequence has its first n_tokens tokens alone, and goes on from there.
  void rewind(int64_t number, int64_t n_tokens);
  void remove(int64_t number);
  // The fewest tokens that a sequence can be rewound to; 0: it cannot. Under the lock.
  int64_t least_tokens(const Sequence& sequence) const;

  // Copies what a sequence has in the cache (sequence_state.h) to `bytes`, or says how many those
  // are where there are none.
  size_t save(int64_t number, std::span<std::byte> bytes) const;
  // A sequence of a saved state, which has ended and is kept.
  int64_t load(std::span<const std::byte> bytes);

  // Calls body(sequence), under the lock.
  template <typename Body>
  void read(int64_t number, Body body) const {
    const std::lock_guard lock(mutex_);
    body(*find(number));
  }

  // Returns how many sequences have not ended. Throws Error; of kCancelled, or a file that cannot
  // be read, a later step does what this one did not. Listeners are told without the lock, so they
  // may call all of these functions except for step.
  int64_t step(TellEvent tell);

 private:
  // A part of a step.
  struct Item {
    std::shared_ptr<Sequence> sequence;
    int64_t n_tokens = 0;      // that are computed, without guesses
    int64_t first_ranked = 0;  // as of SequenceStepper
    int64_t n_ranked = 0;      // of guesses too
    int64_t last_token = 0;    // its place among the step's, guesses left out
    // As they are when the step is planned, for as long as it takes.
    std::span<const int32_t> ids = {};  // of the sequence
    int64_t n_prompt = 0;
    bool is_chosen = false;  // a token is chosen after the last of its ids
    // Whether nobody wants what comes of it any more.
    bool is_void() const {
      return sequence->is_removed || sequence->is_rewound || sequence->finish.has_value();
    }
  };
  // The sequences in the cache have this much of the beginning of another one.
  struct Alike {
    int32_t place = -1;    // which has the most of them
    int64_t n_ready = 0;   // that it has computed
    int64_t n_coming = 0;  // that some sequence has computed, or will
  };
  enum class Joining { kJoined, kLater, kNoRoom };

  Sequences(const Model& model, const SequencesLimits& limits, Buffer own, void* memory,
            const CallerPool& pool);
  const std::shared_ptr<Sequence>& find(int64_t number) const;
  std::shared_ptr<Sequence> make(SequenceRequest request) const;
  int64_t enter(std::shared_ptr<Sequence> sequence);
  Alike find_alike(const Sequence& sequence) const;
  void take_place(Sequence* sequence);
  Joining join(Sequence* sequence);
  void admit();
  void leave(Sequence* sequence);
  void drop(Sequence* sequence, Finish how, Status status, const std::string& why);
  bool is_running() const;

  void list_draft_jobs();
  int64_t guess(Sequence* sequence, int64_t most);
  void plan();
  void list_running();
  void make_room(Sequence* sequence);
  void list_tokens(const std::shared_ptr<Sequence>& sequence, int64_t n_tokens);
  void name_tokens(const Sequence& sequence, const Item& item);
  int64_t ranked_of(const Sequence& sequence, int64_t n_tokens) const;
  void ask_for_masks();
  void ask_for_mask_of(const Item& item, std::span<uint32_t> mask);
  std::span<uint32_t> mask_of(const Item& item);
  void stop_all();
  void run();
  void take(const Item& item);
  void take_prompt(const Item& item);
  void take_tokens(const Item& item);
  void take_token(const Item& item, int64_t ranked);
  void end_step();
  void note(const std::shared_ptr<Sequence>& sequence, int32_t id);
  void tell(TellEvent tell);
  void forget_untold(const SequenceEvent& event, Sequence* sequence);
  void forget_guessed();
  void cut(const SequenceEvent& event, Sequence* sequence);
  void stop(Sequence* sequence);
  int64_t n_unfinished() const;

  const Model& model_;
  SequencesLimits limits_;
  Buffer own_memory_;
  Team team_;
  SequenceCache cache_;
  SequenceStepper stepper_;
  std::optional<DraftModel> draft_;
  uint8_t* flags_ = nullptr;      // [max_sequences, vocab_size], of rules
  Candidate* scratch_ = nullptr;  // of one choice
  int32_t* named_ = nullptr;      // [tokens of a step that are ranked]
  uint32_t* masks_ = nullptr;     // [max_sequences, mask_words(vocab_size)], where all_logits

  std::atomic<bool> stepping_{false};
  mutable std::mutex mutex_;  // guards everything below
  int64_t last_number_ = 0;
  std::map<int64_t, std::shared_ptr<Sequence>> sequences_;
  std::vector<std::shared_ptr<Sequence>> waiting_;  // in the order in which they came
  std::vector<std::shared_ptr<Sequence>> places_;   // [max_sequences], who has each; null: nobody
  // The step at hand alone uses these.
  std::vector<std::shared_ptr<Sequence>> running_;
  std::vector<Item> items_;
  std::vector<DraftModel::Job> draft_jobs_;
  std::vector<SequenceEvent> events_;
  size_t n_events_ = 0;
};

}  // namespace headlane
