#include "engine/generate/token_rules.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "engine/base/error.h"

namespace headlane {
namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();

// Calls take(id) for each token of the mask, by id. Masks of few tokens take little time.
template <typename Take>
void for_each_masked(TokenMask mask, Take&& take) {
  for (size_t i = 0; i < mask.size(); ++i) {
    for (uint32_t word = mask[i]; word != 0; word &= word - 1) {
      take(static_cast<int32_t>(32 * i) + std::countr_zero(word));
    }
  }
}

// Calls take(candidate) for each token of scores.all that may be generated, by id.
template <typename Take>
void for_each_allowed(const TokenRules& rules, const RowScores& scores, bool log_probabilities,
                      int64_t n_new, Take&& take) {
  const auto consider = [&](int32_t id) {
    if (!rules.allows(id, n_new)) return;
    float score = scores.all[id];
    if (log_probabilities) score = log_probability(score, scores.top);
    if (rules.is_seen(id)) score = rules.penalized(score);
    if (score > kNothing) take(Candidate{.logit = score, .id = id});
  };
  if (!rules.mask().empty()) return for_each_masked(rules.mask(), consider);
  for (int32_t id = 0; id < rules.vocab_size(); ++id) consider(id);
}

// A heap with the worst of the n best on top: most of a row's tokens cost one comparison.
int64_t best_of_all(const TokenRules& rules, const RowScores& scores, bool log_probabilities,
                    int64_t n_new, int64_t n, Candidate* out) {
  int64_t count = 0;
  for_each_allowed(rules, scores, log_probabilities, n_new, [&](const Candidate& candidate) {
    if (count < n) {
      out[count++] = candidate;
      std::push_heap(out, out + count, is_better);
    } else if (is_better(candidate, out[0])) {
      std::pop_heap(out, out + n, is_better);
      out[n - 1] = candidate;
      std::push_heap(out, out + n, is_better);
    }
  });
  std::sort_heap(out, out + count, is_better);
  return count;
}

int64_t best_of_best(const TokenRules& rules, const RowScores& scores, bool log_probabilities,
                     int64_t n_new, int64_t n, Candidate* out) {
  int64_t count = 0;
  for (const Candidate& candidate : scores.best) {
    if (count == n) break;
    if (!(candidate.logit > kNothing)) break;  // the rest are no better, or none at all
    if (!rules.allows(candidate.id, n_new)) continue;
    const float score =
        log_probabilities ? log_probability(candidate.logit, scores.top) : candidate.logit;
    out[count++] = {.logit = score, .id = candidate.id};
  }
  return count;
}

}  // namespace

TokenRules::TokenRules(const SearchOptions& options, int64_t vocab_size, std::span<uint8_t> flags)
    : flags_(flags),
      vocab_size_(vocab_size),
      min_new_tokens_(options.min_new_tokens),
      max_new_tokens_(options.max_new_tokens),
      forced_first_id_(options.forced_first_id),
      forced_last_id_(options.forced_last_id),
      repetition_penalty_(static_cast<float>(options.repetition_penalty)) {
  std::ranges::fill(flags_, uint8_t{0});
  for (const int32_t id : options.end_ids) flags_[id] |= kEnd;
  for (const int32_t id : options.suppressed_ids) flags_[id] |= kSuppressed;
  n_ends_ = std::ranges::count_if(flags_, [](uint8_t flag) { return (flag & kEnd) != 0; });
  n_free_ = std::ranges::count(flags_, uint8_t{0});
  n_barred_ = std::ranges::count_if(
      flags_, [&](uint8_t flag) { return (flag & (min_new_tokens_ > 0 ? ~0 : kSuppressed)) != 0; });
  // So that one row has successors enough for all beams, which beam_search.cc relies on.
  if (options.n_beams > n_free_) {
    fail(
        Status::kInvalidArgument,
        "n_beams is %lld, but of the vocabulary's %lld tokens only %lld are neither suppressed nor "
        "an end",
        static_cast<long long>(options.n_beams), static_cast<long long>(vocab_size),
        static_cast<long long>(n_free_));
  }
}

int32_t TokenRules::forced(int64_t n_new, bool has_prefix) const {
  if (n_new + 1 == max_new_tokens_ && forced_last_id_ >= 0) return forced_last_id_;
  return n_new == 0 && !has_prefix ? forced_first_id_ : -1;
}

void TokenRules::set_seen(int32_t id, bool seen) {
  flags_[id] = static_cast<uint8_t>(seen ? flags_[id] | kSeen : flags_[id] & ~kSeen);
}

int64_t candidates_needed(const SearchOptions& options, const TokenRules& rules) {
  constexpr int64_t kAll = std::numeric_limits<int64_t>::max();
  const int64_t vocab_size = rules.vocab_size();
  if (rules.has_penalty()) return kAll;
  // n_beams of them are free, so that an end that is none of them is not among the best n_beams.
  if (options.n_beams > 1) return options.n_beams + vocab_size - rules.n_free();
  if (!options.sample) return std::min(1 + rules.n_barred(), vocab_size);
  if (options.top_k == 0 || options.top_k >= vocab_size) return kAll;
  return std::min(options.top_k + rules.n_barred(), vocab_size);
}

bool has_softmax(const kernels::TopK& top) {
  return std::isfinite(top.largest) && std::isfinite(top.sum);
}

float log_probability(float logit, const kernels::TopK& top) {
  return (logit - top.largest) - std::log(top.sum);
}

int64_t best_allowed(const TokenRules& rules, const RowScores& scores, bool log_probabilities,
                     int64_t n_new, int64_t n, Candidate* out) {
  const auto best = scores.all != nullptr ? best_of_all : best_of_best;
  return best(rules, scores, log_probabilities, n_new, n, out);
}

float log_sum_of_allowed(const TokenRules& rules, const RowScores& scores, int64_t n_new,
                         float largest) {
  double sum = 0;
  for_each_allowed(rules, scores, true, n_new,
                   [&](const Candidate& candidate) { sum += std::exp(candidate.logit - largest); });
  return largest + static_cast<float>(std::log(sum));
}

int64_t all_allowed(const TokenRules& rules, const RowScores& scores, int64_t n_new,
                    Candidate* out) {
  int64_t count = 0;
  for_each_allowed(rules, scores, false, n_new,
                   [&](const Candidate& candidate) { out[count++] = candidate; });
  return count;
}

}  // namespace headlane
