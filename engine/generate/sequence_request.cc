#include "engine/generate/sequence_request.h"

#include <cmath>

#include "engine/base/error.h"

namespace headlane {
namespace {

using ll = long long;

// A stop is looked for at each byte of a text, and its beginnings at each end.
constexpr size_t kMostStopBytes = 1024, kMostStops = 256;

void check_prompt(const SequenceRequest& request, int64_t vocab_size,
                  const SequencesLimits& limits) {
  const int64_t n = std::ssize(request.ids);
  if (n == 0) fail(Status::kInvalidArgument, "the prompt is empty; it must have a token or more");
  for (int64_t i = 0; i < n; ++i) {
    const int32_t id = request.ids[static_cast<size_t>(i)];
    if (id >= 0 && id < vocab_size) continue;
    fail(Status::kInvalidArgument, "ids[%lld] is %d; ids are from 0 to %lld", ll{i}, id,
         ll{vocab_size - 1});
  }
  const int64_t n_new = request.generates ? 1 : 0;
  if (n + n_new > limits.max_len()) {
    fail(Status::kTooLarge,
         "the prompt has %lld tokens; a sequence has at most %lld, what comes after its prompt "
         "included (max_len, which is at most the model's max_positions)",
         ll{n}, ll{limits.max_len()});
  }
  if (request.room < 0 || request.room > limits.max_len()) {
    fail(request.room < 0 ? Status::kInvalidArgument : Status::kTooLarge,
         "room is %lld; it must be from 0 to %lld, max_len", ll{request.room},
         ll{limits.max_len()});
  }
  if (n > limits.n_rows()) {
    fail(Status::kTooLarge,
         "the prompt has %lld tokens, but the cache has room for %lld (max_tokens)", ll{n},
         ll{limits.n_rows()});
  }
}

void check_stops(const SequenceRequest& request, const Model& model) {
  const std::vector<std::string>& stops = request.stops;
  if (stops.size() > kMostStops) {
    fail(Status::kTooLarge, "n_stops is %zu; it must be at most %zu", stops.size(), kMostStops);
  }
  for (size_t i = 0; i < stops.size(); ++i) {
    if (stops[i].empty()) {
      fail(Status::kInvalidArgument, "stops[%zu] is empty; every text has that", i);
    }
    if (stops[i].size() > kMostStopBytes) {
      fail(Status::kTooLarge, "stops[%zu] has %zu bytes; it must have at most %zu", i,
           stops[i].size(), kMostStopBytes);
    }
  }
  if (!stops.empty() && model.tokenizer() == nullptr) {
    fail(Status::kUnsupported, "%s: stops are texts, but the file has no tokenizer; end_ids works",
         model.container().path().c_str());
  }
}

void check_bias(const SequenceRequest& request, int64_t vocab_size) {
  const std::vector<Bias>& biases = request.bias;
  if (std::ssize(biases) > vocab_size) {
    fail(Status::kInvalidArgument, "n_bias is %zu; it must be at most %lld, the vocabulary's size",
         biases.size(), ll{vocab_size});
  }
  for (size_t i = 0; i < biases.size(); ++i) {
    if (biases[i].id < 0 || biases[i].id >= vocab_size) {
      fail(Status::kInvalidArgument, "bias_ids[%zu] is %d; ids are from 0 to %lld", i, biases[i].id,
           ll{vocab_size - 1});
    }
    if (biases[i].bias < HUGE_VALF) continue;
    fail(Status::kInvalidArgument, "biases[%zu] is %g; it must be a number, or -infinity", i,
         double{biases[i].bias});
  }
}

void check_guesses(const SequenceRequest& request, const SequencesLimits& limits) {
  const int64_t most = limits.step.run.max_tokens - 1;
  if (request.speculate >= 0 && request.speculate <= most) return;
  fail(request.speculate < 0 ? Status::kInvalidArgument : Status::kTooLarge,
       "speculate is %lld; it must be from 0 to %lld, one less than max_step_tokens",
       ll{request.speculate}, ll{most});
}

void check_scores(const SequenceRequest& request, const SequencesLimits& limits) {
  const int64_t most = limits.step.max_candidates;
  if (request.n_top < 0 || request.n_top > most) {
    fail(request.n_top < 0 ? Status::kInvalidArgument : Status::kTooLarge,
         "n_top is %lld; it must be from 0 to %lld, max_candidates", ll{request.n_top}, ll{most});
  }
  if (request.hidden && !limits.step.hidden) {
    fail(Status::kTooLarge,
         "a hidden state is wanted, but the sequences were created without room for them (hidden)");
  }
}

}  // namespace

SequenceRequest default_request(const ModelConfig& config) {
  const GenerationDefaults& generation = config.generation;
  SequenceRequest request;
  SearchOptions& search = request.search;
  search.repetition_penalty = generation.repetition_penalty;
  search.max_new_tokens = generation.max_new_tokens;
  search.min_new_tokens = generation.min_new_tokens;
  search.start_id = -1;
  search.forced_first_id = generation.forced_first_id;
  search.forced_last_id = generation.forced_last_id;
  request.end_ids = generation.end_ids;
  request.suppressed_ids = generation.suppressed_ids;
  return request;
}

SearchOptions search_of(const SequenceRequest& request) {
  SearchOptions search = request.search;
  search.end_ids = request.end_ids;
  search.suppressed_ids = request.suppressed_ids;
  return search;
}

void check_request(const SequenceRequest& request, const Model& model,
                   const SequencesLimits& limits) {
  const int64_t vocab_size = model.config().decoder.vocab_size;
  check_prompt(request, vocab_size, limits);
  check_search_options(search_of(request), vocab_size);
  check_stops(request, model);
  check_bias(request, vocab_size);
  check_scores(request, limits);
  check_guesses(request, limits);
}

}  // namespace headlane
