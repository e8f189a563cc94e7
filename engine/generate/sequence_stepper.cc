#include "engine/generate/sequence_stepper.h"

#include <algorithm>
#include <cassert>

#include "engine/base/block_layout.h"

namespace headlane {
namespace {

RankLimits rank_limits(const StepModel& model, const SequenceStepLimits& limits) {
  return {limits.run.max_seqs, model.n_ranges, limits.max_candidates};
}

// Parts of a stepper's block, each at a multiple of 64 bytes.
struct SequenceStepParts {
  size_t run, ranks, offsets, histories, ids, positions, own, rooms, window_histories, window_own,
      ranked, named, named_logits, all, logits, hidden, total;
};

SequenceStepParts divide(const StepModel& model, const SequenceStepLimits& limits) {
  const int64_t tokens = limits.run.max_tokens, ranked = limits.run.max_seqs;
  const int64_t sequences = limits.max_sequences;
  BlockLayout block;
  SequenceStepParts parts;
  const size_t run = PlanRunner::bytes(*model.graph, *model.kernels, limits.run);
  parts.run = block.take(static_cast<int64_t>(run), 1);
  const size_t ranks = TokenRanks::bytes(rank_limits(model, limits));
  parts.ranks = block.take(static_cast<int64_t>(ranks), 1);
  parts.offsets = block.take(sequences + 1, sizeof(int64_t));
  parts.histories = block.take(sequences, sizeof(int32_t*));
  parts.ids = block.take(tokens, sizeof(int32_t));
  parts.positions = block.take(tokens, sizeof(int32_t));
  parts.own = block.take(tokens, sizeof(int32_t));
  parts.rooms = block.take(tokens, sizeof(int32_t));
  parts.window_histories = block.take(sequences, sizeof(int32_t*));
  parts.window_own = block.take(tokens, sizeof(int32_t));
  parts.ranked = block.take(ranked, sizeof(int64_t));
  parts.named = block.take(ranked, sizeof(int32_t));
  parts.named_logits = block.take(ranked, sizeof(float));
  parts.all = block.take(limits.all_logits ? ranked : 0, sizeof(float*));
  parts.logits = block.take(limits.all_logits ? sequences * model.vocab_size : 0, sizeof(float));
  parts.hidden = block.take(limits.hidden ? tokens * model.d_model : 0, sizeof(float));
  parts.total = block.bytes();
  return parts;
}

}  // namespace

size_t SequenceStepper::bytes(const StepModel& model, const SequenceStepLimits& limits) {
  return divide(model, limits).total;
}

SequenceStepper::SequenceStepper(const StepModel& model, const SequenceStepLimits& limits,
                                 void* memory, Team* team)
    : model_(model),
      limits_(limits),
      runner_(*model.graph, *model.kernels, limits.run, team),
      ranks_(rank_limits(model, limits), static_cast<char*>(memory) + divide(model, limits).ranks) {
  const SequenceStepParts parts = divide(model, limits);
  char* base = static_cast<char*>(memory);
  runner_.use(base + parts.run);
  offsets_ = reinterpret_cast<int64_t*>(base + parts.offsets);
  histories_ = reinterpret_cast<const int32_t**>(base + parts.histories);
  ids_ = reinterpret_cast<int32_t*>(base + parts.ids);
  positions_ = reinterpret_cast<int32_t*>(base + parts.positions);
  own_ = reinterpret_cast<int32_t*>(base + parts.own);
  rooms_ = reinterpret_cast<int32_t*>(base + parts.rooms);
  window_histories_ = reinterpret_cast<const int32_t**>(base + parts.window_histories);
  window_own_ = reinterpret_cast<int32_t*>(base + parts.window_own);
  ranked_ = reinterpret_cast<int64_t*>(base + parts.ranked);
  named_ = reinterpret_cast<int32_t*>(base + parts.named);
  named_logits_ = reinterpret_cast<float*>(base + parts.named_logits);
  if (limits.all_logits) {
    all_ = reinterpret_cast<float**>(base + parts.all);
    logits_ = reinterpret_cast<float*>(base + parts.logits);
  }
  if (limits.hidden) hidden_ = reinterpret_cast<float*>(base + parts.hidden);
}

void SequenceStepper::begin(int64_t k) {
  assert(k <= limits_.max_candidates);
  n_tokens_ = n_sequences_ = n_ranked_ = n_pairs_ = longest_ = n_all_ = 0;
  ranks_.begin(k);
}

int64_t SequenceStepper::add(const SequenceTokens& tokens) {
  const int64_t n = std::ssize(tokens.ids), first = n_ranked_;
  assert(n > 0 && n_tokens_ + n <= limits_.run.max_tokens);
  assert(n_sequences_ < limits_.max_sequences && tokens.n_ranked <= n);
  assert(n_ranked_ + tokens.n_ranked <= limits_.run.max_seqs);
  offsets_[n_sequences_] = n_tokens_;
  histories_[n_sequences_] = tokens.rows;
  window_histories_[n_sequences_++] = tokens.window_rows;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t position = tokens.position + i;
    ids_[n_tokens_ + i] = tokens.ids[static_cast<size_t>(i)];
    positions_[n_tokens_ + i] = static_cast<int32_t>(position);
    own_[n_tokens_ + i] = tokens.rows[position];
    rooms_[n_tokens_ + i] = static_cast<int32_t>(tokens.room);
    if (tokens.window_rows) window_own_[n_tokens_ + i] = tokens.window_rows[position];
    n_pairs_ += position + 1;
  }
  for (int64_t i = 0; i < tokens.n_ranked; ++i) {
    ranked_[n_ranked_] = n_tokens_ + n - tokens.n_ranked + i;
    named_[n_ranked_] = tokens.named ? tokens.named[i] : -1;
    if (all_) all_[n_ranked_] = nullptr;
    ++n_ranked_;
  }
  if (tokens.all_logits) {
    assert(all_ && tokens.n_ranked > 0);
    all_[n_ranked_ - 1] = logits_ + n_all_++ * model_.vocab_size;
  }
  n_tokens_ += n;
  longest_ = std::max(longest_, n);
  return first;
}

void SequenceStepper::run(const KeyRows* layers, bool hidden) {
  assert(!hidden || hidden_);
  offsets_[n_sequences_] = n_tokens_;
  DecodeStep step;
  step.self = layers;
  step.rows = {histories_, own_};
  step.windowed = {window_histories_, window_own_};
  ranks_.aim(0, &step.logits);
  step.logits.all = all_;
  step.logits.named = named_;
  step.logits.named_logits = named_logits_;
  step.logits.n_rows = n_ranked_;
  step.logits.rows = ranked_;
  Run run;
  run.kernels = model_.kernels;
  run.n_tokens = n_tokens_;
  run.n_seqs = n_sequences_;
  run.longest = longest_;
  run.n_pairs = n_pairs_;
  run.offsets = offsets_;
  run.ids = ids_;
  run.positions = positions_;
  run.rooms = rooms_;
  run.step = &step;
  runner_.run(run, {hidden ? hidden_ : nullptr, 0, model_.d_model}, nullptr);
  for (int64_t i = 0; i < n_ranked_; ++i) ranks_.choose(i);
}

RowScores SequenceStepper::scores(int64_t ranked) const {
  RowScores scores = ranks_.scores(ranked);
  scores.all = all_logits(ranked);
  return scores;
}

}  // namespace headlane
