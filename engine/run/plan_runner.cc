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

size_t PlanRunner::steps_to_leave_out(const Pass& pass, const Call& call) const {
  size_t n = 0;
  while (n + 1 < pass.steps.size()) {
    const Step& step = pass.steps[n];
    const bool is_loaded = step.output.maker == step.op;
    if (!is_loaded ||
        step.output.maker->lies(call.run, 0, call.run.count(pass.rows)).data == nullptr) {
      break;
    }
    ++n;
  }
  return n;
}

// A pass is one phase, except where the threads share a block: there they meet wherever one thread
// reads what another has written.
void PlanRunner::list_phases(const Call& call) {
  phases_.clear();
  for (size_t pass = 0; pass < plan_.passes.size(); ++pass) {
    const Pass& of = plan_.passes[pass];
    if (of.for_pooled && call.pooled == nullptr) continue;
    const size_t n_steps = of.steps.size();
    const auto divides_rows = [&](size_t step) {
      return static_cast<const RowOp*>(of.steps[step].op)->divides_rows();
    };
    const bool shares = shares_block(of, call.run);
    const size_t first = shares ? steps_to_leave_out(of, call) : 0;
    for (size_t begin = first; begin < n_steps;) {
      size_t end = shares ? begin + 1 : n_steps;
      while (end < n_steps && divides_rows(end - 1) && divides_rows(end)) ++end;
      phases_.push_back({pass, begin, end, begin == first, end == n_steps});
      begin = end;
    }
  }
  if (call.hidden.data != nullptr && copies_last(call)) phases_.push_back({plan_.passes.size()});
}

// Hidden states in blocks leave with their block, except with one that threads share: there the
// copy waits for all of them, where one is needed.
bool PlanRunner::copies_last(const Call& call) const {
  if (plan_.hidden.where != Place::Where::kHidden) return true;
  return shares_block(plan_.passes.back(), call.run) &&
         target_of(call, 0, call.run.n_tokens).data == nullptr;
}

void PlanRunner::run(const Run& run, const RowTarget& hidden, float* pooled) {
  if (mapped_ != nullptr) mapped_->check_unchanged();
  plan_.passes.front().steps.front().op->prepare(run);
  for (auto& next : next_) next.store(0, std::memory_order_relaxed);
  profile_.begin_run();
  Run mine = run;
  mine.n_threads = team_.width(estimate_seconds(run), plan_.passes.size());
  const Call call{mine, hidden, pooled};
  list_phases(call);
  team_.run(static_cast<int>(phases_.size()), static_cast<int>(mine.n_threads),
            [&](int phase, int thread, int /*count*/) { run_phase(phase, call, thread); });
  if (!phases_.empty()) profile_.finish(phases_.back().pass, mine);
}

void PlanRunner::run_phase(int index, const Call& call, int thread) {
  const Phase& phase = phases_[static_cast<size_t>(index)];
  if (thread == 0 && index > 0 && phase.is_first) {
    profile_.finish(phases_[static_cast<size_t>(index) - 1].pass, call.run);
  }
  if (phase.is_first) profile_.begin(phase.pass, thread);
  if (phase.pass == plan_.passes.size()) {
    copy_hidden(call, {0, call.run.n_tokens, {thread, call.run.n_threads}, scratch_});
  } else if (const Pass& pass = plan_.passes[phase.pass]; pass.row_wise) {
    run_rows(phase, call, thread);
  } else {
    run_tasks(pass, &next_[phase.pass], call, thread);
  }
  if (phase.is_last) profile_.end(phase.pass, thread);
}

View PlanRunner::resolve(const Place& place, const Call& call, const Block& block) const {
  const View in_scratch = {block.scratch + place.offset, place.ld};
  switch (place.where) {
    case Place::Where::kArena:
      return {arena_ + place.offset + block.row * place.ld, place.ld};
    case Place::Where::kBlock: {
      const View lies = place.maker->lies(call.run, block.row, block.n_rows);
      return lies.data != nullptr ? lies : in_scratch;
    }
    case Place::Where::kHidden: {
      const View target = target_of(call, block.row, block.n_rows);
      return target.data != nullptr ? target : in_scratch;
    }
    case Place::Where::kPooled:
      return {call.pooled + block.row * place.ld, place.ld};
    case Place::Where::kNone:
      break;
  }
  return {};
}

void PlanRunner::run_block(std::span<const Step> steps, const Call& call,
                           const Block& block) const {
  for (const Step& step : steps) {
    const auto* op = static_cast<const RowOp*>(step.op);
    const bool is_loaded = step.output.where == Place::Where::kBlock && step.output.maker == op;
    if (is_loaded && op->lies(call.run, block.row, block.n_rows).data != nullptr) continue;
    View inputs[kMaxInputs];
    for (size_t i = 0; i < step.inputs.size(); ++i) {
      inputs[i] = resolve(step.inputs[i], call, block);
    }
    op->run_rows(call.run, block.row, block.n_rows, block.slice, {inputs, step.inputs.size()},
                 resolve(step.output, call, block));
  }
}

// Where there are rows for a block each, threads take whole blocks. Fewer rows are one block on
// which all threads work, so that each reads its part of the weights only.
void PlanRunner::run_rows(const Phase& phase, const Call& call, int thread) {
  const Run& run = call.run;
  const Pass& pass = plan_.passes[phase.pass];
  const auto steps = std::span(pass.steps).subspan(phase.begin, phase.end - phase.begin);
  const int64_t n_rows = run.count(pass.rows);
  if (shares_block(pass, run)) {
    return run_block(steps, call, {0, n_rows, {thread, run.n_threads}, scratch_});
  }
  // As many blocks as are needed, rounded up to feed all threads alike, and of equal size.
  const int64_t round = plan_.block_rows * run.n_threads;
  const int64_t n_blocks = (n_rows + round - 1) / round * run.n_threads;
  const bool has_hidden = plan_.hidden.where == Place::Where::kHidden &&
                          call.hidden.data != nullptr && phase.pass + 1 == plan_.passes.size();
  float* scratch = scratch_ + thread * plan_.scratch_floats;
  std::atomic<int64_t>& next = next_[phase.pass];
  for (int64_t i = 0; (i = next.fetch_add(1, std::memory_order_relaxed)) < n_blocks;) {
    if (team_.may_stop()) return;
    const Range rows = part_of(n_rows, {i, n_blocks});
    const Block block{rows.begin, rows.end - rows.begin, {}, scratch};
    run_block(steps, call, block);
    if (has_hidden) copy_hidden(call, block);
  }
}

void PlanRunner::run_tasks(const Pass& pass, std::atomic<int64_t>* next, const Call& call,
                           int thread) {
  const Step& step = pass.steps.front();
  const auto* op = static_cast<const TaskOp*>(step.op);
  const Block block{0, 0, {}, scratch_ + thread * plan_.scratch_floats};
  View inputs[kMaxInputs];
  for (size_t i = 0; i < step.inputs.size(); ++i) {
    inputs[i] = resolve(step.inputs[i], call, block);
  }
  const View output = resolve(step.output, call, block);
  const int64_t n_tasks = op->n_tasks(call.run);
  for (int64_t i = 0; (i = next->fetch_add(1, std::memory_order_relaxed)) < n_tasks;) {
    if (team_.may_stop()) return;
    op->run_task(call.run, i, {inputs, step.inputs.size()}, output, block.scratch);
  }
}

// Row i of the target.
float* PlanRunner::target_row(const Call& call, int64_t i) const {
  const RowMap& map = call.run.tokens;
  return map.seq != nullptr ? call.hidden.at(map.seq[i], map.token[i]) : call.hidden.at(0, i);
}

// Whole vectors of floats alone: kernels write a row up to its next multiple of kRowAlign.
View PlanRunner::target_of(const Call& call, int64_t row, int64_t n_rows) const {
  const int64_t stride = call.hidden.token_stride;
  if (call.hidden.data == nullptr || n_rows == 0 || d_hidden_ % kernels::kRowAlign != 0 ||
      stride % kernels::kRowAlign != 0) {
    return {};
  }
  float* const first = target_row(call, row);
  for (int64_t r = 1; r < n_rows; ++r) {
    if (target_row(call, row + r) != first + r * stride) return {};
  }
  return {first, stride};
}

void PlanRunner::copy_hidden(const Call& call, const Block& block) const {
  const View from = resolve(plan_.hidden, call, block);
  if (block.n_rows > 0 && from.data == target_row(call, block.row)) return;
  const Range rows = part_of(block.n_rows, block.slice);
  for (int64_t i = rows.begin; i < rows.end; ++i) {
    std::memcpy(target_row(call, block.row + i), from.data + i * from.ld,
                static_cast<size_t>(d_hidden_) * sizeof(float));
  }
}

}  // namespace headlane
