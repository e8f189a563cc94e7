#include "engine/run/session.h"

#include <algorithm>
#include <cstring>

#include "engine/error.h"

namespace headlane {
namespace {

// One core's share of L2 that a block of rows may fill; the rest is for the weights passing by.
constexpr int64_t kBlockBytes = 640 * 1024;

int64_t checked_option(const char* name, int64_t value, int64_t fallback, int64_t largest) {
  if (value == 0) return fallback;
  if (value < 0 || value > largest) {
    fail(Status::kInvalidArgument, "session option %s is %lld; it must be from 1 to %lld, or 0",
         name, static_cast<long long>(value), static_cast<long long>(largest));
  }
  return value;
}

// Contiguous parts of a session's block, each a multiple of 64 bytes.
struct Parts {
  size_t arena, scratch, positions, total;
};

Parts divide(const Plan& plan, const Limits& limits) {
  const auto round_up = [](size_t bytes) { return (bytes + 63) / 64 * 64; };
  Parts parts;
  parts.arena = 0;
  parts.scratch = round_up(static_cast<size_t>(plan.arena_floats) * sizeof(float));
  parts.positions = parts.scratch + static_cast<size_t>(limits.n_threads) *
                                        static_cast<size_t>(plan.scratch_floats) * sizeof(float);
  parts.total =
      round_up(parts.positions + static_cast<size_t>(limits.max_tokens) * sizeof(int32_t));
  return parts;
}

}  // namespace

Limits session_limits(const Model& model, const SessionOptions& options) {
  constexpr int64_t kDefaultTokens = 4096, kMostTokens = int64_t{1} << 31, kMostThreads = 1024;
  const int64_t max_positions = model.config().max_positions;
  Limits limits;
  limits.max_len = checked_option("max_len", options.max_len, 0, max_positions);
  limits.max_tokens = checked_option("max_tokens", options.max_tokens,
                                     std::max(kDefaultTokens, limits.max_len), kMostTokens);
  if (limits.max_len == 0) limits.max_len = std::min(max_positions, limits.max_tokens);
  limits.max_seqs = checked_option("max_seqs", options.max_seqs, limits.max_tokens, kMostTokens);
  limits.n_threads = checked_option("n_threads", options.n_threads, available_cpus(), kMostThreads);
  return limits;
}

size_t Session::bytes(const Model& model, const Limits& limits) {
  return divide(make_plan(model.graph(), model.kernels(), limits, kBlockBytes), limits).total;
}

Session::Session(const Model& model, const Limits& limits, void* memory)
    : model_(model),
      limits_(limits),
      plan_(make_plan(model.graph(), model.kernels(), limits, kBlockBytes)),
      team_(static_cast<int>(limits.n_threads)),
      next_(plan_.passes.size()) {
  const Parts parts = divide(plan_, limits);
  if (memory == nullptr) {
    own_memory_ = Buffer(parts.total);
    memory = own_memory_.data();
  }
  char* base = static_cast<char*>(memory);
  arena_ = reinterpret_cast<float*>(base + parts.arena);
  scratch_ = reinterpret_cast<float*>(base + parts.scratch);
  positions_ = reinterpret_cast<int32_t*>(base + parts.positions);
}

void Session::check(const BatchView& batch, bool wants_pooled) const {
  using ll = long long;
  if (batch.n_seqs < 0) fail(Status::kInvalidArgument, "batch.n_seqs is %lld", ll{batch.n_seqs});
  if (batch.n_seqs > limits_.max_seqs) {
    fail(Status::kTooLarge, "batch.n_seqs is %lld, the session's max_seqs %lld", ll{batch.n_seqs},
         ll{limits_.max_seqs});
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
    if (end > limits_.max_tokens) {
      fail(Status::kTooLarge, "batch.offsets[%lld] is %lld, the session's max_tokens %lld",
           ll{i + 1}, ll{end}, ll{limits_.max_tokens});
    }
    if (end - begin > limits_.max_len) {
      fail(Status::kTooLarge,
           "sequence %lld of the batch has %lld tokens, the session's max_len is %lld", ll{i},
           ll{end - begin}, ll{limits_.max_len});
    }
  }
  const int64_t n_tokens = batch.offsets[batch.n_seqs];
  if (n_tokens > 0 && batch.ids == nullptr) fail(Status::kInvalidArgument, "batch.ids is null");
  const ModelConfig& config = model_.config();
  for (int64_t i = 0; i < n_tokens; ++i) {
    if (batch.ids[i] < 0 || batch.ids[i] >= config.vocab_size) {
      fail(Status::kInvalidArgument, "batch.ids[%lld] is %d; ids are from 0 to %lld", ll{i},
           batch.ids[i], ll{config.vocab_size - 1});
    }
    const int32_t type = batch.type_ids ? batch.type_ids[i] : 0;
    if (type < 0 || type >= std::max<int64_t>(config.n_types, 1)) {
      fail(Status::kInvalidArgument, "batch.type_ids[%lld] is %d; types are from 0 to %lld", ll{i},
           type, ll{std::max<int64_t>(config.n_types, 1) - 1});
    }
  }
  if (wants_pooled && model_.graph().pooled < 0) {
    fail(Status::kUnsupported, "pooled vectors are wanted, but the model has no pooling");
  }
}

void Session::encode(const BatchView& batch, float* hidden, float* pooled) {
  check(batch, pooled != nullptr);
  for (int64_t seq = 0; seq < batch.n_seqs; ++seq) {
    const int64_t begin = batch.offsets[seq];
    for (int64_t i = begin; i < batch.offsets[seq + 1]; ++i) {
      positions_[i] = static_cast<int32_t>(i - begin);
    }
  }
  for (auto& next : next_) next.store(0, std::memory_order_relaxed);
  Run run;
  run.kernels = &model_.kernels();
  run.n_tokens = batch.offsets[batch.n_seqs];
  run.n_seqs = batch.n_seqs;
  run.offsets = batch.offsets;
  run.ids = batch.ids;
  run.positions = positions_;
  run.types = batch.type_ids;
  team_.run([&](int thread, int count) {
    Run mine = run;
    mine.n_threads = count;
    run_passes(mine, hidden, pooled, thread, count);
  });
}

void Session::run_passes(const Run& run, float* hidden, float* pooled, int thread, int count) {
  for (size_t i = 0; i < plan_.passes.size(); ++i) {
    const Pass& pass = plan_.passes[i];
    if (pass.for_pooled && pooled == nullptr) continue;
    if (pass.row_wise) {
      run_rows(pass, &next_[i], run, thread);
    } else {
      run_tasks(pass, &next_[i], run, pooled, thread);
    }
    team_.barrier(count);
  }
  if (hidden != nullptr) copy_hidden(run, hidden, {thread, count});
}

View Session::resolve(const Place& place, float* scratch, int64_t row, float* pooled) const {
  switch (place.where) {
    case Place::Where::kArena:
      return {arena_ + place.offset + row * place.ld, place.ld};
    case Place::Where::kBlock:
      return {scratch + place.offset, place.ld};
    case Place::Where::kPooled:
      return {pooled, place.ld};
  }
  return {};
}

void Session::run_block(const Pass& pass, const Run& run, int64_t row, int64_t n_rows, Slice slice,
                        float* scratch) {
  for (const Step& step : pass.steps) {
    View inputs[kMaxInputs];
    for (size_t i = 0; i < step.inputs.size(); ++i) {
      inputs[i] = resolve(step.inputs[i], scratch, row, nullptr);
    }
    static_cast<const RowOp*>(step.op)->run_rows(run, row, n_rows, slice,
                                                 {inputs, step.inputs.size()},
                                                 resolve(step.output, scratch, row, nullptr));
    const bool next_reads_it = &step != &pass.steps.back();
    if (next_reads_it) team_.barrier(static_cast<int>(slice.count));
  }
}

// Where there are rows for a block each, threads take whole blocks. Fewer rows are one block on
// which all threads work, each on its part of the columns, so that each reads its part of the
// weights only.
void Session::run_rows(const Pass& pass, std::atomic<int64_t>* next, const Run& run, int thread) {
  const int64_t n_rows = pass.rows == Rows::kTokens ? run.n_tokens : run.n_seqs;
  if (run.n_threads > 1 && n_rows <= plan_.block_rows) {
    return run_block(pass, run, 0, n_rows, {thread, run.n_threads}, scratch_);
  }
  // As many blocks as are needed, rounded up to feed all threads alike, and of equal size.
  const int64_t round = plan_.block_rows * run.n_threads;
  const int64_t n_blocks = (n_rows + round - 1) / round * run.n_threads;
  float* scratch = scratch_ + thread * plan_.scratch_floats;
  for (int64_t i = 0; (i = next->fetch_add(1, std::memory_order_relaxed)) < n_blocks;) {
    const Range rows = part_of(n_rows, {i, n_blocks});
    run_block(pass, run, rows.begin, rows.end - rows.begin, {}, scratch);
  }
}

void Session::run_tasks(const Pass& pass, std::atomic<int64_t>* next, const Run& run, float* pooled,
                        int thread) {
  const Step& step = pass.steps.front();
  const auto* op = static_cast<const TaskOp*>(step.op);
  float* scratch = scratch_ + thread * plan_.scratch_floats;
  View inputs[kMaxInputs];
  for (size_t i = 0; i < step.inputs.size(); ++i) {
    inputs[i] = resolve(step.inputs[i], scratch, 0, pooled);
  }
  const View output = resolve(step.output, scratch, 0, pooled);
  const int64_t n_tasks = op->n_tasks(run);
  for (int64_t i = 0; (i = next->fetch_add(1, std::memory_order_relaxed)) < n_tasks;) {
    op->run_task(run, i, {inputs, step.inputs.size()}, output, scratch);
  }
}

void Session::copy_hidden(const Run& run, float* hidden, Slice slice) const {
  const int64_t d = model_.config().d_model;
  const Range rows = part_of(run.n_tokens, slice);
  for (int64_t i = rows.begin; i < rows.end; ++i) {
    std::memcpy(hidden + i * d, arena_ + plan_.hidden.offset + i * plan_.hidden.ld,
                static_cast<size_t>(d) * sizeof(float));
  }
}

}  // namespace headlane
