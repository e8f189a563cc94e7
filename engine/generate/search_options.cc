#include "engine/generate/search_options.h"

#include <cmath>

#include "engine/base/error.h"

namespace headlane {
namespace {

using ll = long long;

void check_range(const char* name, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return;
  fail(Status::kInvalidArgument, "%s is %lld; it must be from %lld to %lld", name, ll{value},
       ll{least}, ll{most});
}

void check_positive(const char* name, float value) {
  if (value > 0 && std::isfinite(value)) return;
  fail(Status::kInvalidArgument, "%s is %g; it must be positive and finite", name, double{value});
}

void check_id(const char* name, int32_t id, int64_t vocab_size, int32_t least) {
  if (id >= least && id < vocab_size) return;
  fail(Status::kInvalidArgument, "%s is %d, which is not in the vocabulary of %lld tokens", name,
       id, ll{vocab_size});
}

void check_tokens(const SearchOptions& options, int64_t vocab_size) {
  check_id("start_id", options.start_id, vocab_size, -1);
  check_id("forced_first_id", options.forced_first_id, vocab_size, -1);
  check_id("forced_last_id", options.forced_last_id, vocab_size, -1);
  for (const int32_t id : options.end_ids) check_id("a token of end_ids", id, vocab_size, 0);
  for (const int32_t id : options.suppressed_ids) {
    check_id("a token of suppressed_ids", id, vocab_size, 0);
  }
}

void check_beams(const SearchOptions& options, int64_t vocab_size) {
  check_range("n_beams", options.n_beams, 1, vocab_size);
  if (options.sample && options.n_beams != 1) {
    fail(Status::kInvalidArgument, "n_beams is %lld; with sampling it must be 1",
         ll{options.n_beams});
  }
  if (options.n_best < 1 || (!options.sample && options.n_best > options.n_beams)) {
    fail(Status::kInvalidArgument, "n_best is %lld; it must be 1 or more%s", ll{options.n_best},
         options.sample ? "" : ", and no more than n_beams");
  }
}

void check_lengths(const SearchOptions& options) {
  if (options.max_new_tokens < 1) {
    fail(Status::kInvalidArgument, "max_new_tokens is %lld; it must be 1 or more",
         ll{options.max_new_tokens});
  }
  check_range("min_new_tokens", options.min_new_tokens, 0, options.max_new_tokens);
}

}  // namespace

void check_search_options(const SearchOptions& options, int64_t vocab_size) {
  check_tokens(options, vocab_size);
  check_beams(options, vocab_size);
  if (!std::isfinite(options.length_penalty)) {
    fail(Status::kInvalidArgument, "length_penalty is %g; it must be a finite number",
         options.length_penalty);
  }
  check_positive("temperature", options.temperature);
  if (options.top_k < 0) {
    fail(Status::kInvalidArgument, "top_k is %lld; it must be 0 or more", ll{options.top_k});
  }
  if (!(options.top_p > 0 && options.top_p <= 1)) {
    fail(Status::kInvalidArgument, "top_p is %g; it must be above 0 and no more than 1",
         double{options.top_p});
  }
  if (!(options.min_p >= 0 && options.min_p <= 1)) {
    fail(Status::kInvalidArgument, "min_p is %g; it must be from 0 to 1", double{options.min_p});
  }
  check_positive("repetition_penalty", static_cast<float>(options.repetition_penalty));
  check_lengths(options);
}

}  // namespace headlane
