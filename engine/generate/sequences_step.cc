// One step of many sequences: who joins, which tokens are computed, and what comes of them.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/base/error.h"
#include "engine/generate/guesses.h"
#include "engine/generate/sequences.h"

namespace headlane {
namespace {

using ll = long long;

// Ends when the step does, however that is.
class Stepping {
 public:
  explicit Stepping(std::atomic<bool>* flag) : flag_(*flag) {
    if (!flag_.exchange(true)) return;
    fail(Status::kInvalidArgument,
         "a step is being taken: one thread at a time may take steps, and a callback may not");
  }
  ~Stepping() { flag_ = false; }
  Stepping(const Stepping&) = delete;
  Stepping& operator=(const Stepping&) = delete;

 private:
  std::atomic<bool>& flag_;
};

}  // namespace

int64_t Sequences::step(TellEvent tell_event) {
  const Stepping stepping(&stepping_);
  if (draft_) {
    {
      const std::lock_guard lock(mutex_);
      list_draft_jobs();
    }
    draft_->guess(&draft_jobs_);
  }
  {
    const std::lock_guard lock(mutex_);
    plan();
  }
  tell(tell_event);
  if (!items_.empty()) run();
  tell(tell_event);
  const std::lock_guard lock(mutex_);
  return n_unfinished();
}

// Sequences that wait join in their order. Where there is no room for one, all behind it wait too,
// except that one which waits for the prompt of another holds up nobody.
void Sequences::admit() {
  bool has_room = true;
  for (size_t i = 0; has_room && i < waiting_.size();) {
    Sequence* sequence = waiting_[i].get();
    const Joining joining = join(sequence);
    if (joining == Joining::kNoRoom && !is_running()) {
      drop(sequence, Finish::kCacheFull, Status::kTooLarge,
           "sequence " + std::to_string(sequence->number) + " of " +
               std::to_string(sequence->length()) +
               " tokens has no room in the cache: " + std::to_string(cache_.n_free_places()) +
               " places (max_sequences) and " + std::to_string(cache_.n_free_rows()) +
               " tokens (max_tokens) are free, and the rest is of sequences that are kept; remove "
               "some of them");
    }
    has_room = joining != Joining::kNoRoom || sequence->finish.has_value();
    if (joining == Joining::kJoined || sequence->finish) {
      waiting_.erase(waiting_.begin() + static_cast<ptrdiff_t>(i));
    } else {
      ++i;
    }
  }
}

// The sequence ends by an error of its own.
void Sequences::drop(Sequence* sequence, Finish how, Status status, const std::string& why) {
  sequence->end(how, status, why);
  sequence->is_rewound = false;
  note(sequences_.at(sequence->number), -1);
  if (!sequence->request.keeps) leave(sequence);
}

// The sequence gets rows for all of its tokens. Where none are left, the youngest that runs ends,
// which may be this one.
void Sequences::make_room(Sequence* sequence) {
  for (size_t i = running_.size(); !sequence->finish; --i) {
    if (cache_.grow(sequence->place, sequence->length())) return;
    Sequence* youngest = running_[i - 1].get();
    if (youngest->finish) continue;
    drop(youngest, Finish::kCacheFull, Status::kTooLarge,
         "sequence " + std::to_string(youngest->number) + " ended at " +
             std::to_string(youngest->length()) +
             " tokens, since the cache is full: max_tokens is " + std::to_string(limits_.n_rows()));
  }
}

// Lists the sequences that run, the ones with the least work first.
void Sequences::list_running() {
  running_.clear();
  for (const std::shared_ptr<Sequence>& sequence : places_) {
    if (sequence != nullptr && !sequence->finish) running_.push_back(sequence);
  }
  std::ranges::sort(running_, {}, [](const auto& sequence) { return sequence->number; });
  for (const std::shared_ptr<Sequence>& sequence : running_) {
    sequence->is_rewound = false;
    if (!sequence->finish) make_room(sequence.get());
  }
  std::erase_if(running_, [](const auto& sequence) { return sequence->finish.has_value(); });
  std::ranges::sort(running_, {}, [](const auto& sequence) {
    return std::pair(sequence->n_pending(), sequence->number);
  });
}

// The sequences that the draft guesses for. What it guesses counts if they are then as they are
// now.
void Sequences::list_draft_jobs() {
  draft_jobs_.clear();
  for (const std::shared_ptr<Sequence>& sequence : places_) {
    if (sequence == nullptr || sequence->finish) continue;
    const int64_t most = sequence->guesses_wanted(limits_.draft.cache.max_len);
    if (most < 1) continue;
    draft_jobs_.push_back(
        {sequence->place, sequence->number, sequence->room, sequence->ids, most, {}, -1});
  }
}

// Guesses at most so many tokens to come, for which the cache gets rows; returns how many they are.
int64_t Sequences::guess(Sequence* sequence, int64_t most) {
  std::vector<int32_t>& guesses = sequence->guesses;
  guesses.clear();
  most = std::min(most, sequence->guesses_wanted(limits_.max_len()));
  if (most < 1) return 0;
  if (!draft_) {
    guess_from_own(sequence->ids, most, &guesses);
  } else {
    for (const DraftModel::Job& job : draft_jobs_) {
      if (job.number == sequence->number && job.ids == sequence->ids) guesses = job.guesses;
    }
    if (std::ssize(guesses) > most) guesses.resize(static_cast<size_t>(most));
  }
  if (!cache_.grow(sequence->place, sequence->length() + std::ssize(guesses))) guesses.clear();
  return std::ssize(guesses);
}

// Each sequence gets an equal share of the step's tokens; what one has no need of goes to those
// behind it. So a token that follows another is always computed, and short prompts pass long ones.
void Sequences::plan() {
  items_.clear();
  admit();
  list_running();
  int64_t k = 1;
  for (const auto& sequence : running_) k = std::max(k, sequence->k);
  stepper_.begin(k);
  int64_t n_left = std::ssize(running_);
  int64_t tokens_left = limits_.step.run.max_tokens;
  int64_t ranks_left = limits_.step.run.max_seqs - n_left;  // beside one of each
  for (const std::shared_ptr<Sequence>& sequence : running_) {
    int64_t n = std::min(sequence->n_pending(), tokens_left / n_left);
    if (sequence->request.prompt_logprobs) {
      n = std::min(n, 1 + ranks_left / n_left);
      ranks_left -= n - 1;
    }
    const int64_t guesses =
        guess(sequence.get(), std::min(tokens_left / n_left - n, ranks_left / n_left));
    ranks_left -= guesses;
    tokens_left -= n + guesses;
    --n_left;
    list_tokens(sequence, n);
  }
}

// The last so many of the n_tokens that are computed now are ranked, since a sequence needs to know
// what comes after them.
int64_t Sequences::ranked_of(const Sequence& sequence, int64_t n_tokens) const {
  if (sequence.request.prompt_logprobs) return n_tokens;
  return n_tokens == sequence.n_pending() && sequence.wants_token() ? 1 : 0;
}

// Whose logits are wanted after the tokens that are ranked: of tokens that are known to come, or
// must.
void Sequences::name_tokens(const Sequence& sequence, const Item& item) {
  const int64_t n_guesses = std::ssize(sequence.guesses);
  const int64_t first = sequence.n_computed + item.n_tokens + n_guesses - item.n_ranked + 1;
  for (int64_t i = 0; i < item.n_ranked; ++i) {
    const int64_t next = first + i;
    named_[i] = next < sequence.length() ? sequence.ids[static_cast<size_t>(next)]
                                         : sequence.rules.forced(next - sequence.n_prompt, true);
  }
}

void Sequences::list_tokens(const std::shared_ptr<Sequence>& sequence, int64_t n_tokens) {
  const int64_t n_guesses = std::ssize(sequence->guesses), length = sequence->length();
  const int64_t begin = sequence->n_computed, end = begin + n_tokens;
  Item item;
  item.sequence = sequence;
  item.n_tokens = n_tokens;
  item.n_ranked = ranked_of(*sequence, n_tokens) + n_guesses;
  item.n_prompt = sequence->n_prompt;
  item.is_chosen = end == length && sequence->wants_token() &&
                   sequence->rules.forced(sequence->n_new(), true) < 0;
  name_tokens(*sequence, item);
  // Guesses stand behind the others while they are listed, in the room of tokens to come.
  std::vector<int32_t>& ids = sequence->ids;
  ids.insert(ids.end(), sequence->guesses.begin(), sequence->guesses.end());
  cache_.begin_tokens(sequence->place, end + n_guesses);
  item.first_ranked = stepper_.add({
      .rows = cache_.rows(sequence->place),
      .window_rows = cache_.window_rows(sequence->place),
      .position = begin,
      .room = sequence->room,
      .ids = std::span<const int32_t>(ids).subspan(static_cast<size_t>(begin),
                                                   static_cast<size_t>(n_tokens + n_guesses)),
      .n_ranked = item.n_ranked,
      .named = named_,
      .all_logits = end == length && item.n_ranked > 0 && sequence->all_logits,
  });
  ids.resize(static_cast<size_t>(length));
  item.ids = ids;
  item.last_token = stepper_.n_tokens() - 1 - n_guesses;
  sequence->in_step = true;
  items_.push_back(std::move(item));
}

// The bits of an item's sequence, which has one item of a step.
std::span<uint32_t> Sequences::mask_of(const Item& item) {
  const auto words = static_cast<size_t>(mask_words(model_.config().decoder.vocab_size));
  return {masks_ + static_cast<size_t>(&item - items_.data()) * words, words};
}

// Which tokens may come where a token is to be chosen. Callbacks are asked without the lock, since
// they may take long, and may use the sequences. No other thread adds to the ids meanwhile.
void Sequences::ask_for_masks() {
  for (const Item& item : items_) {
    const Sequence& sequence = *item.sequence;
    if (!sequence.request.fill_mask || !item.is_chosen) continue;
    try {
      ask_for_mask_of(item, mask_of(item));
    } catch (const Error& error) {
      const std::lock_guard lock(mutex_);
      if (!item.is_void()) {
        drop(item.sequence.get(), Finish::kConstraint, error.status(), error.what());
      }
    }
  }
}

void Sequences::ask_for_mask_of(const Item& item, std::span<uint32_t> mask) {
  Sequence* sequence = item.sequence.get();
  const int64_t n_new = std::ssize(item.ids) - item.n_prompt;
  const Next next =
      ask_for_mask(sequence->request.fill_mask, model_.config().decoder.vocab_size,
                   {.number = sequence->number, .ids = item.ids, .n_new = n_new, .mask = mask});
  if (next == Next::kGoOn && !is_empty(mask)) return;
  const std::lock_guard lock(mutex_);
  if (next == Next::kStopAll) return stop_all();
  if (item.is_void()) return;
  if (next == Next::kStopSource) return stop(sequence);
  sequence->end(Finish::kStop);
  note(item.sequence, -1);
}

void Sequences::run() {
  const bool hidden =
      std::ranges::any_of(items_, [](const Item& item) { return item.sequence->request.hidden; });
  try {
    ask_for_masks();
    stepper_.run(cache_.layers(), hidden);
  } catch (...) {
    const std::lock_guard lock(mutex_);
    end_step();
    throw;
  }
  const std::lock_guard lock(mutex_);
  for (const Item& item : items_) take(item);
  end_step();
}

void Sequences::end_step() {
  for (const Item& item : items_) {
    Sequence& sequence = *item.sequence;
    sequence.in_step = false;
    if (!sequence.guesses.empty()) cache_.cut(sequence.place, sequence.n_computed);
    sequence.guesses.clear();
    cache_.end_tokens(sequence.place, sequence.n_computed);
    if (sequence.is_removed || (sequence.finish && !sequence.request.keeps)) leave(&sequence);
  }
  items_.clear();
}

// Gives a sequence what the step has computed for it.
void Sequences::take(const Item& item) {
  Sequence& sequence = *item.sequence;
  if (item.is_void()) return;
  sequence.n_computed += item.n_tokens;
  if (sequence.request.prompt_logprobs) take_prompt(item);
  if (sequence.n_pending() > 0) return;
  if (sequence.request.hidden) {
    std::copy_n(stepper_.hidden(item.last_token), sequence.hidden.size(), sequence.hidden.begin());
  }
  if (sequence.wants_token()) return take_tokens(item);
  sequence.end(Finish::kLength);
  note(item.sequence, -1);
}

// The log-probabilities of tokens that were known before.
void Sequences::take_prompt(const Item& item) {
  Sequence* sequence = item.sequence.get();
  for (int64_t i = 0; i < item.n_ranked; ++i) {
    const int64_t next = sequence->n_computed - item.n_ranked + i + 1;
    if (next < std::ssize(sequence->logprobs.values) || next >= sequence->length()) continue;
    const int64_t ranked = item.first_ranked + i;
    add_logprob(sequence, stepper_.named_logit(ranked), stepper_.scores(ranked));
  }
}

// The token that follows, and those that follow guesses, as long as these are what was chosen.
void Sequences::take_tokens(const Item& item) {
  Sequence* sequence = item.sequence.get();
  const int64_t n_guesses = std::ssize(sequence->guesses);
  const int64_t first = item.first_ranked + item.n_ranked - 1 - n_guesses;
  int64_t n_right = 0;
  for (;; ++n_right) {
    take_token(item, first + n_right);
    if (sequence->finish || n_right == n_guesses) break;
    if (sequence->ids.back() != sequence->guesses[static_cast<size_t>(n_right)]) break;
    ++sequence->n_computed;
  }
  if (n_guesses > 0) sequence->learn_from_guesses(n_right);
}

void Sequences::take_token(const Item& item, int64_t ranked) {
  Sequence* sequence = item.sequence.get();
  const RowScores scores = stepper_.scores(ranked);
  if (sequence->request.fill_mask && item.is_chosen) sequence->rules.set_mask(mask_of(item));
  const Candidate next = choose_token(*sequence, scores, stepper_.all_logits(ranked),
                                      stepper_.named_logit(ranked), scratch_);
  if (next.id < 0) {
    sequence->end(Finish::kNan);
  } else {
    if (sequence->request.logprobs) add_logprob(sequence, next.logit, scores);
    add_token(sequence, next.id);
  }
  note(item.sequence, next.id);
}

// Keeps what a listener is to be told. Where there is none, tokens that guesses brought are kept
// too, for forget_guessed.
void Sequences::note(const std::shared_ptr<Sequence>& sequence, int32_t id) {
  const bool has_listener = sequence->request.listener != nullptr;
  if (!has_listener && sequence->guesses.empty()) return;
  if (n_events_ == events_.size()) events_.emplace_back();
  SequenceEvent& event = events_[n_events_++];
  event.sequence = sequence;
  event.id = id;
  event.n_new = sequence->n_new();
  if (!has_listener) return;
  event.finish = sequence->finish;
  event.logprob = std::numeric_limits<float>::quiet_NaN();
  event.top_ids.clear();
  event.top_values.clear();
  if (id >= 0 && sequence->request.logprobs) {
    const TokenLogprobs& from = sequence->logprobs;
    event.logprob = from.values.back();
    event.top_ids.assign(from.top_ids.end() - sequence->request.n_top, from.top_ids.end());
    event.top_values.assign(from.top_values.end() - sequence->request.n_top, from.top_values.end());
  }
  event.text.clear();
  if (!sequence->has_text) return;
  event.text = sequence->text.shown().substr(sequence->n_told);
  sequence->n_told += event.text.size();
}

void Sequences::tell(TellEvent tell_event) {
  for (size_t i = 0; i < n_events_; ++i) {
    SequenceEvent& event = events_[i];
    if (event.sequence == nullptr) continue;  // it was forgotten
    if (event.sequence->request.listener == nullptr) continue;
    const std::shared_ptr<Sequence> sequence = std::move(event.sequence);
    {
      // Another thread, or a callback before this one, may have changed it.
      const std::lock_guard lock(mutex_);
      if (sequence->is_removed || sequence->is_rewound) continue;
    }
    event.sequence = sequence;
    const Next next = tell_event(event);
    event.sequence.reset();
    if (next == Next::kGoOn) continue;
    const std::lock_guard lock(mutex_);
    forget_untold(event, sequence.get());
    if (next == Next::kStopSource) stop(sequence.get());
    if (next != Next::kStopAll) continue;
    forget_guessed();
    stop_all();
  }
  for (size_t i = 0; i < n_events_; ++i) events_[i].sequence.reset();
  n_events_ = 0;
}

// Who ends a sequence at a token has not asked for those that the same step brought after it.
void Sequences::forget_untold(const SequenceEvent& event, Sequence* sequence) {
  const bool is_changed = sequence->is_removed || sequence->is_rewound;
  if (is_changed || event.id < 0 || sequence->n_new() <= event.n_new) return;
  cut(event, sequence);
  sequence->is_rewound = true;  // so nobody is told of the others
}

// The sequence ends with the token of the event.
void Sequences::cut(const SequenceEvent& event, Sequence* sequence) {
  sequence->cut(sequence->n_prompt + event.n_new);
  if (sequence->place >= 0) cache_.cut(sequence->place, sequence->n_computed);
}

// Without guesses, a step brings one token to each sequence: of those whose events nobody has been
// told of, the others are forgotten.
void Sequences::forget_guessed() {
  for (size_t i = 0; i < n_events_; ++i) {
    const SequenceEvent& event = events_[i];
    Sequence* sequence = event.sequence.get();
    if (sequence == nullptr || event.id < 0) continue;
    if (sequence->is_removed || sequence->is_rewound) continue;
    bool has_others = false;
    for (size_t j = i + 1; j < n_events_; ++j) {
      if (events_[j].sequence.get() != sequence) continue;
      events_[j].sequence.reset();
      has_others = true;
    }
    if (has_others) cut(event, sequence);
  }
}

void Sequences::stop_all() {
  for (const auto& entry : sequences_) stop(entry.second.get());
}

void Sequences::stop(Sequence* sequence) {
  if (sequence->finish || sequence->is_removed) return;
  sequence->end(Finish::kCallback);
  std::erase_if(waiting_, [&](const auto& waiting) { return waiting.get() == sequence; });
  if (!sequence->request.keeps) leave(sequence);
}

}  // namespace headlane
