// A batch of token ids, as a caller gives it.
#pragma once

#include <cstdint>

#include "engine/ops/op.h"
#include "engine/spec/config.h"

namespace headlane {

struct TokenBatch {
  int64_t n_seqs = 0;
  const int64_t* offsets = nullptr;   // [n_seqs + 1]
  const int32_t* ids = nullptr;       // [offsets[n_seqs]]
  const int32_t* type_ids = nullptr;  // likewise, or null
  int64_t n_left_out = 0;             // first tokens of each sequence that pooling leaves out
};

// Throws Error that names the first field out of range.
void check_tokens(const TokenBatch& batch, const ModelConfig& config, const Limits& limits);

// The sizes and tokens of a batch that has been checked, as a run. The place of each token in its
// sequence is written to positions [offsets[n_seqs]].
Run run_of(const TokenBatch& batch, int32_t* positions);

}  // namespace headlane
