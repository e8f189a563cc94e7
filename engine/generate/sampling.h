// Drawing a token: temperature, top-k, top-p and min-p, in this order, and random numbers that
// depend on nothing except what they are for.
#pragma once

#include <cstdint>
#include <span>

#include "engine/generate/search_options.h"
#include "engine/generate/token_rules.h"

namespace headlane {

// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): 128 bits from
// a counter and a key, in place.
void philox(uint32_t (&counter)[4], uint64_t key);

// A number of [0, 1), a multiple of 2^-53, for the token `n_new` of one sample of one source.
double random_uniform(uint64_t seed, uint64_t source_key, uint32_t sample, uint32_t n_new);

// Tokens are drawn from this: weights in proportion to probabilities, in Candidate::logit.
struct Distribution {
  std::span<const Candidate> tokens;
  double total = 0;  // of the weights
};

// `scratch`: room for vocab_size candidates where scores.all is given, else for top_k. Empty if the
// row has no token that may be drawn.
Distribution make_distribution(const TokenRules& rules, const SearchOptions& options,
                               const RowScores& scores, int64_t n_new, Candidate* scratch);

// The tokens that the one after `n_new` is drawn from: the best one alone unless options.sample.
// Empty if the row's logits are no numbers, or leave nothing to choose. `scratch`: as above, or for
// one candidate.
Distribution next_tokens(const TokenRules& rules, const SearchOptions& options,
                         const RowScores& scores, int64_t n_new, Candidate* scratch);

// The logit of a token that was drawn by these scores.
float logit_of(const RowScores& scores, int32_t id);

// By the inverse of the cumulative distribution; `uniform` in [0, 1). It must not be empty.
int32_t draw(const Distribution& distribution, double uniform);

}  // namespace headlane
