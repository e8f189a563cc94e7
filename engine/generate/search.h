// Greedy search, beam search and sampling around a decoder's step, which is somebody else's:
//
//   search.begin(options, sources);
//   while (!search.done()) {
//     for each of search.rows(): run the decoder on its token, after its parent's history; in the
//       first step, which has one row per source, on all of its source's prompt
//     search.advance(scores, one for each row);
//   }
//
// All rows of a step have as many new tokens, n_new(); their prompts may differ. A source that has
// its answers has no rows any more. Tokens are those of transformers 5.23
// generate() for the source alone, but that
//   - of equal scores, the one of the better row, then the lower id, wins; top_k keeps exactly that
//     many;
//   - a forced token may be a suppressed one;
//   - with a length_penalty that takes scores out of the range of float32, or below the -1e9 that
//     transformers' empty places of answers have, answers keep their order, where transformers
//     returns empty places or any of the answers;
//   - beams of which there is nothing to tell apart (after the forced first token) are one row, and
//     an answer that would differ from another in nothing is not given: there may be fewer.
// A first step has one row per source too: the others that transformers computes are the same, and
// begin with a score of -1e9, so no successor of theirs is among the best while the first has
// successors enough, which TokenRules checks.
//
// The answers to a source depend on the source, the options and its rows' scores alone. Nothing is
// allocated after construction. A step takes O(rows * candidates), or O(rows * vocab_size) with all
// logits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/generate/search_options.h"
#include "engine/generate/token_mask.h"
#include "engine/generate/token_rules.h"

namespace headlane {

struct SearchLimits {
  int64_t vocab_size = 0;
  int64_t max_sources = 0;  // all >= 1 but max_prefix
  int64_t max_beams = 0;    // or n_best, with sampling
  int64_t max_prefix = 0;
  int64_t max_len = 0;  // of an answer, the prefix included
  // That candidates_needed() may be: beyond, all of a row's logits are looked at.
  int64_t max_candidates = 1;
  bool all_logits = false;  // whether options may be such that wants_all_logits()
};

struct SearchSource {
  // The key of its random numbers, which tells them from other sources': its number in the caller's
  // file, say, rather than in the batch, so that samples do not depend on how sources were batched.
  uint64_t key = 0;
  std::span<const int32_t> prefix;  // tokens that its answers begin with, after the start
};

struct StepRow {
  int32_t source = 0, token = 0;
  int32_t parent = -1;  // the row of the step before whose history it continues; -1: none
  bool scored = true;   // false: its next token is known already, so nobody looks at its scores
};

// Why an answer has no more tokens.
enum class Finish {
  kStop,        // the last one is an end, or no token may come
  kLength,      // there was no more room
  kCallback,    // Search::stop
  kConstraint,  // an error of what it has to obey (engine/generate/sequences.h)
  kNan,         // the row's scores were no numbers, or left nothing to choose
  kCacheFull,   // no row of the cache was left for the last one (engine/generate/sequences.h)
};
const char* name_of(Finish finish);  // "stop", "length", ...

struct Hypothesis {
  // Sum of ln p / length^length_penalty; length without prefix, the end included. p is the model's
  // own, or the penalized one in beam search, as in transformers; 1 of forced tokens. NaN: the
  // source broke off, since its logits were not finite or left no token to go on with.
  float score = 0;
  int64_t length = 0;  // with prefix and end, without the start
  Finish finish = Finish::kStop;
};

class Search {
 public:
  static size_t bytes(const SearchLimits& limits);
  // `memory`: bytes() of it, 64-byte aligned, for as long as the Search lives.
  Search(const SearchLimits& limits, void* memory);

  // Throws Error(kInvalidArgument) or, of what is more than the limits, Error(kTooLarge); then
  // there is nothing to be done. `fill`: says which tokens may come, and lives as long as the
  // search goes on; null: nobody does. Throws Error(kUnsupported) of one for beams.
  void begin(const SearchOptions& options, std::span<const SearchSource> sources,
             const FillMask* fill = nullptr);

  // The rows of the step to be made: rows of a source next to each other, sources in order.
  std::span<const StepRow> rows() const { return {row(step_, 0), static_cast<size_t>(n_rows_)}; }
  bool done() const { return n_rows_ == 0; }
  // Tokens that each row has after its prompt, its own included: 0 in the first step.
  int64_t n_new() const { return step_; }
  // The start, if there is one, and the prefix of a source.
  std::span<const int32_t> prompt(int64_t source) const {
    return {prompts_ + source * (1 + limits_.max_prefix),
            static_cast<size_t>(sources_[source].prompt_len)};
  }

  // The tokens that a row of a source has at the end, at most.
  int64_t room(int64_t source) const {
    return sources_[source].prompt_len + sources_[source].max_new;
  }

  // Either the best candidates of each row are wanted, or its logits.
  bool wants_all_logits() const { return wants_all_logits_; }
  // For a beam search n_beams and the ends: those that go on are then among them. 0 if all logits
  // are wanted.
  int64_t candidates_needed() const { return candidates_needed_; }

  // The ids that the step is to leave out of rows' candidates and of their RowScores::top, as if
  // their logits were -inf: what options.renormalize takes when single logits are not at hand.
  std::span<const int32_t> masked_ids() const;

  // It reads nothing of rows that are not `scored`. Throws what a FillMask throws.
  void advance(std::span<const RowScores> scores /* [rows().size()] */);

  // Between steps: ends a source; its running rows become answers as they stand.
  void stop(int64_t source);

  // The answers of a source that has no rows: n_best or fewer, but 1 or more. Best first; samples
  // in the order of their numbers.
  int64_t n_hypotheses(int64_t source) const;
  Hypothesis hypothesis(int64_t source, int64_t rank) const;
  void copy_tokens(int64_t source, int64_t rank, int32_t* tokens /* [length] */) const;

 private:
  struct Source {
    uint64_t key;
    int32_t prompt_len;  // the start, if there is one, and the prefix
    int32_t prefix_len;
    int32_t max_new;  // tokens after the prefix: fewer than asked for where max_len is near
    int32_t n_ended;  // answers that it has
  };
  // Answers are compared by this. A large length_penalty takes scores out of the range of a float,
  // where they are all 0 or -infinity; there `order` tells them apart, and the sum those of one
  // length.
  struct FinalScore {
    float value;   // sum / length^length_penalty
    double order;  // grows with that quotient
    float sum;     // of ln p
    bool operator>(const FinalScore& other) const;
  };
  // An answer: the tokens up to a row, and one more.
  struct Ended {
    FinalScore score;
    int32_t token;  // -1: no more
    int64_t step, row;
    Finish how = Finish::kCallback;  // where neither its token nor its length says it
  };
  // A row of the step before, and what may come after it.
  struct Successor {
    float score;  // sum of ln p
    int32_t token;
    int64_t row;
  };
  struct SuccessorList {
    Successor* items;
    int64_t n, capacity;
    bool offer(const Successor& successor);  // false: it is not among the best
  };

  explicit Search(const SearchLimits& limits);  // without memory
  size_t place(std::byte* memory);              // returns how much it is; null: that is all it does
  void check_fits(std::span<const SearchSource> sources) const;
  void list_masked_ids();
  void add_source(const SearchSource& source, int64_t i_source);

  std::span<const int32_t> prefix(int64_t source) const {
    return prompt(source).last(static_cast<size_t>(sources_[source].prefix_len));
  }
  StepRow* row(int64_t step, int64_t r) const { return rows_ + step * max_rows_ + r; }
  Ended* ended(int64_t source) const { return ended_ + source * limits_.max_beams; }
  int64_t end_of_source(int64_t first) const;  // the row after those of the same source
  int32_t known_token(int64_t i_source, int64_t step) const;
  void push(int64_t i_source, int32_t token, int64_t parent, float score, int32_t sample);
  FinalScore final_score(float sum, int64_t n_tokens) const;
  void mark_history(int64_t r, bool seen);
  bool is_last(int64_t i_source, int32_t token) const {
    return step_ + 1 == sources_[i_source].max_new || rules_.is_end(token);
  }
  Ended broken_off(int64_t r) const;
  Finish finish_of(const Ended& answer, bool is_full) const;

  // Both take the rows [first, last) of one source.
  void advance_beams(int64_t first, int64_t last, const RowScores* scores);
  void advance_samples(int64_t first, int64_t last, const RowScores* scores);

  bool collect(int64_t first, int64_t last, const RowScores* scores, SuccessorList* best,
               SuccessorList* running);
  int64_t list_successors(int64_t r, const RowScores& scores, float* offset);
  bool is_over(const Source& source, const SuccessorList& running) const;
  void insert_ended(int64_t i_source, const Ended& answer);

  bool ask_mask(int64_t r);
  Ended as_it_stands(int64_t r) const;
  void choose_tokens(int64_t r, const RowScores& scores);
  void take_token(int64_t r, int32_t sample, int32_t token, float sum);
  void set_ended(int64_t i_source, int32_t sample, const Ended& answer);

  SearchLimits limits_;
  SearchOptions options_;  // without its spans
  TokenRules rules_;
  int64_t max_rows_ = 0;  // of a step
  const FillMask* fill_ = nullptr;
  bool wants_all_logits_ = false, stops_all_ = false;
  int64_t candidates_needed_ = 0;
  int64_t n_masked_always_ = 0, n_masked_early_ = 0;

  int64_t step_ = 0, n_rows_ = 0, n_next_rows_ = 0, n_sources_ = 0;
  StepRow* rows_ = nullptr;  // [max_len, max_rows_]: of all steps, a tree of histories
  float *sums_ = nullptr, *next_sums_ = nullptr;          // [max_rows_], of ln p
  int32_t *samples_ = nullptr, *next_samples_ = nullptr;  // [max_rows_]; -1: of all samples
  Source* sources_ = nullptr;                             // [max_sources]
  Ended* ended_ = nullptr;                                // [max_sources, limits_.max_beams]
  int32_t* prompts_ = nullptr;                            // [max_sources, 1 + max_prefix]
  Successor* successors_ = nullptr;                       // [2, limits_.max_beams]
  Candidate* candidates_ = nullptr;                       // of one row
  int32_t* masked_ids_ = nullptr;                         // [max_candidates]
  uint8_t* flags_ = nullptr;                              // [vocab_size]
  uint32_t* mask_ = nullptr;                              // [mask_words(vocab_size)]
  int32_t* history_ = nullptr;                            // [1 + max_prefix + max_len], of one row
};

}  // namespace headlane
