// Greedy search and sampling: each sample of a source goes its own way. As long as all samples of a
// source are the same they share a row.
#include <algorithm>

#include "engine/generate/sampling.h"
#include "engine/generate/search.h"

namespace headlane {

void Search::advance_samples(int64_t first, int64_t last, const RowScores* scores) {
  for (int64_t r = first; r < last; ++r) {
    const int32_t forced = known_token(row(step_, r)->source, step_);
    if (forced >= 0) {
      take_token(r, samples_[r], forced, sums_[r]);
    } else {
      if (rules_.has_penalty()) mark_history(r, true);
      choose_tokens(r, scores[r]);
      if (rules_.has_penalty()) mark_history(r, false);
    }
  }
}

// Has the mask of the row's next token filled. False: its answer ends as it stands.
bool Search::ask_mask(int64_t r) {
  const int64_t i_source = row(step_, r)->source;
  const std::span<const int32_t> begin = prompt(i_source);
  int32_t* last = std::ranges::copy(begin, history_).out + step_;
  int64_t parent = r;
  for (int64_t step = step_; step > 0; --step) {
    *--last = row(step, parent)->token;
    parent = row(step, parent)->parent;
  }
  const auto vocab_size = limits_.vocab_size;
  const std::span<uint32_t> mask(mask_, static_cast<size_t>(mask_words(vocab_size)));
  const std::span<const int32_t> ids(history_, begin.size() + static_cast<size_t>(step_));
  Next next = stops_all_ ? Next::kStopAll : Next::kGoOn;
  if (!stops_all_) {
    next = ask_for_mask(*fill_, vocab_size,
                        {.number = i_source, .ids = ids, .n_new = step_, .mask = mask});
  }
  stops_all_ = next == Next::kStopAll;
  rules_.set_mask(mask);
  if (next == Next::kGoOn && !is_empty(mask)) return true;
  Ended answer = as_it_stands(r);
  if (next == Next::kGoOn) answer.how = Finish::kStop;
  set_ended(i_source, samples_[r], answer);
  return false;
}

// For each sample whose row this is.
void Search::choose_tokens(int64_t r, const RowScores& scores) {
  const int64_t i_source = row(step_, r)->source;
  const Source& source = sources_[i_source];
  if (fill_ != nullptr && !ask_mask(r)) return;
  const Distribution distribution = next_tokens(rules_, options_, scores, step_, candidates_);
  if (distribution.tokens.empty()) {
    set_ended(i_source, samples_[r], broken_off(r));
    return;
  }
  const auto take = [&](int32_t sample, int32_t token) {
    take_token(r, sample, token, sums_[r] + log_probability(logit_of(scores, token), scores.top));
  };
  if (!options_.sample) {
    take(samples_[r], distribution.tokens[0].id);
    return;
  }
  const bool shared = samples_[r] < 0;
  const int64_t first = shared ? 0 : samples_[r], n = shared ? options_.n_best : 1;
  for (int64_t i = first; i < first + n; ++i) {
    const auto sample = static_cast<int32_t>(i);
    take(sample, draw(distribution, random_uniform(options_.seed, source.key, sample,
                                                   static_cast<uint32_t>(step_))));
  }
}

void Search::take_token(int64_t r, int32_t sample, int32_t token, float sum) {
  const int64_t i_source = row(step_, r)->source;
  if (!is_last(i_source, token)) {
    push(i_source, token, r, sum, sample);
    return;
  }
  set_ended(i_source, sample,
            {.score = final_score(sum, step_ + 1), .token = token, .step = step_, .row = r});
}

void Search::set_ended(int64_t i_source, int32_t sample, const Ended& answer) {
  const int64_t first = sample < 0 ? 0 : sample, n = sample < 0 ? options_.n_best : 1;
  for (int64_t i = first; i < first + n; ++i) ended(i_source)[i] = answer;
  sources_[i_source].n_ended += static_cast<int32_t>(n);
}

}  // namespace headlane
