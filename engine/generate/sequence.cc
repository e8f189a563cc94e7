#include "engine/generate/sequence.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/generate/sampling.h"

namespace headlane {
namespace {

void mark_seen(Sequence* sequence, bool seen) {
  for (const int32_t id : sequence->ids) sequence->rules.set_seen(id, seen);
}

// Logits with their biases, for as long as it lives.
class BiasedLogits {
 public:
  BiasedLogits(std::span<const Bias> biases, float* all, Candidate* saved)
      : biases_(biases), all_(all), saved_(saved) {
    for (size_t i = 0; i < biases.size(); ++i) {
      float& logit = all[biases[i].id];
      saved[i] = {logit, biases[i].id};
      logit += biases[i].bias;
    }
  }
  ~BiasedLogits() {
    for (size_t i = biases_.size(); i-- > 0;) all_[saved_[i].id] = saved_[i].logit;
  }
  BiasedLogits(const BiasedLogits&) = delete;
  BiasedLogits& operator=(const BiasedLogits&) = delete;

 private:
  std::span<const Bias> biases_;
  float* all_;
  Candidate* saved_;
};

int32_t drawn_id(const Distribution& distribution, const Sequence& sequence) {
  if (distribution.tokens.empty()) return -1;
  const SearchOptions& search = sequence.request.search;
  if (!search.sample) return distribution.tokens[0].id;
  const auto n_new = static_cast<uint32_t>(sequence.n_new());
  return draw(distribution, random_uniform(search.seed, sequence.request.key, 0, n_new));
}

}  // namespace

SequenceState Sequence::state() const {
  if (finish) return SequenceState::kEnded;
  if (place < 0) return SequenceState::kWaiting;
  return n_computed < n_prompt ? SequenceState::kPrompt : SequenceState::kRunning;
}

int64_t Sequence::guesses_wanted(int64_t max_len) const {
  const bool can_guess =
      request.speculate > 0 && !all_logits && !request.prompt_logprobs && !request.hidden;
  if (!can_guess || n_pending() != 1) return 0;
  return std::min({most_guesses, max_new - n_new() - 1, max_len - length() - 1});
}

// Right guesses are mostly followed by more of them, and wrong ones by none.
void Sequence::learn_from_guesses(int64_t n_right) {
  const int64_t n = std::ssize(guesses);
  n_guessed += n;
  n_guessed_right += n_right;
  most_guesses = std::min(request.speculate, n_right == n ? 2 * most_guesses : n_right + 1);
}

int64_t Sequence::first_scored() const {
  if (request.prompt_logprobs) return 0;
  return request.logprobs ? n_prompt : length();
}

void Sequence::cut(int64_t length) {
  ids.resize(static_cast<size_t>(length));
  n_prompt = std::min(n_prompt, length);
  // The last token is computed anew, for what comes after it.
  n_computed = std::min(n_computed, length - 1);
  const size_t n_scored =
      std::min(logprobs.values.size(), static_cast<size_t>(length - first_scored()));
  logprobs.values.resize(n_scored);
  logprobs.top_ids.resize(n_scored * static_cast<size_t>(request.n_top));
  logprobs.top_values.resize(logprobs.top_ids.size());
  finish.reset();
  status = Status::kOk;
  message.clear();
  if (!has_text) return;
  const std::span<const int32_t> all = ids;
  text.restart(all.first(static_cast<size_t>(n_prompt)));
  for (const int32_t id : all.subspan(static_cast<size_t>(n_prompt))) text.add(id);
  n_told = text.shown().size();
}

void Sequence::end(Finish how, Status with, std::string why) {
  finish = how;
  status = with;
  message = std::move(why);
  if (has_text && !text.finish() && how == Finish::kLength) finish = Finish::kStop;
}

Candidate choose_token(Sequence& sequence, const RowScores& scores, float* all, float forced_logit,
                       Candidate* scratch) {
  const int32_t forced = sequence.rules.forced(sequence.n_new(), true);
  if (forced >= 0) return {forced_logit, forced};
  const bool penalized = sequence.rules.has_penalty();
  if (penalized) mark_seen(&sequence, true);
  int32_t id = -1;
  {
    const std::vector<Bias>& biases = sequence.request.bias;
    const BiasedLogits biased(biases, all, scratch);
    id = drawn_id(next_tokens(sequence.rules, sequence.request.search, scores, sequence.n_new(),
                              scratch + biases.size()),
                  sequence);
  }
  if (penalized) mark_seen(&sequence, false);
  return {id < 0 ? 0 : logit_of(scores, id), id};
}

void add_logprob(Sequence* sequence, float logit, const RowScores& scores) {
  TokenLogprobs& to = sequence->logprobs;
  to.values.push_back(log_probability(logit, scores.top));
  for (int64_t i = 0; i < sequence->request.n_top; ++i) {
    const Candidate& best = scores.best[static_cast<size_t>(i)];
    to.top_ids.push_back(best.id);
    to.top_values.push_back(best.id < 0 ? -std::numeric_limits<float>::infinity()
                                        : log_probability(best.logit, scores.top));
  }
}

void add_token(Sequence* sequence, int32_t id) {
  sequence->ids.push_back(id);
  if (sequence->has_text && !sequence->text.add(id)) return sequence->end(Finish::kStop);
  if (sequence->rules.is_end(id)) return sequence->end(Finish::kStop);
  if (!sequence->wants_token()) sequence->end(Finish::kLength);
}

}  // namespace headlane
