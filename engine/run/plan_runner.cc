#include "engine/run/plan_runner.h"

#include <unistd.h>

#include <cstring>

namespace headlane {
namespace {

// One core's share of L2 that a block of rows may fill, five eighths; the rest is for the weights
// passing by. It is taken as 1 MB if the machine does not say it, or says an odd size.
int64_t block_bytes() {
  static const int64_t kBytes = [] {
    const int64_t l2 = sysconf(_SC_LEVEL2_CACHE_SIZE);
    constexpr int64_t kLeast = 256 * 1024, kMost = 4096 * 1024, kUsual = 1024 * 1024;
    return (l2 >= kLeast && l2 <= kMost ? l2 : kUsual) * 5 / 8;
  }();
  return kBytes;
}

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
  return plan_bytes(make_plan(graph, kernels, limits, block_bytes()), limits);
}

PlanRunner::PlanRunner(const Graph& graph, const kernels::Table& kernels, const Limits& limits,
                       Team* team)
    : plan_(make_plan(graph, kernels, limits, block_bytes())),
      d_hidden_(graph.values[graph.hidden].cols),
      mapped_(graph.mapped),
      team_(*team),
      profile_(plan_, graph, kernels, limits.n_threads),
      next_(plan_.passes.size()) {
  size_t most = 1;  // the copy
  for (const Pass& pass : plan_.passes) most += pass.steps.size();
  phases_.reserve(most);
}

void PlanRunner::use(void* memory) {
  arena_ = static_cast<float*>(memory);
  scratch_ = reinterpret_cast<float*>(static_cast<char*>(memory) + arena_bytes(plan_));
}

// How long the run would take on one thread. It assumes the speed of small products on one slow
// core, since it only decides whether other threads are worth waking.
double PlanRunner::estimate_seconds(const Run& run) const {
  constexpr double kFlopsPerSecond = 100e9, kSecondsPerTask = 0.2e-6;
  double sum = 0, tasks = 0;
  for (const Pass& pass : plan_.passes) {
    for (const Step& step : pass.steps) {
      sum += step.op->flops(run, run.count(pass.rows)) / step.op->speed();
    }
    if (pass.row_wise) continue;
    tasks += static_cast<double>(static_cast<const TaskOp*>(pass.steps.front().op)->n_tasks(run));
  }
  return sum / kFlopsPerSecond + tasks * kSecondsPerTask;
}

bool PlanRunner::shares_block(const Pass& pass, const Run& run) const {
  return pass.row_wise && run.n_threads > 1 && run.count(pass.rows) <= plan_.block_rows;
}

// A pass is one phase, except where the threads share a block: there they meet wherever one thread
// reads what another has written.
void PlanRunner::list_phases(const Run& run, bool wants_hidden, bool wants_pooled) {
  phases_.clear();
  for (size_t pass = 0; pass < plan_.passes.size(); ++pass) {
    const Pass& of = plan_.passes[pass];
    if (of.for_pooled && !wants_pooled) continue;
    const size_t n_steps = of.steps.size();
    const auto divides_rows = [&](size_t step) {
      return static_cast<const RowOp*>(of.steps[step].op)->divides_rows();
    };
    const bool shares = shares_block(of, run);
    for (size_t begin = 0; begin < n_steps;) {
      size_t end = shares ? begin + 1 : n_steps;
      while (end < n_steps && divides_rows(end - 1) && divides_rows(end)) ++end;
      phases_.push_back({pass, begin, end, begin == 0, end == n_steps});
      begin = end;
    }
  }
  if (wants_hidden) phases_.push_back({plan_.passes.size()});
}

void PlanRunner::run(const Run& run, const RowTarget& hidden, float* pooled) {
  if (mapped_ != nullptr) mapped_->check_unchanged();
  plan_.passes.front().steps.front().op->prepare(run);
  for (auto& next : next_) next.store(0, std::memory_order_relaxed);
  profile_.begin_run();
  Run mine = run;
  mine.n_threads = team_.width(estimate_seconds(run), plan_.passes.size());
  list_phases(mine, hidden.data != nullptr, pooled != nullptr);
  team_.run(static_cast<int>(phases_.size()), static_cast<int>(mine.n_threads),
            [&](int phase, int thread, int /*count*/) {
              run_phase(phase, mine, hidden, pooled, thread);
            });
  if (!phases_.empty()) profile_.finish(phases_.back().pass, mine);
}

void PlanRunner::run_phase(int index, const Run& run, const RowTarget& hidden, float* pooled,
                           int thread) {
  const Phase& phase = phases_[static_cast<size_t>(index)];
  if (thread == 0 && index > 0 && phase.is_first) {
    profile_.finish(phases_[static_cast<size_t>(index) - 1].pass, run);
  }
  if (phase.is_first) profile_.begin(phase.pass, thread);
  if (phase.pass == plan_.passes.size()) {
    copy_hidden(run, hidden, {thread, run.n_threads});
  } else if (const Pass& pass = plan_.passes[phase.pass]; pass.row_wise) {
    run_rows(phase, run, pooled, thread);
  } else {
    run_tasks(pass, &next_[phase.pass], run, pooled, thread);
  }
  if (phase.is_last) profile_.end(phase.pass, thread);
}

View PlanRunner::resolve(const Place& place, float* scratch, int64_t row, float* pooled) const {
  switch (place.where) {
    case Place::Where::kArena:
      return {arena_ + place.offset + row * place.ld, place.ld};
    case Place::Where::kBlock:
      return {scratch + place.offset, place.ld};
    case Place::Where::kPooled:
      return {pooled + row * place.ld, place.ld};
    case Place::Where::kNone:
      break;
  }
  return {};
}

void PlanRunner::run_block(std::span<const Step> steps, const Run& run, int64_t row, int64_t n_rows,
                           Slice slice, float* scratch, float* pooled) {
  for (const Step& step : steps) {
    View inputs[kMaxInputs];
    for (size_t i = 0; i < step.inputs.size(); ++i) {
      inputs[i] = resolve(step.inputs[i], scratch, row, pooled);
    }
    static_cast<const RowOp*>(step.op)->run_rows(run, row, n_rows, slice,
                                                 {inputs, step.inputs.size()},
                                                 resolve(step.output, scratch, row, pooled));
  }
}

// Where there are rows for a block each, threads take whole blocks. Fewer rows are one block on
// which all threads work, so that each reads its part of the weights only.
void PlanRunner::run_rows(const Phase& phase, const Run& run, float* pooled, int thread) {
  const Pass& pass = plan_.passes[phase.pass];
  const auto steps = std::span(pass.steps).subspan(phase.begin, phase.end - phase.begin);
  const int64_t n_rows = run.count(pass.rows);
  if (shares_block(pass, run)) {
    return run_block(steps, run, 0, n_rows, {thread, run.n_threads}, scratch_, pooled);
  }
  // As many blocks as are needed, rounded up to feed all threads alike, and of equal size.
  const int64_t round = plan_.block_rows * run.n_threads;
  const int64_t n_blocks = (n_rows + round - 1) / round * run.n_threads;
  float* scratch = scratch_ + thread * plan_.scratch_floats;
  std::atomic<int64_t>& next = next_[phase.pass];
  for (int64_t i = 0; (i = next.fetch_add(1, std::memory_order_relaxed)) < n_blocks;) {
    if (team_.may_stop()) return;
    const Range rows = part_of(n_rows, {i, n_blocks});
    run_block(steps, run, rows.begin, rows.end - rows.begin, {}, scratch, pooled);
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
    if (team_.may_stop()) return;
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
