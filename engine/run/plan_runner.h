// The loop that runs a plan: threads, arena and scratch, and nothing of what a call means.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "engine/plan/plan.h"
#include "engine/run/profile.h"
#include "engine/run/team.h"

namespace headlane {

// Where hidden states go: row [seq, token] begins at data + seq * seq_stride + token *
// token_stride. Null data: not wanted.
struct RowTarget {
  float* data = nullptr;
  int64_t seq_stride = 0, token_stride = 0;
  float* at(int64_t seq, int64_t token) const {
    return data + seq * seq_stride + token * token_stride;
  }
};

class PlanRunner {
 public:
  // `team` has limits.n_threads threads and outlives the runner.
  PlanRunner(const Graph& graph, const kernels::Table& kernels, const Limits& limits, Team* team);
  static size_t bytes(const Graph& graph, const kernels::Table& kernels, const Limits& limits);

  // bytes() of memory, 64-byte aligned, to work in; before the first run.
  void use(void* memory);
  // Computes everything of `run` but n_threads, which is the runner's. Where the run has no map of
  // its tokens, they are the target's in order. `pooled` may be null.
  void run(const Run& run, const RowTarget& hidden, float* pooled);

  // The i-th of the graph's values that stay, as the last run left it.
  KeyRows kept(size_t i) const { return {arena_ + plan_.kept[i].offset, plan_.kept[i].ld}; }

  Profile& profile() { return profile_; }
  const Profile& profile() const { return profile_; }

 private:
  double estimate_seconds(const Run& run) const;
  void run_passes(const Run& run, const RowTarget& hidden, float* pooled, int thread);
  void run_rows(const Pass& pass, std::atomic<int64_t>* next, const Run& run, int thread);
  void run_tasks(const Pass& pass, std::atomic<int64_t>* next, const Run& run, float* pooled,
                 int thread);
  void run_block(const Pass& pass, const Run& run, int64_t row, int64_t n_rows, Slice slice,
                 float* scratch);
  void copy_hidden(const Run& run, const RowTarget& hidden, Slice slice) const;
  View resolve(const Place& place, float* scratch, int64_t row, float* pooled) const;

  Plan plan_;
  int64_t d_hidden_;
  Team& team_;
  float* arena_ = nullptr;    // [plan_.arena_floats]
  float* scratch_ = nullptr;  // [n_threads, plan_.scratch_floats]
  Profile profile_;
  std::vector<std::atomic<int64_t>> next_;  // for each pass, the next task to be taken
};

}  // namespace headlane
