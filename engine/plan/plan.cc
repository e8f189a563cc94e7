#include "engine/plan/plan.h"

#include <algorithm>

#include "engine/base/error.h"
#include "engine/plan/memory_planner.h"

namespace headlane {
namespace {

constexpr int64_t kAlign = kernels::kRowAlign;  // 64 bytes

Rows rows_of(const Graph& graph, const Op* op) {
  return graph.values[op->output >= 0 ? op->output : op->inputs.front()].rows;
}

// Runs of row ops over the same rows become one pass each, the other ops one pass of their own.
std::vector<std::vector<const Op*>> fuse(const Graph& graph) {
  std::vector<std::vector<const Op*>> passes;
  const Op* previous = nullptr;  // where the last op was a row op
  for (const auto& op : graph.ops) {
    const bool row_wise = dynamic_cast<const RowOp*>(op.get()) != nullptr;
    const bool joins = row_wise && previous && rows_of(graph, previous) == rows_of(graph, op.get());
    if (!joins) passes.emplace_back();
    passes.back().push_back(op.get());
    previous = row_wise ? op.get() : nullptr;
  }
  return passes;
}

// Whether the hidden states can go to the caller block by block: the last pass makes them of rows,
// and nothing else needs them.
bool leaves_at_once(const Graph& graph, const std::vector<std::vector<const Op*>>& passes,
                    const std::vector<Lifetime>& lives) {
  const auto is_kept = [&](ValueId id) { return std::ranges::count(graph.kept, id) > 0; };
  return graph.values[graph.hidden].rows == Rows::kTokens && graph.pooled < 0 &&
         !is_kept(graph.hidden) &&
         lives[graph.hidden].first + 1 == static_cast<int>(passes.size()) &&
         dynamic_cast<const RowOp*>(passes.back().front()) != nullptr;
}

// For each value, the first and last pass that touch it.
std::vector<Lifetime> lifetimes_in_passes(const Graph& graph,
                                          const std::vector<std::vector<const Op*>>& passes) {
  std::vector<Lifetime> lives(graph.values.size());
  for (int i = 0; i < static_cast<int>(passes.size()); ++i) {
    for (const Op* op : passes[i]) {
      if (op->output >= 0) lives[op->output] = {i, i, 0};
      for (const ValueId input : op->inputs) lives[input].last = i;
    }
  }
  // The caller reads the pooled vectors after the last pass, and the hidden states too, where they
  // do not leave the pass that makes them; later runs read what is kept.
  const int end = static_cast<int>(passes.size());
  if (graph.hidden >= 0 && !leaves_at_once(graph, passes, lives)) lives[graph.hidden].last = end;
  if (graph.pooled >= 0) lives[graph.pooled].last = end;
  for (const ValueId id : graph.kept) lives[id].last = end;
  return lives;
}

int64_t stride_of(const Value& value) { return kernels::padded_floats(value.element, value.cols); }

// Rows of a block so that its values fit `l2_bytes`, within what keeps weights worth their reading
// (at least 32 rows) and threads evenly fed (at most 128; faster products are worth twice as many).
// They are whole strips of the product.
int64_t choose_block_rows(int64_t widest_row_floats, int64_t l2_bytes, Precision precision,
                          const kernels::Table& kernels) {
  const int64_t most = precision == Precision::kF32 ? 128 : 256;
  const int64_t fitting =
      l2_bytes / static_cast<int64_t>(sizeof(float)) / std::max<int64_t>(widest_row_floats, 1);
  const int64_t strip = std::min<int64_t>(kernels.product(precision).mr, 32);
  return std::clamp(fitting / strip * strip, (32 + strip - 1) / strip * strip,
                    most / strip * strip);
}

// The last step of the run of steps from `step` on that threads go through without waiting for each
// other: until then, one of them may still be at `step`.
int last_without_barrier(const std::vector<const Op*>& ops, int step) {
  const auto divides_rows = [&](int i) {
    return static_cast<const RowOp*>(ops[i])->divides_rows();
  };
  const int n = static_cast<int>(ops.size());
  while (step + 1 < n && divides_rows(step) && divides_rows(step + 1)) ++step;
  return step;
}

// Places the values that live within one row pass; sizes count floats per row.
void place_block_values(const Graph& graph, const std::vector<const Op*>& ops,
                        const std::vector<Lifetime>& lives, int pass, std::vector<Place>* places,
                        int64_t* row_floats) {
  std::vector<ValueId> ids;
  std::vector<Lifetime> local;
  for (int step = 0; step < static_cast<int>(ops.size()); ++step) {
    const ValueId id = ops[step]->output;
    if (lives[id].last != pass) continue;  // another pass needs it
    int last = step;
    for (int later = step; later < static_cast<int>(ops.size()); ++later) {
      for (const ValueId input : ops[later]->inputs) {
        if (input == id) last = last_without_barrier(ops, later);
      }
    }
    if (id == graph.hidden) last = static_cast<int>(ops.size());  // it leaves after the last step
    ids.push_back(id);
    local.push_back({step, last, stride_of(graph.values[id])});
  }
  const MemoryPlan memory = plan_memory(local, kAlign);
  for (size_t i = 0; i < ids.size(); ++i) {
    const bool is_hidden = ids[i] == graph.hidden;
    (*places)[ids[i]] = {is_hidden ? Place::Where::kHidden : Place::Where::kBlock,
                         memory.offsets[i], local[i].size,
                         static_cast<const RowOp*>(ops[static_cast<size_t>(local[i].first)])};
  }
  *row_floats = std::max(*row_floats, memory.size);
}

// Places the values that passes exchange.
int64_t place_arena_values(const Graph& graph, std::vector<Lifetime> lives, const Limits& limits,
                           std::vector<Place>* places) {
  for (size_t i = 0; i < lives.size(); ++i) {
    const Value& value = graph.values[i];
    const bool elsewhere = (*places)[i].where != Place::Where::kArena;
    lives[i].size = elsewhere ? 0 : limits.most(value.rows) * stride_of(value);
  }
  const MemoryPlan memory = plan_memory(lives, kAlign);
  for (size_t i = 0; i < lives.size(); ++i) {
    if ((*places)[i].where != Place::Where::kArena) continue;
    (*places)[i] = {Place::Where::kArena, memory.offsets[i], stride_of(graph.values[i])};
  }
  return memory.size;
}

Pass make_pass(const Graph& graph, const std::vector<const Op*>& ops,
               const std::vector<Place>& places) {
  Pass pass;
  pass.row_wise = dynamic_cast<const RowOp*>(ops.front()) != nullptr;
  pass.rows = rows_of(graph, ops.front());
  pass.for_pooled = pass.rows == Rows::kSeqs;
  for (const Op* op : ops) {
    if (op->inputs.size() > kMaxInputs) {
      fail(Status::kInternal, "op \"%s\" has more than %zu inputs", op->name(), kMaxInputs);
    }
    Step step;
    step.op = op;
    for (const ValueId input : op->inputs) step.inputs.push_back(places[input]);
    step.output = op->output >= 0 ? places[op->output] : Place{Place::Where::kNone};
    pass.steps.push_back(std::move(step));
  }
  return pass;
}

}  // namespace

Plan make_plan(const Graph& graph, const kernels::Table& kernels, const Limits& limits,
               int64_t l2_bytes) {
  const auto fused = fuse(graph);
  const std::vector<Lifetime> lives = lifetimes_in_passes(graph, fused);
  std::vector<Place> places(graph.values.size());
  int64_t row_floats = 0;
  for (int i = 0; i < static_cast<int>(fused.size()); ++i) {
    if (dynamic_cast<const RowOp*>(fused[i].front()) == nullptr) continue;
    place_block_values(graph, fused[i], lives, i, &places, &row_floats);
  }
  if (graph.pooled >= 0) {
    places[graph.pooled] = {Place::Where::kPooled, 0, graph.values[graph.pooled].cols};
  }

  Plan plan;
  plan.arena_floats = place_arena_values(graph, lives, limits, &places);
  plan.block_rows = choose_block_rows(row_floats, l2_bytes, limits.precision, kernels);
  // A block's values lie one behind the other, each with room for all of the block's rows.
  for (Place& place : places) {
    const bool in_block =
        place.where == Place::Where::kBlock || place.where == Place::Where::kHidden;
    if (in_block) place.offset *= plan.block_rows;
  }
  plan.scratch_floats = row_floats * plan.block_rows;
  for (const auto& op : graph.ops) {
    if (const auto* task_op = dynamic_cast<const TaskOp*>(op.get())) {
      plan.scratch_floats = std::max(plan.scratch_floats, task_op->scratch_floats(kernels, limits));
    }
  }
  plan.scratch_floats = (plan.scratch_floats + kAlign - 1) / kAlign * kAlign;
  for (const auto& ops : fused) plan.passes.push_back(make_pass(graph, ops, places));
  plan.hidden = places[graph.hidden];
  for (const ValueId id : graph.kept) plan.kept.push_back(places[id]);
  return plan;
}

}  // namespace headlane
