#include "engine/run/profile.h"

#include <algorithm>
#include <set>

namespace headlane {

namespace {

double row_bytes(const Value& value) {
  const double size = value.element == Element::kF32 ? 4 : value.element == Element::kBf16 ? 2 : 1;
  return static_cast<double>(value.cols) * size;
}

}  // namespace

double flops_of(const Pass& pass, const Run& run) {
  double sum = 0;
  for (const Step& step : pass.steps) sum += step.op->flops(run, run.count(pass.rows));
  return sum;
}

Profile::Profile(const Plan& plan, const Graph& graph, const kernels::Table& kernels,
                 int64_t n_threads)
    : plan_(plan), n_threads_(n_threads) {
  for (const Pass& pass : plan.passes) {
    PassProfile& profile = passes_.emplace_back();
    if (pass.row_wise) profile.block_rows = plan.block_rows;
    std::set<ValueId> exchanged;  // a value that two steps read comes from the cache once
    for (const Step& step : pass.steps) {
      profile.name += (profile.name.empty() ? "" : " + ") + std::string(step.op->name());
      profile.weight_bytes += step.op->weight_bytes(kernels);
      for (size_t i = 0; i < step.inputs.size(); ++i) {
        if (step.inputs[i].where == Place::Where::kArena) exchanged.insert(step.op->inputs[i]);
      }
      const auto to = step.output.where;
      const bool leaves = to == Place::Where::kArena || to == Place::Where::kHidden;
      if (leaves) exchanged.insert(step.op->output);
    }
    RowBytes& bytes = row_bytes_.emplace_back();
    for (const ValueId id : exchanged) {
      const Value& value = graph.values[static_cast<size_t>(id)];
      bytes.of[static_cast<int>(value.rows)] += row_bytes(value);
    }
  }
  passes_.emplace_back().name = "copy";
  const Value& hidden = graph.values[static_cast<size_t>(graph.hidden)];
  row_bytes_.emplace_back().of[static_cast<int>(hidden.rows)] =
      2 * static_cast<double>(hidden.cols) * sizeof(float);
  spans_.resize(passes_.size() * static_cast<size_t>(n_threads));
}

void Profile::set(bool on) {
  on_ = on;
  if (!on) return;
  for (PassProfile& pass : passes_) {
    pass.n_runs = 0;
    pass.seconds = pass.flops = pass.activation_bytes = 0;
  }
}

void Profile::begin_run() {
  if (!on_) return;
  std::fill(spans_.begin(), spans_.end(), TimeSpan());
  start_ = Clock::now();
}

void Profile::finish(size_t pass, const Run& run) {
  if (!on_) return;
  PassProfile& profile = passes_[pass];
  ++profile.n_runs;
  profile.seconds += now() - span(pass, 0).begin;
  if (pass < plan_.passes.size()) profile.flops += flops_of(plan_.passes[pass], run);
  for (const Rows rows : {Rows::kTokens, Rows::kKv, Rows::kSeqs, Rows::kRead}) {
    profile.activation_bytes +=
        row_bytes_[pass].of[static_cast<int>(rows)] * static_cast<double>(run.count(rows));
  }
}

}  // namespace headlane
