// A session's call on activations: the caller's padded or ragged rows become the ragged batch that
// plans run on, without a copy but that of the first op.
#include <algorithm>

#include "engine/base/error.h"
#include "engine/run/session.h"

namespace headlane {

using ll = long long;

void Session::check_fits(const char* name, const SeqRows& rows, int64_t n_seqs,
                         int64_t max_rows) const {
  int64_t total = 0;
  for (int64_t seq = 0; seq < n_seqs; ++seq) {
    const int64_t len = rows.of(seq).len;
    total += len;
    if (len <= limits_.max_len && total <= max_rows) continue;
    fail(Status::kTooLarge,
         "sequence %lld of the batch has %lld %s, %lld with those before it; the session's limits "
         "are max_len %lld and %lld in all",
         ll{seq}, ll{len}, name, ll{total}, ll{limits_.max_len}, ll{max_rows});
  }
}

namespace {

bool has_keys(const ActivationBatch& batch) {
  for (int64_t seq = 0; seq < batch.n_seqs; ++seq) {
    if (batch.kv_rows.of(seq).len > 0) return true;
  }
  return false;
}

}  // namespace

void Session::check(const ActivationBatch& batch) const {
  const ModelConfig& config = model_.config();
  if (config.takes_tokens()) {
    fail(Status::kUnsupported,
         "the model takes token ids, not activations: use headlane_session_encode");
  }
  check_seqs(config.first_stack().attention, batch.n_seqs, batch.q_rows, batch.kv_rows,
             batch.scores.prefix_lengths);
  if (batch.n_seqs > limits_.max_seqs) {
    fail(Status::kTooLarge, "n_seqs is %lld, the session's max_seqs %lld", ll{batch.n_seqs},
         ll{limits_.max_seqs});
  }
  check_fits("tokens", batch.q_rows, batch.n_seqs, limits_.max_tokens);
  if (limits_.has_kv) {
    check_fits("keys", batch.kv_rows, batch.n_seqs, limits_.max_kv);
  }
  const bool ragged = batch.q_rows.ragged();
  const int64_t tokens = ragged ? batch.q_rows.offsets[batch.n_seqs] : batch.q_rows.len;
  const bool has_rows = tokens > 0 && batch.n_seqs > 0;
  if (has_rows && batch.x.data == nullptr) fail(Status::kInvalidArgument, "x.data is null");
  if (has_rows && batch.out.data == nullptr) fail(Status::kInvalidArgument, "out.data is null");
  if (limits_.has_kv && has_keys(batch)) {
    if (batch.key.data == nullptr) fail(Status::kInvalidArgument, "key.data is null");
    if (batch.value.data == nullptr) fail(Status::kInvalidArgument, "value.data is null");
  }
  check_strides("out", config.d_model,
                {{{batch.out.token_stride, tokens},
                  {batch.out.seq_stride, ragged ? 1 : batch.n_seqs},
                  {0, 1},
                  {0, 1}}});
}

// Row i of ours is token map.token[i] of sequence map.seq[i] of the caller's tensors.
void Session::map_rows(const SeqRows& rows, int64_t n_seqs, const RowPlaces& map) {
  int64_t row = 0;
  for (int64_t seq = 0; seq < n_seqs; ++seq) {
    const Span real = rows.of(seq);
    map.offsets[seq] = row;
    for (int64_t i = 0; i < real.len; ++i, ++row) {
      map.seq[row] = static_cast<int32_t>(rows.tensor_seq(seq));
      map.token[row] = static_cast<int32_t>(real.begin + i);
      if (map.positions) map.positions[row] = static_cast<int32_t>(i);
    }
  }
  map.offsets[n_seqs] = row;
}

void Session::forward(const ActivationBatch& batch, const LayerMaps* maps) {
  check(batch);
  Run run;
  for (int64_t seq = 0; seq < batch.n_seqs; ++seq) {
    const int64_t q_len = batch.q_rows.of(seq).len, kv_len = batch.kv_rows.of(seq).len;
    run.longest = std::max(run.longest, q_len);
    run.longest_kv = std::max(run.longest_kv, kv_len);
    run.n_pairs += q_len * q_len;
    run.n_cross_pairs += q_len * kv_len;
    run.n_kv_pairs += kv_len * kv_len;
  }
  if (maps) {  // a decoder's are of its attention to itself
    const bool to_kv = limits_.has_kv && !model_.config().has_decoder();
    check_maps(*maps, batch.n_seqs, score_rows(batch.q_rows, batch.n_seqs),
               score_rows(to_kv ? batch.kv_rows : batch.q_rows, batch.n_seqs));
  }
  map_rows(batch.q_rows, batch.n_seqs, tokens_);
  if (limits_.has_kv) map_rows(batch.kv_rows, batch.n_seqs, kv_);
  run.kernels = &model_.kernels();
  run.n_seqs = batch.n_seqs;
  run.offsets = tokens_.offsets;
  run.n_tokens = run.offsets[batch.n_seqs];
  run.tokens = {tokens_.seq, tokens_.token};
  run.positions = positions_;
  if (limits_.has_kv) {
    run.kv_offsets = kv_.offsets;
    run.n_kv = run.kv_offsets[batch.n_seqs];
    run.kv = {kv_.seq, kv_.token};
    run.kv_positions = kv_.positions;
  }
  run.sources[static_cast<int>(Input::kX)] = batch.x;
  run.sources[static_cast<int>(Input::kKey)] = batch.key;
  run.sources[static_cast<int>(Input::kValue)] = batch.value;
  run.scores = &batch.scores;
  run.maps = maps;
  runner_.run(run, batch.out, nullptr);
  if (batch.q_rows.ragged() || batch.q_rows.lengths == nullptr) return;
  for (int64_t seq = 0; seq < batch.n_seqs; ++seq) {  // rows of padding: zeros
    const Span real = batch.q_rows.of(seq);
    for (int64_t t = 0; t < batch.q_rows.len; ++t) {
      if (t >= real.begin && t < real.begin + real.len) continue;
      std::fill_n(batch.out.at(seq, t), model_.config().d_model, 0.0f);
    }
  }
}

}  // namespace headlane
