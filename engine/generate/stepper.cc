#include "engine/generate/stepper.h"

#include <algorithm>

#include "engine/base/block_layout.h"
#include "engine/base/error.h"

namespace headlane {
namespace {

using ll = long long;

KvCacheLimits cache_limits(const StepModel& model, const StepLimits& limits) {
  return {model.n_layers, model.cache_row, limits.run.max_seqs, limits.max_len, limits.max_new};
}

RankLimits rank_limits(const StepModel& model, const StepLimits& limits) {
  return {limits.run.max_seqs, model.n_ranges, limits.max_candidates};
}

// Parts of a stepper's block, each at a multiple of 64 bytes.
struct StepParts {
  size_t run, cache, ranks, offsets, ranked, positions, own, rooms, histories, all, logits, total;
};

StepParts divide(const StepModel& model, const StepLimits& limits) {
  const int64_t rows = limits.run.max_seqs, tokens = limits.run.max_tokens;
  const int64_t with_logits = limits.all_logits ? rows : 0;
  BlockLayout block;
  StepParts parts;
  parts.run = block.take(PlanRunner::bytes(*model.graph, *model.kernels, limits.run), 1);
  parts.cache = block.take(KvCache::bytes(cache_limits(model, limits)), 1);
  parts.ranks = block.take(TokenRanks::bytes(rank_limits(model, limits)), 1);
  parts.offsets = block.take(rows + 1, sizeof(int64_t));
  parts.ranked = block.take(rows, sizeof(int64_t));
  parts.positions = block.take(tokens, sizeof(int32_t));
  parts.own = block.take(tokens, sizeof(int32_t));
  parts.rooms = block.take(tokens, sizeof(int32_t));
  parts.histories = block.take(rows, sizeof(int32_t*));
  parts.all = block.take(with_logits, sizeof(float*));
  parts.logits = block.take(with_logits * model.vocab_size, sizeof(float));
  parts.total = block.bytes();
  return parts;
}

}  // namespace

size_t Stepper::bytes(const StepModel& model, const StepLimits& limits) {
  return divide(model, limits).total;
}

Stepper::Stepper(const StepModel& model, const StepLimits& limits, void* memory, Team* team)
    : model_(model),
      limits_(limits),
      runner_(*model.graph, *model.kernels, limits.run, team),
      cache_(cache_limits(model, limits), static_cast<char*>(memory) + divide(model, limits).cache),
      ranks_(rank_limits(model, limits), static_cast<char*>(memory) + divide(model, limits).ranks) {
  const StepParts parts = divide(model, limits);
  char* base = static_cast<char*>(memory);
  runner_.use(base + parts.run);
  offsets_ = reinterpret_cast<int64_t*>(base + parts.offsets);
  ranked_ = reinterpret_cast<int64_t*>(base + parts.ranked);
  positions_ = reinterpret_cast<int32_t*>(base + parts.positions);
  own_ = reinterpret_cast<int32_t*>(base + parts.own);
  rooms_ = reinterpret_cast<int32_t*>(base + parts.rooms);
  histories_ = reinterpret_cast<const int32_t**>(base + parts.histories);
  if (!limits.all_logits) return;
  all_ = reinterpret_cast<float**>(base + parts.all);
  float* logits = reinterpret_cast<float*>(base + parts.logits);
  for (int64_t row = 0; row < limits.run.max_seqs; ++row) {
    all_[row] = logits + row * model.vocab_size;
  }
}

void Stepper::begin(const StepSources& sources) {
  cache_.clear();
  sources_ = sources;
}

void Stepper::check(const StepBatch& batch) const {
  if (batch.n_rows < 1 || batch.n_rows > limits_.run.max_seqs) {
    fail(batch.n_rows < 1 ? Status::kInvalidArgument : Status::kTooLarge,
         "step.n_rows is %lld; it must be from 1 to %lld, max_sources x max_beams",
         ll{batch.n_rows}, ll{limits_.run.max_seqs});
  }
  if (batch.k < 0 || batch.k > limits_.max_candidates) {
    fail(batch.k < 0 ? Status::kInvalidArgument : Status::kTooLarge,
         "step.k is %lld; it must be from 0 to %lld, the generator's max_candidates", ll{batch.k},
         ll{limits_.max_candidates});
  }
  if (batch.all_logits && all_ == nullptr) {
    fail(Status::kTooLarge,
         "all logits are wanted, but the generator was created without all_logits");
  }
  for (int64_t row = 0; row < batch.n_rows; ++row) check_row(batch, row);
  if (batch.n_tokens() > limits_.max_new) {
    fail(Status::kTooLarge, "a step of %lld tokens; the generator takes %lld at once",
         ll{batch.n_tokens()}, ll{limits_.max_new});
  }
  check_maps_of(batch);
}

void Stepper::check_row(const StepBatch& batch, int64_t row) const {
  const int32_t parent = parent_of(batch, row);
  const int64_t begin = batch.begin(row), end = batch.begin(row + 1);
  if (end <= begin) {
    fail(Status::kInvalidArgument, "step.offsets[%lld] is %lld after %lld: a row has no token",
         ll{row + 1}, ll{end}, ll{begin});
  }
  for (int64_t i = begin; i < end; ++i) {
    if (batch.ids[i] >= 0 && batch.ids[i] < model_.vocab_size) continue;
    fail(Status::kInvalidArgument, "step.ids[%lld] is %d; ids are from 0 to %lld", ll{i},
         batch.ids[i], ll{model_.vocab_size - 1});
  }
  const int32_t source = batch.source(row);
  if (source < 0 || (sources_.cross && source >= sources_.n)) {
    fail(Status::kInvalidArgument, "step.sources[%lld] is %d; %lld sources have been encoded",
         ll{row}, source, ll{sources_.n});
  }
  if (parent < -1 || parent >= cache_.n_targets()) {
    fail(Status::kInvalidArgument, "step.parents[%lld] is %d; the last step had %lld rows", ll{row},
         parent, ll{cache_.n_targets()});
  }
  const int64_t before = parent < 0 ? 0 : cache_.length(parent);
  if (end - begin > limits_.max_len - before) {
    fail(Status::kTooLarge,
         "row %lld goes on from a target of %lld tokens by %lld more; a target has at most %lld, "
         "the generator's max_prefix + max_new_tokens",
         ll{row}, ll{before}, ll{end - begin}, ll{limits_.max_len});
  }
  if (parent >= 0 && cache_.source(parent) != source) {
    fail(Status::kInvalidArgument, "row %lld of source %d goes on from row %d, of source %d",
         ll{row}, source, parent, cache_.source(parent));
  }
}

void Stepper::check_maps_of(const StepBatch& batch) const {
  int64_t longest = 0, longest_source = 0;
  for (int64_t row = 0; row < batch.n_rows; ++row) {
    const int32_t parent = parent_of(batch, row);
    const int64_t before = parent < 0 ? 0 : cache_.length(parent);
    longest = std::max(longest, before + batch.begin(row + 1) - batch.begin(row));
    if (!sources_.cross) continue;
    const int32_t source = batch.source(row);
    longest_source =
        std::max(longest_source, sources_.offsets[source + 1] - sources_.offsets[source]);
  }
  // One query of each row is written, or as many as it has tokens.
  const int64_t q_len = batch.offsets ? longest : 1;
  if (batch.self_maps) check_maps(*batch.self_maps, batch.n_rows, q_len, longest);
  if (batch.cross_maps) check_maps(*batch.cross_maps, batch.n_rows, q_len, longest_source);
}

int32_t Stepper::parent_of(const StepBatch& batch, int64_t row) const {
  if (batch.parents) return batch.parents[row];
  return cache_.n_targets() == 0 ? -1 : static_cast<int32_t>(row);
}

void Stepper::step(const StepBatch& batch) {
  check(batch);
  const bool begins = cache_.n_targets() == 0;
  cache_.begin_step();
  for (int64_t row = 0; row < batch.n_rows; ++row) {
    const int64_t parent = batch.parents ? batch.parents[row] : begins ? -1 : row;
    cache_.add(parent, batch.begin(row + 1) - batch.begin(row), batch.source(row));
  }
  ranks_.begin(batch.k);
  has_all_ = batch.all_logits;
  try {
    const int64_t n_tokens = batch.n_tokens(), most = limits_.run.max_tokens;
    for (int64_t first = 0; first < n_tokens; first += most) {
      run(batch, first, std::min(most, n_tokens - first));
    }
  } catch (...) {  // as it was before, but without results
    cache_.undo_step();
    ranks_.begin(0);
    has_all_ = false;
    throw;
  }
  for (int64_t row = 0; batch.k > 0 && row < batch.n_rows; ++row) ranks_.choose(row);
}

// The tokens first .. first + n of the batch, which may be a part of a target's.
void Stepper::run(const StepBatch& batch, int64_t first, int64_t n) {
  DecodeStep step;
  Run run;
  run.kernels = model_.kernels;
  run.n_tokens = n;
  list_tokens(batch, first, &run, &step);
  // For all targets except the last one, the run holds their last token.
  const int64_t row = step.first_target;
  ranks_.aim(row, &step.logits);
  step.logits.all = has_all_ ? all_ + row : nullptr;
  step.logits.masked = batch.masked ? batch.masked + row : nullptr;
  step.self = cache_.layers();
  step.cross = sources_.cross;
  step.source_offsets = sources_.offsets;
  step.sources = batch.sources ? batch.sources + row : nullptr;
  step.self_maps = batch.self_maps;
  step.cross_maps = batch.cross_maps;
  run.step = &step;
  float* hidden = batch.hidden ? batch.hidden + first * model_.d_model : nullptr;
  runner_.run(run, {hidden, 0, model_.d_model}, nullptr);
}

// Where the run's tokens stand, and which of them are their targets' last.
void Stepper::list_tokens(const StepBatch& batch, int64_t first, Run* run, DecodeStep* step) {
  const int64_t end = first + run->n_tokens;
  int64_t row = 0;
  while (batch.begin(row + 1) <= first) ++row;
  step->first_target = row;
  step->rows = {histories_, own_};
  for (int64_t i = first; i < end; ++row) {
    histories_[run->n_seqs] = cache_.rows(row);
    offsets_[run->n_seqs++] = i - first;
    const int64_t row_end = batch.begin(row + 1), begin = i;
    for (; i < row_end && i < end; ++i) {
      const int64_t position = cache_.length(row) - (row_end - i);
      positions_[i - first] = static_cast<int32_t>(position);
      own_[i - first] = cache_.rows(row)[position];
      rooms_[i - first] = static_cast<int32_t>(batch.rooms ? batch.rooms[row] : limits_.max_len);
      run->n_pairs += position + 1;
    }
    run->longest = std::max(run->longest, i - begin);
    if (i == row_end) ranked_[step->logits.n_rows++] = i - 1 - first;
    if (!sources_.cross) continue;
    const int64_t* source = sources_.offsets + batch.source(row);
    run->n_cross_pairs += (i - begin) * (source[1] - source[0]);
  }
  offsets_[run->n_seqs] = run->n_tokens;
  step->logits.rows = ranked_;
  run->offsets = offsets_;
  run->ids = batch.ids + first;
  run->positions = positions_;
  run->rooms = rooms_;
}

RowScores Stepper::next(int64_t row) const {
  RowScores next = ranks_.scores(row);
  if (has_all_) next.all = all_[row];
  return next;
}

}  // namespace headlane
