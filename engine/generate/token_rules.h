// These rules say which tokens a row of a search may get next, and with what scores: suppressed
// tokens, ends that come too early, forced tokens and the penalty of repetitions.
#pragma once

#include <cstdint>
#include <span>

#include "engine/generate/row_scores.h"
#include "engine/generate/search_options.h"
#include "engine/generate/token_mask.h"
#include "kernels/kernels.h"

namespace headlane {

class TokenRules {
 public:
  TokenRules() = default;
  // `flags`: [vocab_size], the rules' own for as long as they live. Throws
  // Error(kInvalidArgument) if fewer tokens than n_beams are neither suppressed nor an end.
  TokenRules(const SearchOptions& options, int64_t vocab_size, std::span<uint8_t> flags);

  int64_t vocab_size() const { return vocab_size_; }
  int64_t n_ends() const { return n_ends_; }  // different ones
  int64_t n_free() const { return n_free_; }  // tokens that are neither suppressed nor an end
  // Tokens that `allows` refuses at some time.
  int64_t n_barred() const { return n_barred_; }

  bool is_end(int32_t id) const { return (flags_[id] & kEnd) != 0; }
  // Where `n_new` tokens have come after the prefix.
  bool allows(int32_t id, int64_t n_new) const {
    return (flags_[id] & (n_new < min_new_tokens_ ? kEnd | kSuppressed : kSuppressed)) == 0;
  }
  int32_t forced(int64_t n_new, bool has_prefix) const;  // -1: none

  // Only tokens of the mask may come, until another one is set; without words: all.
  void set_mask(TokenMask mask) { mask_ = mask; }
  TokenMask mask() const { return mask_; }

  // Marks or unmarks a token that a row has already.
  void set_seen(int32_t id, bool seen);
  bool is_seen(int32_t id) const { return (flags_[id] & kSeen) != 0; }
  bool has_penalty() const { return repetition_penalty_ != 1; }
  float penalized(float score) const {
    return score < 0 ? score * repetition_penalty_ : score / repetition_penalty_;
  }

 private:
  static constexpr uint8_t kEnd = 1, kSuppressed = 2, kSeen = 4;

  std::span<uint8_t> flags_;
  TokenMask mask_;
  int64_t vocab_size_ = 0, n_ends_ = 0, n_free_ = 0, n_barred_ = 0;
  int64_t min_new_tokens_ = 0, max_new_tokens_ = 0;
  int32_t forced_first_id_ = -1, forced_last_id_ = -1;
  float repetition_penalty_ = 1;
};

// How many of a row's best candidates show all that a step of the search may need of it; INT64_MAX
// where only all logits do.
int64_t candidates_needed(const SearchOptions& options, const TokenRules& rules);

// Whether a comes before b: the larger first, of equals the one with the lower id.
inline bool is_better(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

// Whether the row has a softmax: no NaN or +inf among its logits, and not all of them -inf.
bool has_softmax(const kernels::TopK& top);

// ln softmax at a logit, with the roundings of PyTorch's log_softmax but for its sum's.
float log_probability(float logit, const kernels::TopK& top);

// The scores of the tokens that `rules` and their mask allow after `n_new` tokens: logits, or
// log-probabilities; penalized where seen; without NaN and -inf. Only `scores.all` can serve a
// penalty or a mask. The n best, best first; n >= 1, room for n at `out`. Returns how many there
// are.
int64_t best_allowed(const TokenRules& rules, const RowScores& scores, bool log_probabilities,
                     int64_t n_new, int64_t n, Candidate* out);
// ln of the sum of e^score over all that are allowed, by log-probabilities, from `scores.all`;
// `largest` is the largest of these.
float log_sum_of_allowed(const TokenRules& rules, const RowScores& scores, int64_t n_new,
                         float largest);
// All logits, by id, from `scores.all`; room for vocab_size at `out`.
int64_t all_allowed(const TokenRules& rules, const RowScores& scores, int64_t n_new,
                    Candidate* out);

}  // namespace headlane
