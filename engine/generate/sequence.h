// One of the sequences that a model goes on with: its tokens, what it was asked for, and what came
// of it. What it is computed by is decided elsewhere (engine/generate/sequences.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "engine/generate/answer_text.h"
#include "engine/generate/search.h"
#include "engine/generate/token_rules.h"

namespace headlane {

struct Bias {
  int32_t id = 0;
  float bias = 0;  // added to the token's logit
};

struct SequenceRequest {
  std::vector<int32_t> ids;  // the prompt
  // How tokens are chosen: n_beams and n_best are 1. Its spans are not read.
  SearchOptions search;
  std::vector<int32_t> end_ids, suppressed_ids;
  std::vector<std::string> stops;
  std::vector<Bias> bias;
  bool generates = true;         // false: the prompt is computed, and no token comes after it
  bool logprobs = false;         // of tokens that come
  bool prompt_logprobs = false;  // of the prompt's tokens too
  int64_t n_top = 0;    // the best tokens at each place that are told with log-probabilities
  uint64_t key = 0;     // of its random numbers, which it tells from others' of the same seed
  int64_t room = 0;     // tokens that it counts as having room for; 0: its prompt and what may come
  bool keeps = false;   // it stays in the cache once it has ended
  bool hidden = false;  // the last hidden state of its last token is wanted
  int64_t speculate = 0;         // the most tokens that are guessed in a step
  FillMask fill_mask;            // says which tokens may come; null: nobody does
  void (*listener)() = nullptr;  // of whoever asked, who knows its type; null: none
  void* user = nullptr;          // likewise
};

// ln of the model's own probability of a token, whatever the request did to logits, and the best
// tokens at its place.
struct TokenLogprobs {
  std::vector<float> values;     // one for each place
  std::vector<int32_t> top_ids;  // n_top of each place; -1: there are no more
  std::vector<float> top_values;
};

enum class SequenceState { kWaiting, kPrompt, kRunning, kEnded };

// Everything except `request` is written under the lock of the Sequences that have it.
struct Sequence {
  SequenceRequest request;  // its ids are moved away
  int64_t number = 0;
  std::vector<int32_t> ids;  // of the prompt and what came
  int64_t n_prompt = 0;
  int64_t n_computed = 0;  // of ids, whose keys and values are in the cache
  int64_t n_shared = 0;    // of these, the ones that were there already when it joined
  int64_t max_new = 0;     // tokens that may come after the prompt
  int64_t room = 0;        // tokens that it was added to have at most
  int64_t k = 1;           // candidates that a choice needs
  bool all_logits = false;

  int32_t place = -1;            // in the cache
  TokenRules rules;              // where it has a place
  std::vector<int32_t> guesses;  // of tokens to come, that the step at hand computes too
  int64_t most_guesses = 0;      // that are worth it, as the last ones turned out
  int64_t n_guessed = 0, n_guessed_right = 0;
  bool in_step = false;
  // While a step runs, what that step makes of the sequence came to be unwanted.
  bool is_removed = false, is_rewound = false;

  std::optional<Finish> finish;
  Status status = Status::kOk;
  std::string message;
  TokenLogprobs logprobs;
  std::vector<float> hidden;
  AnswerText text;
  bool has_text = false;
  size_t n_told = 0;  // bytes of the text that the listener has

  int64_t length() const { return std::ssize(ids); }
  int64_t n_pending() const { return length() - n_computed; }
  int64_t n_new() const { return length() - n_prompt; }
  SequenceState state() const;
  bool wants_token() const { return n_new() < max_new; }
  // How many tokens are to be guessed, of the `max_len` that a sequence may have.
  int64_t guesses_wanted(int64_t max_len) const;
  // So many of the guesses came to be chosen.
  void learn_from_guesses(int64_t n_right);
  // The first place that has log-probabilities; length() if there is none.
  int64_t first_scored() const;
  // The places up to `length` have no token and no log-probabilities any more.
  void cut(int64_t length);
  // It ends; of an error, with a sentence.
  void end(Finish how, Status with = Status::kOk, std::string why = "");
};

// The token that comes next by these scores. Its logit is the model's own. Id -1: there is nothing
// to choose. `all`: scores.all, which is as before afterwards; `forced_logit`: that of the token
// that must come, if one must.
Candidate choose_token(Sequence& sequence, const RowScores& scores, float* all, float forced_logit,
                       Candidate* scratch);

// Adds the log-probability of the token at the next place that has none yet, from its logit.
void add_logprob(Sequence* sequence, float logit, const RowScores& scores);

// The sequence has this token more, and ends if it is the last one.
void add_token(Sequence* sequence, int32_t id);

}  // namespace headlane
