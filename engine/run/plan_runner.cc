#include "engine/run/plan_runner.h"

#include <cstring>

namespace headlane {
namespace {

// One core's share of L2 that a block of rows may fill; the rest is for the weights passing by.
constexpr int64_t kBlockBytes = 640 * 1024;

// The arena's part of the block, a multiple of 64 bytes as scratch is.
size_t arena_bytes(const Plan& plan) {
  return (static_cast<size_t>(plan.arena_floats) * sizeof(float) + 63) / 64 * 64;
}

size_t plan_bytes(const Plan& plan, const Limits& limits) {
  return arena_bytes(plan) + static_cast<size_t>(limits.n_threads) *
                                 static_cast<size_t>(plan.scratch_floats) * sizeof(float);
}

}  // namespace

size_t PlanRunner::bytes(const Graph& graph, const kernels::Table& kernels, const Limits& limits) {
  return plan_bytes(make_plan(graph, kernels, limits, kBlockBytes), limits);
}

PlanRunner::PlanRunner(const Graph& graph, const kernels::Table& kernels, const Limits& limits)
    : plan_(make_plan(graph, kernels, limits, kBlockBytes)),
      d_hidden_(graph.values[graph.hidden].cols),
      team_(static_cast<int>(limits.n_threads)),
      next_(plan_.passes.size()) {
  for (const Pass& pass : plan_.passes) {
    PassProfile& profile = profile_.emplace_back();
    for (const Step& step : pass.steps) {
      profile.name += (profile.name.empty() ? "" : " + ") + std::string(step.op->name());
      profile.weight_bytes += step.op->weight_bytes(kernels);
    }
    if (pass.row_wise) profile.block_rows = plan_.block_rows;
  }
  profile_.emplace_back().name = "copy";
}

void PlanRunner::use(void* memory) {
  arena_ = static_cast<float*>(memory);
  scratch_ = reinterpret_cast<float*>(static_cast<char*>(memory) + arena_bytes(plan_));
}

void PlanRunner::set_profiling(bool on) {
  profiling_ = on;
  if (!on) return;
  for (PassProfile& profile : profile_) {
    profile.n_runs = 0;
    profile.seconds = profile.flops = 0;
  }
}

double PlanRunner::flops(const Pass& pass, const Run& run) const {
  double sum = 0;
  for (const Step& step : pass.steps) sum += step.op->flops(run, run.count(pass.rows));
  return sum;
}

// What the run would take on one thread. The speed is that of small products on one slow core: it
// decides no more than whether other threads are worth waking.
double PlanRunner::estimate_seconds(const Run& run) const {
  constexpr double kFlopsPerSecond = 100e9, kSecondsPerTask = 0.2e-6;
  double sum = 0, tasks = 0;
  for (const Pass& pass : plan_.passes) {
    sum += flops(pass, run);
    if (pass.row_wise) continue;
    tasks += static_cast<double>(static_cast<const TaskOp*>(pass.steps.front().op)->n_tasks(run));
  }
  return sum / kFlopsPerSecond + tasks * kSecondsPerTask;
}

void PlanRunner::count(size_t pass, const Run& run, Clock::time_point* since) {
  const Clock::time_point now = Clock::now();
  PassProfile& profile = profile_[pass];
  ++profile.n_runs;
  profile.seconds += std::chrono::duration<double>(now - *since).count();
  if (pass < plan_.passes.size()) profile.flops += flops(plan_.passes[pass], run);
  *since = now;
}

void PlanRunner::run(const Run& run, const RowTarget& hidden, float* pooled) {
  for (auto& next : next_) next.store(0, std::memory_order_relaxed);
  team_.run(
      [&](int thread, int count) {
        Run mine = run;
        mine.n_threads = count;
        run_passes(mine, hidden, pooled, thread);
      },
      estimate_seconds(run));
}

void PlanRunner::run_passes(const Run& run, const RowTarget& hidden, float* pooled, int thread) {
  const int count = static_cast<int>(run.n_threads);
  const bool counts = profiling_ && thread == 0;
  Clock::time_point since = counts ? Clock::now() : Clock::time_point();
  for (size_t i = 0; i < plan_.passes.size(); ++i) {
    const Pass& pass = plan_.passes[i];
    if (pass.for_pooled && pooled == nullptr) continue;
    if (pass.row_wise) {
      run_rows(pass, &next_[i], run, thread);
    } else {
      run_tasks(pass, &next_[i], run, pooled, thread);
    }
    team_.barrier(count);
    if (counts) this->count(i, run, &since);
  }
  if (hidden.data == nullptr) return;
  copy_hidden(run, hidden, {thread, count});
  if (counts) this->count(plan_.passes.size(), run, &since);
}

View PlanRunner::resolve(const Place& place, float* scratch, int64_t row, float* pooled) const {
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

void PlanRunner::run_block(const Pass& pass, const Run& run, int64_t row, int64_t n_rows,
                           Slice slice, float* scratch) {
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
void PlanRunner::run_rows(const Pass& pass, std::atomic<int64_t>* next, const Run& run,
                          int thread) {
  const int64_t n_rows = run.count(pass.rows);
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

void PlanRunner::run_tasks(const Pass& pass, std::atomic<int64_t>* next, const Run& run,
                           float* pooled, int thread) {
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

void PlanRunner::copy_hidden(const Run& run, const RowTarget& hidden, Slice slice) const {
  const Range rows = part_of(run.n_tokens, slice);
  for (int64_t i = rows.begin; i < rows.end; ++i) {
    const bool mapped = run.tokens.seq != nullptr;
    float* row = mapped ? hidden.at(run.tokens.seq[i], run.tokens.token[i]) : hidden.at(0, i);
    std::memcpy(row, arena_ + plan_.hidden.offset + i * plan_.hidden.ld,
                static_cast<size_t>(d_hidden_) * sizeof(float));
  }
}

}  // namespace headlane
