// The loop that runs a plan: threads, arena and scratch, and nothing of what a call means.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/team.h"
#include "engine/plan/plan.h"
#include "engine/run/profile.h"

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
  // Takes everything of `run` but n_threads, which is the runner's. Where the run has no map of its
  // tokens, they are the target's in order. `pooled` may be null. Throws Error, before anything is
  // computed, if the model's file has to be read and cannot be, or is mapped and was changed, and
  // Error(kCancelled) if the team was told so: what the targets have then is nothing. The last
  // pass writes the targets while other threads are in it, so that they overlap none of the sources
  // that it reads where they lie. They may be the rows of x where it reads none of these so, as in
  // a layer: its residual is of rows that an earlier pass has copied to the arena.
  void run(const Run& run, const RowTarget& hidden, float* pooled);

  // The i-th of the graph's values that stay, as the last run left it.
  KeyRows kept(size_t i) const { return {arena_ + plan_.kept[i].offset, plan_.kept[i].ld}; }

  Profile& profile() { return profile_; }
  const Profile& profile() const { return profile_; }

 private:
  // The work of threads between two barriers: steps of a pass, or the copy of the hidden states,
  // which comes as one more pass.
  struct Phase {
    size_t pass = 0;
    size_t begin = 0, end = 0;  // of the pass's steps
    bool is_first = true, is_last = true;
  };
  // A run, and where what it makes goes.
  struct Call {
    const Run& run;
    const RowTarget& hidden;
    float* pooled;
  };
  // Rows that go through steps of a pass together: all threads' that share them, or one's.
  struct Block {
    int64_t row = 0, n_rows = 0;
    Slice slice;
    float* scratch = nullptr;
  };
  double estimate_seconds(const Run& run) const;
  // All threads work on the same block of rows, each on its part of the columns.
  bool shares_block(const Pass& pass, const Run& run) const;
  void list_phases(const Call& call);
  // How many of the pass's first steps make rows that lie somewhere already.
  size_t steps_to_leave_out(const Pass& pass, const Call& call) const;
  void run_phase(int index, const Call& call, int thread);
  void run_rows(const Phase& phase, const Call& call, int thread);
  void run_tasks(const Pass& pass, std::atomic<int64_t>* next, const Call& call, int thread);
  void run_block(std::span<const Step> steps, const Call& call, const Block& block) const;
  // The target's rows of a block, where they lie as kernels write them; else null data.
  View target_of(const Call& call, int64_t row, int64_t n_rows) const;
  float* target_row(const Call& call, int64_t i) const;
  bool copies_last(const Call& call) const;
  void copy_hidden(const Call& call, const Block& block) const;
  View resolve(const Place& place, const Call& call, const Block& block) const;

  Plan plan_;
  int64_t d_hidden_;
  const InputFile* mapped_;  // or null
  Team& team_;
  float* arena_ = nullptr;    // [plan_.arena_floats]
  float* scratch_ = nullptr;  // [n_threads, plan_.scratch_floats]
  Profile profile_;
  std::vector<std::atomic<int64_t>> next_;  // for each pass, the next task to be taken
  std::vector<Phase> phases_;               // of the run at hand
};

}  // namespace headlane
