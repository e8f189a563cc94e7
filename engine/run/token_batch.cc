#include "engine/run/token_batch.h"

#include <algorithm>

#include "engine/base/error.h"

namespace headlane {

using ll = long long;

void check_tokens(const TokenBatch& batch, const ModelConfig& config, const Limits& limits) {
  if (batch.n_seqs < 0) fail(Status::kInvalidArgument, "batch.n_seqs is %lld", ll{batch.n_seqs});
  if (batch.n_seqs > limits.max_seqs) {
    fail(Status::kTooLarge, "batch.n_seqs is %lld, the session's max_seqs %lld", ll{batch.n_seqs},
         ll{limits.max_seqs});
  }
  if (batch.n_left_out < 0) {
    fail(Status::kInvalidArgument, "batch.n_left_out is %lld; it must be 0 or more",
         ll{batch.n_left_out});
  }
  if (batch.offsets == nullptr) fail(Status::kInvalidArgument, "batch.offsets is null");
  if (batch.offsets[0] != 0) {
    fail(Status::kInvalidArgument, "batch.offsets[0] is %lld, not 0", ll{batch.offsets[0]});
  }
  for (int64_t i = 0; i < batch.n_seqs; ++i) {
    const int64_t begin = batch.offsets[i], end = batch.offsets[i + 1];
    if (end < begin) {
      fail(Status::kInvalidArgument, "batch.offsets[%lld] is %lld, less than the one before, %lld",
           ll{i + 1}, ll{end}, ll{begin});
    }
    // In this order, so that no difference of two hostile offsets can overflow.
    if (end > limits.max_tokens) {
      fail(Status::kTooLarge, "batch.offsets[%lld] is %lld, the session's max_tokens %lld",
           ll{i + 1}, ll{end}, ll{limits.max_tokens});
    }
    if (end - begin > limits.max_len) {
      fail(Status::kTooLarge,
           "sequence %lld of the batch has %lld tokens, the session's max_len is %lld", ll{i},
           ll{end - begin}, ll{limits.max_len});
    }
  }
  const int64_t n_tokens = batch.offsets[batch.n_seqs];
  if (n_tokens > 0 && batch.ids == nullptr) fail(Status::kInvalidArgument, "batch.ids is null");
  const StackConfig& stack = config.first_stack();
  for (int64_t i = 0; i < n_tokens; ++i) {
    if (batch.ids[i] < 0 || batch.ids[i] >= stack.vocab_size) {
      fail(Status::kInvalidArgument, "batch.ids[%lld] is %d; ids are from 0 to %lld", ll{i},
           batch.ids[i], ll{stack.vocab_size - 1});
    }
    const int32_t type = batch.type_ids ? batch.type_ids[i] : 0;
    if (type < 0 || type >= std::max<int64_t>(stack.n_types, 1)) {
      fail(Status::kInvalidArgument, "batch.type_ids[%lld] is %d; types are from 0 to %lld", ll{i},
           type, ll{std::max<int64_t>(stack.n_types, 1) - 1});
    }
  }
}

Run run_of(const TokenBatch& batch, int32_t* positions) {
  Run run;
  for (int64_t seq = 0; seq < batch.n_seqs; ++seq) {
    const int64_t begin = batch.offsets[seq], end = batch.offsets[seq + 1];
    for (int64_t i = begin; i < end; ++i) positions[i] = static_cast<int32_t>(i - begin);
    run.longest = std::max(run.longest, end - begin);
    run.n_pairs += (end - begin) * (end - begin);
  }
  run.n_tokens = batch.offsets[batch.n_seqs];
  run.n_seqs = batch.n_seqs;
  run.offsets = batch.offsets;
  run.ids = batch.ids;
  run.positions = positions;
  run.types = batch.type_ids;
  run.n_left_out = batch.n_left_out;
  return run;
}

}  // namespace headlane
