// A decoder's step says this of the tokens that may come next.
#pragma once

#include <span>

#include "kernels/kernels.h"

namespace headlane {

using kernels::Candidate;

// These belong to one row.
struct RowScores {
  // The best by logit, and of equals by lower id; where there are no more numbers but -inf and NaN:
  // -inf with id -1.
  std::span<const Candidate> best;
  kernels::TopK top;           // over all logits but those that were asked to be masked
  const float* all = nullptr;  // [vocab_size], nothing masked; null where they were not asked for
};

}  // namespace headlane
