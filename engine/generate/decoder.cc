#include "engine/generate/decoder.h"

#include <algorithm>
#include <cmath>

#include "engine/base/block_layout.h"
#include "engine/base/checked_option.h"
#include "engine/base/cpus.h"
#include "engine/base/error.h"

namespace headlane {
namespace {

using ll = long long;

const Graph& encoder_graph(const Model& model, const DecoderLimits& limits) {
  return model.graph(limits.encoder.precision, Part::kSources);
}
const Graph& step_graph(const Model& model, const DecoderLimits& limits) {
  return model.graph(limits.step.precision, Part::kStep);
}

// Of keys and values side by side, in what elements the graph keeps them.
int64_t kept_stride(const Model& model, const DecoderLimits& limits) {
  const AttentionSpec& spec = model.config().decoder.attention;
  const Element element = limits.step.precision == Precision::kF32 ? Element::kF32 : Element::kBf16;
  return kernels::padded_floats(element, spec.k_width() + spec.v_width());
}

int64_t ranges_of(const Model& model, const DecoderLimits& limits) {
  const int64_t vocab_size = model.config().decoder.vocab_size;
  const Precision precision =
      product_precision(model.config(), limits.step.precision, kLogits, model.config().d_model);
  return TopLogits::n_ranges(model.kernels(), precision, vocab_size);
}

// Parts of a decoder's block, each at a multiple of 64 bytes.
struct Parts {
  size_t encoder, step, self, source_positions, source_offsets, positions[2], sources[2],
      history[2], top, best, row_top, row_best, all, total;
};

Parts divide(const Model& model, const DecoderLimits& limits) {
  const int64_t rows = limits.step.max_tokens;
  const int64_t len = limits.max_len;
  const int64_t k = limits.max_candidates;
  const int64_t ranges = ranges_of(model, limits);
  const int64_t n_layers = model.config().decoder.n_layers;
  const int64_t vocab_size = model.config().decoder.vocab_size;
  const int64_t stride = kept_stride(model, limits);
  BlockLayout block;
  Parts parts;
  parts.encoder = block.take(
      PlanRunner::bytes(encoder_graph(model, limits), model.kernels(), limits.encoder), 1);
  parts.step =
      block.take(PlanRunner::bytes(step_graph(model, limits), model.kernels(), limits.step), 1);
  parts.self = block.take(n_layers * rows * len * stride, sizeof(float));
  parts.source_positions = block.take(limits.encoder.max_tokens, sizeof(int32_t));
  parts.source_offsets = block.take(limits.encoder.max_seqs + 1, sizeof(int64_t));
  for (int i = 0; i < 2; ++i) {
    parts.positions[i] = block.take(rows, sizeof(int32_t));
    parts.sources[i] = block.take(rows, sizeof(int32_t));
    parts.history[i] = block.take(rows * len, sizeof(int32_t));
  }
  parts.top = block.take(rows * ranges, sizeof(kernels::TopK));
  parts.best = block.take(rows * ranges * k, sizeof(kernels::Candidate));
  parts.row_top = block.take(rows, sizeof(kernels::TopK));
  parts.row_best = block.take(rows * k, sizeof(kernels::Candidate));
  parts.all = block.take(limits.all_logits ? rows * vocab_size : 0, sizeof(float));
  parts.total = block.bytes();
  return parts;
}

}  // namespace

void check_generates(const Model& model) {
  if (!model.config().generates()) {
    fail(Status::kUnsupported, "%s: the model has no decoder", model.container().path().c_str());
  }
  // The vocabulary is computed some columns at a time.
  if (model.kernels().product(model.precision()).nr == kernels::Product::kAllColumns) {
    fail(Status::kUnsupported, "with products by %s a model encodes, but does not generate",
         model.kernels().gemm);
  }
}

DecoderLimits decoder_limits(const Model& model, const DecoderOptions& options) {
  constexpr int64_t kDefaultSources = 32, kDefaultTokens = 4096, kMost = int64_t{1} << 24,
                    kMostThreads = 1024, kMostCandidates = 4096;
  check_generates(model);
  const ModelConfig& config = model.config();
  DecoderLimits limits;
  Limits& encoder = limits.encoder;
  encoder.precision = choose_precision(options.precision, model.kernels(), model.precision());
  encoder.n_threads =
      checked_option("generator", "n_threads", options.n_threads, available_cpus(), kMostThreads);
  encoder.max_seqs =
      checked_option("generator", "max_sources", options.max_sources, kDefaultSources, kMost);
  encoder.max_len = checked_option("generator", "max_source_len", options.max_source_len,
                                   config.encoder.max_positions, config.encoder.max_positions);
  encoder.max_tokens = checked_option("generator", "max_source_tokens", options.max_source_tokens,
                                      std::max(kDefaultTokens, encoder.max_len), int64_t{1} << 31);
  limits.max_len = checked_option("generator", "max_prefix + max_new_tokens", options.max_len,
                                  config.decoder.max_positions, config.decoder.max_positions);
  limits.max_candidates = checked_option("generator", "max_candidates", options.max_candidates, 1,
                                         std::min(kMostCandidates, config.decoder.vocab_size));
  limits.all_logits = options.all_logits;
  Limits& step = limits.step;
  step = encoder;
  step.max_tokens = checked_option("generator", "max_sources x max_beams", options.max_rows,
                                   encoder.max_seqs, kMost);
  // Rows of the caches have 32-bit indices; beyond, no machine has the memory.
  if (step.max_tokens > INT32_MAX / limits.max_len) {
    fail(Status::kTooLarge, "%lld targets of %lld tokens at once are more than a generator takes",
         ll{step.max_tokens}, ll{limits.max_len});
  }
  step.max_seqs = step.max_tokens;
  step.max_len = 1;
  return limits;
}

size_t Decoder::bytes(const Model& model, const DecoderLimits& limits) {
  return divide(model, limits).total;
}

Decoder::Decoder(const Model& model, const DecoderLimits& limits, void* memory,
                 const CallerPool& pool)
    : model_(model),
      limits_(limits),
      vocab_size_(model.config().decoder.vocab_size),
      n_ranges_(ranges_of(model, limits)),
      team_(static_cast<int>(limits.encoder.n_threads), pool),
      encoder_(encoder_graph(model, limits), model.kernels(), limits.encoder, &team_),
      step_(step_graph(model, limits), model.kernels(), limits.step, &team_) {
  const Parts parts = divide(model, limits);
  char* base = static_cast<char*>(memory);
  const auto floats = [&](size_t offset) { return reinterpret_cast<float*>(base + offset); };
  const auto ints = [&](size_t offset) { return reinterpret_cast<int32_t*>(base + offset); };
  encoder_.use(base + parts.encoder);
  step_.use(base + parts.step);
  const int64_t stride = kept_stride(model, limits);
  const int64_t rows = limits.step.max_tokens * limits.max_len;
  for (int64_t i = 0; i < model.config().decoder.n_layers; ++i) {
    self_.push_back({floats(parts.self) + i * rows * stride, stride});
    cross_.push_back(encoder_.kept(static_cast<size_t>(i)));
  }
  for (int i = 0; i < 2; ++i) {
    rows_[i] = {0, ints(parts.positions[i]), ints(parts.sources[i]), ints(parts.history[i])};
  }
  positions_ = ints(parts.source_positions);
  source_offsets_ = reinterpret_cast<int64_t*>(base + parts.source_offsets);
  top_ = reinterpret_cast<kernels::TopK*>(base + parts.top);
  best_ = reinterpret_cast<kernels::Candidate*>(base + parts.best);
  row_top_ = reinterpret_cast<kernels::TopK*>(base + parts.row_top);
  row_best_ = reinterpret_cast<kernels::Candidate*>(base + parts.row_best);
  if (limits.all_logits) all_ = floats(parts.all);
}

void Decoder::check(const TokenBatch& sources) const {
  check_tokens(sources, model_.config(), limits_.encoder);
  for (int64_t i = 0; i < sources.n_seqs; ++i) {
    if (sources.offsets[i + 1] > sources.offsets[i]) continue;
    fail(Status::kInvalidArgument, "source %lld is empty", ll{i});
  }
}

void Decoder::encode(const TokenBatch& sources, float* hidden, const LayerMaps* maps) {
  check(sources);
  Run run = run_of(sources, positions_);
  if (maps) check_maps(*maps, sources.n_seqs, run.longest, run.longest);
  run.kernels = &model_.kernels();
  run.maps = maps;
  n_sources_ = n_steps_ = rows_[now_].n = 0;
  std::copy_n(sources.offsets, sources.n_seqs + 1, source_offsets_);
  encoder_.run(run, {hidden, 0, model_.config().d_model}, nullptr);
  n_sources_ = sources.n_seqs;
}

void Decoder::check(const StepBatch& batch) const {
  if (batch.n_rows < 1 || batch.n_rows > limits_.step.max_tokens) {
    fail(batch.n_rows < 1 ? Status::kInvalidArgument : Status::kTooLarge,
         "step.n_rows is %lld; it must be from 1 to %lld, max_sources x max_beams",
         ll{batch.n_rows}, ll{limits_.step.max_tokens});
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
  const Targets& before = rows_[now_];
  int64_t longest = 0, longest_source = 0;
  for (int64_t row = 0; row < batch.n_rows; ++row) {
    const int32_t id = batch.ids[row], source = batch.sources[row], parent = parent_of(batch, row);
    if (id < 0 || id >= vocab_size_) {
      fail(Status::kInvalidArgument, "step.ids[%lld] is %d; ids are from 0 to %lld", ll{row}, id,
           ll{vocab_size_ - 1});
    }
    if (source < 0 || source >= n_sources_) {
      fail(Status::kInvalidArgument, "step.sources[%lld] is %d; %lld sources have been encoded",
           ll{row}, source, ll{n_sources_});
    }
    if (parent < -1 || parent >= before.n) {
      fail(Status::kInvalidArgument, "step.parents[%lld] is %d; the last step had %lld rows",
           ll{row}, parent, ll{before.n});
    }
    if (parent >= 0 && before.positions[parent] + 1 >= limits_.max_len) {
      fail(Status::kTooLarge,
           "row %lld goes on from a target of %d tokens, the generator's max_prefix + "
           "max_new_tokens",
           ll{row}, before.positions[parent] + 1);
    }
    if (parent >= 0 && before.sources[parent] != source) {
      fail(Status::kInvalidArgument, "row %lld of source %d goes on from row %d, of source %d",
           ll{row}, source, parent, before.sources[parent]);
    }
    longest = std::max(longest, parent < 0 ? 1 : int64_t{before.positions[parent]} + 2);
    longest_source =
        std::max(longest_source, source_offsets_[source + 1] - source_offsets_[source]);
  }
  // Of each row, one query is written.
  if (batch.self_maps) check_maps(*batch.self_maps, batch.n_rows, 1, longest);
  if (batch.cross_maps) check_maps(*batch.cross_maps, batch.n_rows, 1, longest_source);
  // A step's keys have rows of the caches to themselves, all steps alike.
  if (n_steps_ >= limits_.max_len) {
    fail(Status::kTooLarge,
         "%lld steps have been taken, the generator's max_prefix + max_new_tokens: encode again",
         ll{n_steps_});
  }
}

int32_t Decoder::parent_of(const StepBatch& batch, int64_t row) const {
  if (batch.parents) return batch.parents[row];
  return n_steps_ == 0 ? -1 : static_cast<int32_t>(row);
}

// Each row takes over its parent's history, as indices of where keys and values lie: none is
// copied, however hypotheses branch and end.
void Decoder::grow(const StepBatch& batch) {
  const Targets& before = rows_[now_];
  now_ = 1 - now_;
  Targets& after = rows_[now_];
  after.n = batch.n_rows;
  for (int64_t row = 0; row < batch.n_rows; ++row) {
    const int32_t parent = parent_of(batch, row);
    const int32_t position = parent < 0 ? 0 : before.positions[parent] + 1;
    int32_t* history = after.history + row * limits_.max_len;
    if (parent >= 0) {
      std::copy_n(before.history + parent * limits_.max_len, position, history);
    }
    history[position] = static_cast<int32_t>(n_steps_ * limits_.step.max_tokens + row);
    after.positions[row] = position;
    after.sources[row] = batch.sources[row];
  }
  ++n_steps_;
}

void Decoder::step(const StepBatch& batch) {
  check(batch);
  grow(batch);
  const Targets& rows = rows_[now_];
  k_ = batch.k;
  has_all_ = batch.all_logits;
  DecodeStep step;
  step.self = self_.data();
  step.cross = cross_.data();
  step.history = rows.history;
  step.ld_history = limits_.max_len;
  step.sources = batch.sources;
  step.source_offsets = source_offsets_;
  step.logits = {k_, top_, best_, has_all_ ? all_ : nullptr, batch.masked};
  step.self_maps = batch.self_maps;
  step.cross_maps = batch.cross_maps;
  Run run;
  for (int64_t row = 0; row < batch.n_rows; ++row) {
    const int32_t source = batch.sources[row];
    run.n_pairs += rows.positions[row] + 1;
    run.n_cross_pairs += source_offsets_[source + 1] - source_offsets_[source];
  }
  run.kernels = &model_.kernels();
  run.n_tokens = run.n_seqs = batch.n_rows;
  run.longest = 1;
  run.ids = batch.ids;
  run.positions = rows.positions;
  run.step = &step;
  try {
    step_.run(run, {batch.hidden, 0, model_.config().d_model}, nullptr);
  } catch (...) {  // as it was before, but without results
    now_ = 1 - now_;
    --n_steps_;
    k_ = 0;
    has_all_ = false;
    throw;
  }
  for (int64_t row = 0; k_ > 0 && row < batch.n_rows; ++row) choose(row);
}

// Of a row's ranges, the k best of all and what the softmax of all needs.
void Decoder::choose(int64_t row) {
  const kernels::TopK* top = top_ + row * n_ranges_;
  const kernels::Candidate* best = best_ + row * n_ranges_ * k_;
  kernels::Candidate* chosen = row_best_ + row * k_;
  int64_t n = 0;
  for (int64_t i = 0; i < n_ranges_ * k_; ++i) {
    // Ranges come in order of ids, and each has its best first: of equals the earlier one stays,
    // and behind one that is not good enough there is none.
    if (best[i].id < 0 || (n == k_ && !(best[i].logit > chosen[k_ - 1].logit))) {
      i += k_ - 1 - i % k_;
      continue;
    }
    int64_t at = n < k_ ? n++ : k_ - 1;
    for (; at > 0 && best[i].logit > chosen[at - 1].logit; --at) chosen[at] = chosen[at - 1];
    chosen[at] = best[i];
  }
  std::fill(chosen + n, chosen + k_, kernels::Candidate{-HUGE_VALF, -1});
  float largest = top[0].largest;
  for (int64_t i = 1; i < n_ranges_; ++i) largest = std::max(largest, top[i].largest);
  float sum = 0;
  for (int64_t i = 0; i < n_ranges_; ++i) {
    const bool empty = top[i].largest == -HUGE_VALF;  // the sum is 0 or NaN
    sum += top[i].sum * (empty ? 1.0f : std::exp(top[i].largest - largest));
  }
  row_top_[row] = {largest, sum};
}

RowScores Decoder::next(int64_t row) const {
  RowScores next;
  if (k_ > 0) {
    next.best = {row_best_ + row * k_, static_cast<size_t>(k_)};
    next.top = row_top_[row];
  }
  if (has_all_) next.all = all_ + row * vocab_size_;
  return next;
}

}  // namespace headlane
