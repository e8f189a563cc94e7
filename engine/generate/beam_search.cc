// Beam search, as transformers' _beam_search does it for one source. Of all successors of its rows
//   - those among the best n_beams that end become answers, if they are better than what is there;
//   - the best n_beams of those that do not end are the next rows.
// transformers keeps the best (1 + ends) n_beams for both, which are certain to hold either.
#include <cmath>
#include <limits>

#include "engine/generate/search.h"

namespace headlane {

// Best first; of equals the earlier stays ahead.
bool Search::SuccessorList::offer(const Successor& successor) {
  if (!(successor.score > -std::numeric_limits<float>::infinity())) return false;  // NaN too
  if (n == capacity && !(successor.score > items[n - 1].score)) return false;
  int64_t at = n < capacity ? n++ : n - 1;
  for (; at > 0 && successor.score > items[at - 1].score; --at) items[at] = items[at - 1];
  items[at] = successor;
  return true;
}

void Search::advance_beams(int64_t first, int64_t last, const RowScores* scores) {
  const int64_t i_source = row(step_, first)->source;
  const Source& source = sources_[i_source];
  const int64_t n_tokens = step_ + 1;
  SuccessorList best = {successors_, 0, options_.n_beams};
  SuccessorList running = {successors_ + limits_.max_beams, 0, options_.n_beams};
  if (!collect(first, last, scores, &best, &running)) {
    ended(i_source)[0] = broken_off(first);
    sources_[i_source].n_ended = 1;
    return;
  }
  for (int64_t i = 0; i < best.n; ++i) {
    const Successor& successor = best.items[i];
    if (!is_last(i_source, successor.token)) continue;
    insert_ended(i_source, {.score = final_score(successor.score, n_tokens),
                            .token = successor.token,
                            .step = step_,
                            .row = successor.row});
  }
  if (is_over(source, running)) return;
  for (int64_t i = 0; i < running.n; ++i) {
    const Successor& successor = running.items[i];
    push(i_source, successor.token, successor.row, successor.score, -1);
  }
}

// Among the best n_beams of all that have ended; of equals the earlier stays ahead.
void Search::insert_ended(int64_t i_source, const Ended& answer) {
  Ended* answers = ended(i_source);
  int32_t& n = sources_[i_source].n_ended;
  if (n == options_.n_beams && !(answer.score > answers[n - 1].score)) return;
  int64_t at = n < options_.n_beams ? n++ : n - 1;
  for (; at > 0 && answer.score > answers[at - 1].score; --at) answers[at] = answers[at - 1];
  answers[at] = answer;
}

// False if a row has no softmax, or none a successor.
bool Search::collect(int64_t first, int64_t last, const RowScores* scores, SuccessorList* best,
                     SuccessorList* running) {
  const int64_t i_source = row(step_, first)->source;
  const int32_t forced = known_token(i_source, step_);
  // Returns whether a worse successor of the same row may still be wanted: `best` never has a worse
  // last one than `running`.
  const auto offer = [&](const Successor& successor) {
    best->offer(successor);
    return is_last(i_source, successor.token) || running->offer(successor);
  };
  for (int64_t r = first; r < last; ++r) {
    if (forced >= 0) {
      offer({.score = sums_[r], .token = forced, .row = r});
      continue;
    }
    if (!has_softmax(scores[r].top)) return false;
    float offset = 0;
    const int64_t n = list_successors(r, scores[r], &offset);
    for (int64_t i = 0; i < n; ++i) {
      const float sum = sums_[r] + (candidates_[i].logit - offset);
      if (!offer({.score = sum, .token = candidates_[i].id, .row = r})) break;
    }
  }
  return best->n > 0;
}

// To candidates_, by log-probabilities, from which `offset` is to be subtracted.
int64_t Search::list_successors(int64_t r, const RowScores& scores, float* offset) {
  if (rules_.has_penalty()) mark_history(r, true);
  const int64_t n =
      best_allowed(rules_, scores, true, step_, options_.n_beams + rules_.n_ends(), candidates_);
  // Without all logits, masked_ids() have seen to it.
  if (options_.renormalize && scores.all != nullptr && n > 0) {
    *offset = log_sum_of_allowed(rules_, scores, step_, candidates_[0].logit);
  }
  if (rules_.has_penalty()) mark_history(r, false);
  return n;
}

// An answer that a running row may still become, were it to end now, or at full length where that
// makes it better, is compared with the worst of a full set of answers.
bool Search::is_over(const Source& source, const SuccessorList& running) const {
  if (running.n == 0) return true;
  if (source.n_ended < options_.n_beams) return false;
  if (options_.early_stopping == EarlyStopping::kFirst) return true;
  const bool at_full_length =
      options_.early_stopping == EarlyStopping::kNever && options_.length_penalty > 0;
  const int64_t n_tokens = at_full_length ? source.max_new : step_ + 1;
  const FinalScore worst = ended(&source - sources_)[options_.n_beams - 1].score;
  return !(final_score(running.items[0].score, n_tokens) > worst);
}

}  // namespace headlane
