// How large many sequences may be together, and what memory they take.
#include <algorithm>
#include <climits>

#include "engine/base/checked_option.h"
#include "engine/base/cpus.h"
#include "engine/generate/decoder.h"
#include "engine/generate/sequences.h"

namespace headlane {
namespace {

using ll = long long;

// Tokens of prompts whose log-probabilities one step computes, of all sequences together. Each
// takes room for the best candidates of all ranges of the vocabulary, 100 KB and more; fewer tokens
// would read the vocabulary's weights too often for a product that is bound by arithmetic.
constexpr int64_t kScoredTokens = 64;

void check_model(const Model& model) {
  check_generates(model);
  if (model.config().is_language_model()) return;
  fail(Status::kUnsupported,
       "%s: the model has an encoder; headlane_generator_create makes what runs it",
       model.container().path().c_str());
}

int64_t default_candidates(const ModelConfig& config) {
  constexpr int64_t kMoreCandidates = 64;
  const GenerationDefaults& generation = config.generation;
  const auto n_special =
      static_cast<int64_t>(generation.end_ids.size() + generation.suppressed_ids.size());
  return std::min({1 + n_special + kMoreCandidates, config.decoder.vocab_size, int64_t{4096}});
}

// The cache, whose layers with a window keep no more than that and the tokens of one step, where
// that is less than all: a step may go so far beyond what a sequence shares with one that waits.
SequenceCacheLimits cache_limits(const ModelConfig& config, const StepModel& steps,
                                 const SequenceStepLimits& step, int64_t n_rows, int64_t max_len) {
  SequenceCacheLimits cache;
  cache.max_sequences = step.max_sequences;
  cache.max_len = max_len;
  cache.n_rows = n_rows;
  cache.row = steps.cache_row;
  cache.slack = step.run.max_tokens;
  for (int64_t i = 0; i < steps.n_layers; ++i) {
    const int64_t window = config.decoder.attention_of(i).window_left;
    cache.has_window.push_back(window < max_len);
    if (window < max_len) cache.window = std::max(cache.window, window);
  }
  cache.n_window_rows = step.max_sequences * (cache.window + cache.slack) + step.run.max_tokens;
  if (cache.n_window_rows >= n_rows) cache.has_window.assign(cache.has_window.size(), false);
  return cache;
}

// A draft's guesses are tokens of the model, and its step and cache are as large as the model's.
DraftLimits draft_limits(const Model& model, const Model& draft, const SequencesLimits& limits) {
  check_model(draft);
  const int64_t own = draft.config().decoder.vocab_size, theirs = model.config().decoder.vocab_size;
  if (own != theirs) {
    fail(Status::kInvalidArgument,
         "%s has %lld tokens, and guesses for a model that has %lld: the draft must have the same",
         draft.container().path().c_str(), ll{own}, ll{theirs});
  }
  SequencesOptions options;
  options.max_sequences = limits.step.max_sequences;
  options.max_tokens = limits.n_rows();
  options.max_len = std::min(limits.max_len(), draft.config().decoder.max_positions);
  options.max_step_tokens = limits.step.run.max_tokens;
  options.max_candidates = 1;
  options.n_threads = limits.step.run.n_threads;
  const SequencesLimits of_draft = sequences_limits(draft, options);
  return {&draft, of_draft.step, of_draft.cache};
}

}  // namespace

SequencesLimits sequences_limits(const Model& model, const SequencesOptions& options) {
  constexpr int64_t kDefaultSequences = 32, kMostSequences = int64_t{1} << 20,
                    kDefaultTokens = 8192, kDefaultStepTokens = 512, kMostThreads = 1024,
                    kMostCandidates = 4096, kMostRows = INT32_MAX / 2;
  const auto checked = [](const char* name, int64_t value, int64_t fallback, int64_t most) {
    return checked_option("sequences", name, value, fallback, most);
  };
  check_model(model);
  const ModelConfig& config = model.config();
  const int64_t max_positions = config.decoder.max_positions;
  SequencesLimits limits;
  SequenceStepLimits& step = limits.step;
  step.max_sequences =
      checked("max_sequences", options.max_sequences, kDefaultSequences, kMostSequences);
  const int64_t n_rows = checked("max_tokens", options.max_tokens, kDefaultTokens, kMostRows);
  const int64_t max_len =
      checked("max_len", options.max_len, std::min(max_positions, n_rows + 1), max_positions);
  step.max_candidates =
      checked("max_candidates", options.max_candidates, default_candidates(config),
              std::min(kMostCandidates, config.decoder.vocab_size));
  step.all_logits = options.all_logits;
  step.hidden = options.hidden;
  Limits& run = step.run;
  run.precision = choose_precision(options.precision, model.kernels(), model.precision());
  run.n_threads = checked("n_threads", options.n_threads, available_cpus(), kMostThreads);
  run.max_tokens = checked("max_step_tokens", options.max_step_tokens,
                           std::max(kDefaultStepTokens, step.max_sequences), kMostRows);
  if (run.max_tokens < step.max_sequences) {
    fail(Status::kInvalidArgument,
         "sequences option max_step_tokens is %lld; it must be max_sequences, %lld, or more: each "
         "sequence gets a token in each step",
         ll{run.max_tokens}, ll{step.max_sequences});
  }
  run.max_seqs = std::min(step.max_sequences + kScoredTokens, run.max_tokens);
  run.max_len = std::min(run.max_tokens, max_len);
  const kernels::Format format =
      choose_cache_format(config.decoder, options.cache, default_cache_format(run.precision));
  const StepModel of_steps = step_model(model, run.precision, format);
  limits.cache = cache_limits(config, of_steps, step, n_rows, max_len);
  if (options.draft != nullptr) limits.draft = draft_limits(model, *options.draft, limits);
  return limits;
}

}  // namespace headlane
