#include "engine/generate/search.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "engine/base/error.h"

namespace headlane {
namespace {

using ll = long long;

constexpr size_t kAlignment = 64;

SearchOptions without_spans(SearchOptions options) {
  options.end_ids = options.suppressed_ids = {};
  return options;
}

void check_limit(const char* what, int64_t value, int64_t limit) {
  if (value <= limit) return;
  fail(Status::kTooLarge, "%s: %lld, but the search was made for %lld", what, ll{value}, ll{limit});
}

}  // namespace

const char* name_of(Finish finish) {
  switch (finish) {
    case Finish::kStop:
      return "stop";
    case Finish::kLength:
      return "length";
    case Finish::kCallback:
      return "callback";
    case Finish::kNan:
      return "nan";
    case Finish::kCacheFull:
      return "cache_full";
    case Finish::kConstraint:
      return "constraint";
  }
  return "";
}

Search::Search(const SearchLimits& limits)
    : limits_(limits), max_rows_(limits.max_sources * limits.max_beams) {
  assert(limits.vocab_size >= 1 && limits.max_sources >= 1 && limits.max_beams >= 1);
  assert(limits.max_prefix >= 0 && limits.max_len >= 1);
}

Search::Search(const SearchLimits& limits, void* memory) : Search(limits) {
  assert(memory != nullptr && reinterpret_cast<uintptr_t>(memory) % kAlignment == 0);
  place(static_cast<std::byte*>(memory));
}

size_t Search::bytes(const SearchLimits& limits) { return Search(limits).place(nullptr); }

size_t Search::place(std::byte* memory) {
  size_t at = 0;
  const auto array = [&]<typename T>(T*& pointer, int64_t n) {
    if (memory != nullptr) pointer = reinterpret_cast<T*>(memory + at);
    at += (n * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
  };
  array(rows_, limits_.max_len * max_rows_);
  array(sums_, max_rows_);
  array(next_sums_, max_rows_);
  array(samples_, max_rows_);
  array(next_samples_, max_rows_);
  array(sources_, limits_.max_sources);
  array(ended_, max_rows_);
  array(prompts_, limits_.max_sources * (1 + limits_.max_prefix));
  array(successors_, 2 * limits_.max_beams);
  array(candidates_, limits_.all_logits ? limits_.vocab_size
                                        : std::min(limits_.vocab_size, limits_.max_candidates));
  array(masked_ids_, limits_.max_candidates);
  array(flags_, limits_.vocab_size);
  array(mask_, limits_.all_logits ? mask_words(limits_.vocab_size) : 0);
  array(history_, limits_.all_logits ? 1 + limits_.max_prefix + limits_.max_len : 0);
  return at;
}

void Search::begin(const SearchOptions& options, std::span<const SearchSource> sources,
                   const FillMask* fill) {
  step_ = n_rows_ = n_sources_ = 0;
  fill_ = fill;
  stops_all_ = false;
  check_search_options(options, limits_.vocab_size);
  options_ = without_spans(options);
  rules_ =
      TokenRules(options, limits_.vocab_size, {flags_, static_cast<size_t>(limits_.vocab_size)});
  check_fits(sources);
  if (fill != nullptr && options.n_beams > 1) {
    fail(Status::kUnsupported,
         "n_beams is %lld; with a mask or a constraint of tokens it must be 1: beams are compared "
         "by probabilities, and those of a mask's tokens do not sum to 1",
         ll{options.n_beams});
  }
  candidates_needed_ = headlane::candidates_needed(options_, rules_);
  wants_all_logits_ = candidates_needed_ > limits_.max_candidates || fill != nullptr;
  if (wants_all_logits_) candidates_needed_ = 0;
  if (wants_all_logits_ && !limits_.all_logits) {
    fail(
        Status::kTooLarge,
        "these options of the search need all logits%s, and it was made for the best %lld of a row",
        fill != nullptr ? " (masks and constraints do)" : "", ll{limits_.max_candidates});
  }
  list_masked_ids();
  n_sources_ = std::ssize(sources);
  for (int64_t i = 0; i < n_sources_; ++i) add_source(sources[i], i);
  n_rows_ = n_sources_;
}

void Search::check_fits(std::span<const SearchSource> sources) const {
  check_limit("sources", std::ssize(sources), limits_.max_sources);
  check_limit(options_.sample ? "n_best" : "n_beams", std::max(options_.n_beams, options_.n_best),
              limits_.max_beams);
  check_limit("max_new_tokens", options_.max_new_tokens, limits_.max_len);
  for (const SearchSource& source : sources) {
    const int64_t prefix_len = std::ssize(source.prefix);
    check_limit("tokens of a prefix", prefix_len, limits_.max_prefix);
    if (prefix_len == 0 && options_.start_id < 0) {
      fail(Status::kInvalidArgument, "source %lld has neither a start nor a prefix",
           static_cast<ll>(&source - sources.data()));
    }
    // A language model's answer ends where there is no more room, so one free place is enough.
    const int64_t n_new = options_.start_id < 0 ? 1 : options_.max_new_tokens;
    check_limit("tokens of a prefix and max_new_tokens", prefix_len + n_new, limits_.max_len);
    for (const int32_t id : source.prefix) {
      if (id >= 0 && id < limits_.vocab_size) continue;
      fail(Status::kInvalidArgument,
           "the prefix of source %lld has token %d, which is not in the vocabulary of %lld tokens",
           static_cast<ll>(&source - sources.data()), id, ll{limits_.vocab_size});
    }
  }
}

// Lists the ids of all steps, then those of steps before min_new_tokens. There are no more of them
// than candidates.
void Search::list_masked_ids() {
  n_masked_always_ = n_masked_early_ = 0;
  if (options_.n_beams == 1 || !options_.renormalize || wants_all_logits_) return;
  const int64_t late = options_.max_new_tokens;
  for (int32_t id = 0; id < limits_.vocab_size; ++id) {
    if (!rules_.allows(id, late)) masked_ids_[n_masked_always_++] = id;
  }
  n_masked_early_ = n_masked_always_;
  for (int32_t id = 0; id < limits_.vocab_size; ++id) {
    if (rules_.allows(id, late) && !rules_.allows(id, 0)) masked_ids_[n_masked_early_++] = id;
  }
}

std::span<const int32_t> Search::masked_ids() const {
  const bool is_early = step_ < options_.min_new_tokens;
  return {masked_ids_, static_cast<size_t>(is_early ? n_masked_early_ : n_masked_always_)};
}

void Search::add_source(const SearchSource& source, int64_t i_source) {
  const int64_t n_start = options_.start_id >= 0 ? 1 : 0;
  const int64_t length = n_start + std::ssize(source.prefix);
  const int64_t max_new =
      std::min(options_.max_new_tokens, limits_.max_len - std::ssize(source.prefix));
  sources_[i_source] = {.key = source.key,
                        .prompt_len = static_cast<int32_t>(length),
                        .prefix_len = static_cast<int32_t>(source.prefix.size()),
                        .max_new = static_cast<int32_t>(max_new),
                        .n_ended = 0};
  int32_t* prompt = prompts_ + i_source * (1 + limits_.max_prefix);
  if (n_start != 0) prompt[0] = options_.start_id;
  std::ranges::copy(source.prefix, prompt + n_start);
  *row(0, i_source) = {.source = static_cast<int32_t>(i_source),
                       .token = prompt[length - 1],
                       .parent = -1,
                       .scored = known_token(i_source, 0) < 0};
  sums_[i_source] = 0;
  samples_[i_source] = -1;
}

// Returns what comes after the tokens of `step`, if that is no question.
int32_t Search::known_token(int64_t i_source, int64_t step) const {
  return rules_.forced(step, sources_[i_source].prefix_len > 0);
}

int64_t Search::end_of_source(int64_t first) const {
  int64_t last = first + 1;
  while (last < n_rows_ && row(step_, last)->source == row(step_, first)->source) ++last;
  return last;
}

void Search::advance(std::span<const RowScores> scores) {
  assert(std::ssize(scores) == n_rows_);
  n_next_rows_ = 0;
  for (int64_t first = 0, last = 0; first < n_rows_; first = last) {
    last = end_of_source(first);
    if (options_.n_beams > 1) {
      advance_beams(first, last, scores.data());
    } else {
      advance_samples(first, last, scores.data());
    }
  }
  ++step_;
  n_rows_ = n_next_rows_;
  std::swap(sums_, next_sums_);
  std::swap(samples_, next_samples_);
}

void Search::push(int64_t i_source, int32_t token, int64_t parent, float sum, int32_t sample) {
  const int64_t r = n_next_rows_++;
  *row(step_ + 1, r) = {.source = static_cast<int32_t>(i_source),
                        .token = token,
                        .parent = static_cast<int32_t>(parent),
                        .scored = known_token(i_source, step_ + 1) < 0};
  next_sums_[r] = sum;
  next_samples_[r] = sample;
}

bool Search::FinalScore::operator>(const FinalScore& other) const {
  if (value != other.value) return value > other.value;
  const bool in_range = std::isnormal(value);
  if (in_range || order == other.order) return !in_range && sum > other.sum;
  return order > other.order;
}

// A sum of log-probabilities is never above 0, so the quotient is the larger, the smaller the
// logarithm of its absolute value. That is divided by 16, more than the logarithm of any length, so
// that it is finite whatever the penalty is.
Search::FinalScore Search::final_score(float sum, int64_t n_tokens) const {
  constexpr double kLargest = std::numeric_limits<float>::max(), kScale = 1.0 / 16;
  const auto length = static_cast<double>(n_tokens);
  const double power = std::pow(length, options_.length_penalty);
  const float divisor =
      power <= kLargest ? static_cast<float>(power) : std::numeric_limits<float>::infinity();
  const double log_power = options_.length_penalty * (kScale * std::log(length));
  return {sum / divisor, log_power - kScale * std::log(-double{sum}), sum};
}

Search::Ended Search::broken_off(int64_t r) const {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  return {.score = {kNan, 0, kNan}, .token = -1, .step = step_, .row = r};
}

// For the penalty of repetitions.
void Search::mark_history(int64_t r, bool seen) {
  for (const int32_t token : prompt(row(step_, r)->source)) rules_.set_seen(token, seen);
  for (int64_t step = step_; step > 0; --step) {
    rules_.set_seen(row(step, r)->token, seen);
    r = row(step, r)->parent;
  }
}

// The answer of a row without another token. It goes by the row's parent, since the row's own place
// may be given away.
Search::Ended Search::as_it_stands(int64_t r) const {
  const StepRow& ending = *row(step_, r);
  return {.score = final_score(sums_[r], std::max<int64_t>(1, step_)),
          .token = step_ == 0 ? -1 : ending.token,
          .step = std::max<int64_t>(step_ - 1, 0),
          .row = ending.parent};
}

void Search::stop(int64_t source) {
  int64_t first = 0;
  while (first < n_rows_ && row(step_, first)->source != source) ++first;
  if (first == n_rows_) return;
  const int64_t last = end_of_source(first);
  for (int64_t r = first; r < last; ++r) {
    const Ended answer = as_it_stands(r);
    if (options_.n_beams > 1) {
      insert_ended(source, answer);
    } else {
      set_ended(source, samples_[r], answer);
    }
  }
  std::copy(row(step_, last), row(step_, n_rows_), row(step_, first));
  std::copy(sums_ + last, sums_ + n_rows_, sums_ + first);
  std::copy(samples_ + last, samples_ + n_rows_, samples_ + first);
  n_rows_ -= last - first;
}

int64_t Search::n_hypotheses(int64_t source) const {
  assert(source >= 0 && source < n_sources_);
  return std::min<int64_t>(sources_[source].n_ended, options_.n_best);
}

Hypothesis Search::hypothesis(int64_t source, int64_t rank) const {
  assert(rank >= 0 && rank < n_hypotheses(source));
  const Ended& answer = ended(source)[rank];
  const int64_t n_new = answer.step + (answer.token < 0 ? 0 : 1);
  return {.score = answer.score.value,
          .length = sources_[source].prefix_len + n_new,
          .finish = finish_of(answer, n_new == sources_[source].max_new)};
}

Finish Search::finish_of(const Ended& answer, bool is_full) const {
  if (std::isnan(answer.score.value)) return Finish::kNan;
  if (answer.token >= 0 && rules_.is_end(answer.token)) return Finish::kStop;
  return is_full ? Finish::kLength : answer.how;
}

void Search::copy_tokens(int64_t source, int64_t rank, int32_t* tokens) const {
  assert(rank >= 0 && rank < n_hypotheses(source));
  const Ended& answer = ended(source)[rank];
  tokens = std::ranges::copy(prefix(source), tokens).out;
  if (answer.token >= 0) tokens[answer.step] = answer.token;
  int64_t r = answer.row;
  for (int64_t step = answer.step; step > 0; --step) {
    tokens[step - 1] = row(step, r)->token;
    r = row(step, r)->parent;
  }
}

}  // namespace headlane
