#include "engine/generate/sequences.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>

#include "engine/base/block_layout.h"
#include "engine/base/error.h"
#include "engine/generate/decoder.h"
#include "engine/generate/sequence_request.h"

namespace headlane {
namespace {

using ll = long long;

// To wait for another's prompt must save this many tokens at least: the tokens that all prompts of
// a model begin with are no reason.
constexpr int64_t kWorthWaiting = 16;

// The sequences' block has these parts, each at a multiple of 64 bytes.
struct SequencesParts {
  size_t cache, stepper, draft, flags, scratch, named, masks, total;
};

SequencesParts divide(const Model& model, const SequencesLimits& limits) {
  const SequenceStepLimits& step = limits.step;
  const StepModel of_steps = step_model(model, step.run.precision, limits.cache.row.format);
  BlockLayout block;
  SequencesParts parts;
  parts.cache = block.take(static_cast<int64_t>(SequenceCache::bytes(limits.cache)), 1);
  parts.stepper = block.take(static_cast<int64_t>(SequenceStepper::bytes(of_steps, step)), 1);
  parts.draft = block.take(static_cast<int64_t>(DraftModel::bytes(limits.draft)), 1);
  parts.flags = block.take(step.max_sequences * of_steps.vocab_size, sizeof(uint8_t));
  // With all logits, what biases replace is kept beside the candidates.
  const int64_t candidates = step.all_logits ? 2 * of_steps.vocab_size : step.max_candidates;
  parts.scratch = block.take(candidates, sizeof(Candidate));
  parts.named = block.take(step.run.max_seqs, sizeof(int32_t));
  const int64_t words = mask_words(of_steps.vocab_size);
  parts.masks = block.take(step.all_logits ? step.max_sequences * words : 0, sizeof(uint32_t));
  parts.total = block.bytes();
  return parts;
}

int64_t n_alike(const Sequence& a, const Sequence& b) {
  const int64_t n = std::min(a.length(), b.length());
  return std::mismatch(a.ids.begin(), a.ids.begin() + n, b.ids.begin()).first - a.ids.begin();
}

// Room for all that may come, so that a step allocates nothing for it.
void reserve(Sequence* sequence) {
  const int64_t most = sequence->n_prompt + sequence->max_new;
  sequence->ids.reserve(static_cast<size_t>(most));
  const auto scored = static_cast<size_t>(most - sequence->first_scored());
  const SequenceRequest& request = sequence->request;
  if (!request.logprobs) return;
  const auto n_top = static_cast<size_t>(request.n_top);
  sequence->logprobs.values.reserve(scored);
  sequence->logprobs.top_ids.reserve(scored * n_top);
  sequence->logprobs.top_values.reserve(scored * n_top);
  if (!request.prompt_logprobs) return;
  sequence->logprobs.values.push_back(std::numeric_limits<float>::quiet_NaN());
  sequence->logprobs.top_ids.resize(n_top, -1);
  sequence->logprobs.top_values.resize(n_top, -std::numeric_limits<float>::infinity());
}

}  // namespace

size_t Sequences::bytes(const Model& model, const SequencesLimits& limits) {
  return divide(model, limits).total;
}

Sequences::Sequences(const Model& model, const SequencesLimits& limits, void* memory,
                     const CallerPool& pool)
    : Sequences(model, limits, memory ? Buffer() : Buffer(bytes(model, limits)), memory, pool) {}

Sequences::Sequences(const Model& model, const SequencesLimits& limits, Buffer own, void* memory,
                     const CallerPool& pool)
    : model_(model),
      limits_(limits),
      own_memory_(std::move(own)),
      team_(static_cast<int>(limits.step.run.n_threads), pool),
      cache_(limits.cache, static_cast<char*>(memory ? memory : own_memory_.data()) +
                               divide(model, limits).cache),
      stepper_(
          step_model(model, limits.step.run.precision, limits.cache.row.format), limits.step,
          static_cast<char*>(memory ? memory : own_memory_.data()) + divide(model, limits).stepper,
          &team_) {
  model.require_weights();
  const SequencesParts parts = divide(model, limits);
  char* base = static_cast<char*>(memory ? memory : own_memory_.data());
  if (limits.draft.model != nullptr) {
    limits.draft.model->require_weights();
    draft_.emplace(limits.draft, base + parts.draft, &team_);
  }
  flags_ = reinterpret_cast<uint8_t*>(base + parts.flags);
  scratch_ = reinterpret_cast<Candidate*>(base + parts.scratch);
  named_ = reinterpret_cast<int32_t*>(base + parts.named);
  masks_ = reinterpret_cast<uint32_t*>(base + parts.masks);
  const auto n = static_cast<size_t>(limits.step.max_sequences);
  places_.resize(n);
  running_.reserve(n);
  items_.reserve(n);
  events_.resize(n);
  for (SequenceEvent& event : events_) {
    event.top_ids.reserve(static_cast<size_t>(limits.step.max_candidates));
    event.top_values.reserve(static_cast<size_t>(limits.step.max_candidates));
  }
}

const std::shared_ptr<Sequence>& Sequences::find(int64_t number) const {
  const auto found = sequences_.find(number);
  if (found == sequences_.end()) {
    fail(Status::kInvalidArgument,
         "there is no sequence %lld: it was never added, or has been removed", ll{number});
  }
  return found->second;
}

std::shared_ptr<Sequence> Sequences::make(SequenceRequest request) const {
  if (request.prompt_logprobs) request.logprobs = true;
  check_request(request, model_, limits_);
  const int64_t vocab_size = model_.config().decoder.vocab_size;
  std::vector<uint8_t> flags(static_cast<size_t>(vocab_size));
  const TokenRules rules(search_of(request), vocab_size, flags);
  auto sequence = std::make_shared<Sequence>();
  sequence->ids = std::move(request.ids);
  sequence->n_prompt = sequence->length();
  sequence->max_new = request.generates ? std::min(request.search.max_new_tokens,
                                                   limits_.max_len() - sequence->n_prompt)
                                        : 0;
  sequence->room = std::max(request.room, sequence->n_prompt + sequence->max_new);
  const int64_t needed = candidates_needed(request.search, rules);
  const int64_t most = limits_.step.max_candidates;
  sequence->all_logits =
      request.generates && (needed > most || !request.bias.empty() || request.fill_mask);
  if (sequence->all_logits && !limits_.step.all_logits) {
    fail(Status::kTooLarge,
         "these options need all logits (masks and constraints, biases, a repetition_penalty, or "
         "sampling without a top_k of some), but the sequences were created without room for them "
         "(all_logits)");
  }
  sequence->k = std::max(sequence->all_logits ? 1 : std::min(needed, most), request.n_top);
  if (const Tokenizer* tokenizer = model_.tokenizer()) {
    sequence->has_text = true;
    sequence->text = AnswerText(*tokenizer, request.stops, sequence->ids);
  }
  sequence->most_guesses = request.speculate;
  sequence->guesses.reserve(static_cast<size_t>(request.speculate));
  if (request.hidden) sequence->hidden.resize(static_cast<size_t>(model_.config().d_model));
  sequence->request = std::move(request);
  reserve(sequence.get());
  return sequence;
}

int64_t Sequences::enter(std::shared_ptr<Sequence> sequence) {
  waiting_.reserve(waiting_.size() + 1);
  sequence->number = ++last_number_;
  sequences_.emplace(sequence->number, sequence);
  waiting_.push_back(sequence);
  // At once where nobody waits, so that what it shares stays, whatever happens to the other.
  if (waiting_.size() == 1 && join(sequence.get()) == Joining::kJoined) waiting_.clear();
  return sequence->number;
}

int64_t Sequences::add(SequenceRequest request) {
  std::shared_ptr<Sequence> sequence = make(std::move(request));
  const std::lock_guard lock(mutex_);
  return enter(std::move(sequence));
}

int64_t Sequences::fork(int64_t number, int64_t n_tokens, SequenceRequest request) {
  const std::lock_guard lock(mutex_);
  const Sequence& from = *find(number);
  if (n_tokens < 0 || n_tokens > from.length()) {
    fail(Status::kInvalidArgument, "n_tokens is %lld; sequence %lld has %lld", ll{n_tokens},
         ll{number}, ll{from.length()});
  }
  request.ids.insert(request.ids.begin(), from.ids.begin(), from.ids.begin() + n_tokens);
  return enter(make(std::move(request)));
}

void Sequences::rewind(int64_t number, int64_t n_tokens) {
  const std::lock_guard lock(mutex_);
  Sequence& sequence = *find(number);
  if (n_tokens < 1 || n_tokens > sequence.length()) {
    fail(Status::kInvalidArgument,
         "n_tokens is %lld; it must be from 1 to %lld, which sequence "
         "%lld has",
         ll{n_tokens}, ll{sequence.length()}, ll{number});
  }
  if (sequence.finish && sequence.place < 0) {
    fail(Status::kInvalidArgument,
         "sequence %lld has ended, and its keys and values are gone; keep makes them stay",
         ll{number});
  }
  const int64_t least = least_tokens(sequence);
  if (n_tokens < least) {
    fail(Status::kInvalidArgument,
         "n_tokens is %lld, but sequence %lld can go back to %lld at most: layers with a window "
         "have given up what is before",
         ll{n_tokens}, ll{number}, ll{least});
  }
  sequence.cut(n_tokens);
  sequence.is_rewound = true;
  if (sequence.place >= 0) cache_.cut(sequence.place, sequence.n_computed);
}

int64_t Sequences::least_tokens(const Sequence& sequence) const {
  if (sequence.finish && sequence.place < 0) return 0;
  return sequence.place < 0 ? 1 : cache_.least_kept(sequence.place) + 1;
}

void Sequences::remove(int64_t number) {
  const std::lock_guard lock(mutex_);
  const std::shared_ptr<Sequence> sequence = find(number);
  sequence->is_removed = true;
  leave(sequence.get());
  std::erase(waiting_, sequence);
  sequences_.erase(number);
}

Sequences::Alike Sequences::find_alike(const Sequence& sequence) const {
  Alike alike;
  if (sequence.request.prompt_logprobs) return alike;  // all of its tokens are computed
  for (const std::shared_ptr<Sequence>& other : places_) {
    if (other == nullptr || other->is_removed) continue;
    if (!model_.config().decoder.turns_alike(sequence.room, other->room)) continue;
    // The last one is computed anyway: nobody has kept what comes after it.
    const int64_t n = std::min(n_alike(sequence, *other), sequence.length() - 1);
    const int64_t ready = cache_.most_shared(other->place, std::min(n, other->n_computed));
    if (ready > alike.n_ready) {
      alike.n_ready = ready;
      alike.place = other->place;
    }
    if (!other->finish && n > other->n_computed) alike.n_coming = std::max(alike.n_coming, n);
  }
  return alike;
}

// The sequence takes a place in the cache, and rows for its prompt.
Sequences::Joining Sequences::join(Sequence* sequence) {
  const Alike alike = find_alike(*sequence);
  if (alike.n_coming >= alike.n_ready + kWorthWaiting) return Joining::kLater;
  const int64_t n_new = sequence->length() - alike.n_ready;
  if (cache_.n_free_places() == 0 || n_new > cache_.n_free_rows()) return Joining::kNoRoom;
  take_place(sequence);
  if (alike.n_ready > 0) cache_.share(sequence->place, alike.place, alike.n_ready);
  cache_.grow(sequence->place, sequence->length());
  sequence->n_computed = sequence->n_shared = alike.n_ready;
  return Joining::kJoined;
}

// The sequence, which has a number, gets a place without tokens.
void Sequences::take_place(Sequence* sequence) {
  const int32_t place = cache_.take_place();
  sequence->place = place;
  const auto vocab_size = static_cast<size_t>(model_.config().decoder.vocab_size);
  sequence->rules = TokenRules(search_of(sequence->request), static_cast<int64_t>(vocab_size),
                               {flags_ + static_cast<size_t>(place) * vocab_size, vocab_size});
  places_[static_cast<size_t>(place)] = sequences_.at(sequence->number);
}

// Gives up a place in the cache, once no step is at it.
void Sequences::leave(Sequence* sequence) {
  if (sequence->place < 0 || sequence->in_step) return;
  const int32_t place = sequence->place;
  sequence->place = -1;
  cache_.free_place(place);
  places_[static_cast<size_t>(place)].reset();
}

bool Sequences::is_running() const {
  return std::ranges::any_of(
      places_, [](const auto& sequence) { return sequence != nullptr && !sequence->finish; });
}

int64_t Sequences::n_unfinished() const {
  return std::ranges::count_if(sequences_, [](const auto& entry) { return !entry.second->finish; });
}

}  // namespace headlane
