// Where the time of a session's runs goes, pass by pass and thread by thread. Off, it costs a test
// of a flag.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/plan/plan.h"

namespace headlane {

// Runs have spent this in one pass.
struct PassProfile {
  std::string name;
  int64_t n_runs = 0;
  double seconds = 0, flops = 0, activation_bytes = 0;  // of all runs
  double weight_bytes = 0;                              // of one reading
  int64_t block_rows = 0;                               // 0: not a row pass
};

// When one thread worked on a pass in the last run: seconds since the run's start. Both are equal
// if it did nothing.
struct TimeSpan {
  double begin = 0, end = 0;
};

class Profile {
 public:
  Profile(const Plan& plan, const Graph& graph, const kernels::Table& kernels, int64_t n_threads);

  // Turning it on sets all counts to zero.
  void set(bool on);
  bool is_on() const { return on_; }
  // There is one for each pass, and one for the copy of the result.
  const std::vector<PassProfile>& passes() const { return passes_; }
  const TimeSpan& span(size_t pass, int64_t thread) const {
    return spans_[pass * static_cast<size_t>(n_threads_) + static_cast<size_t>(thread)];
  }
  int64_t n_threads() const { return n_threads_; }

  // Called by the thread that began the run, before the others start.
  void begin_run();
  // Called by each thread about its own part of a pass.
  void begin(size_t pass, int64_t thread) { stamp(pass, thread, &TimeSpan::begin); }
  void end(size_t pass, int64_t thread) { stamp(pass, thread, &TimeSpan::end); }
  // Called by thread 0 when all threads are through with the pass.
  void finish(size_t pass, const Run& run);

 private:
  using Clock = std::chrono::steady_clock;
  double now() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  void stamp(size_t pass, int64_t thread, double TimeSpan::*which) {
    if (!on_) return;
    spans_[pass * static_cast<size_t>(n_threads_) + static_cast<size_t>(thread)].*which = now();
  }

  // Bytes that a pass reads or writes in the arena, for each row of a kind.
  struct RowBytes {
    double of[kRowKinds] = {};  // by Rows
  };

  bool on_ = false;
  const Plan& plan_;
  int64_t n_threads_;
  Clock::time_point start_;
  std::vector<PassProfile> passes_;
  std::vector<RowBytes> row_bytes_;
  std::vector<TimeSpan> spans_;  // [passes, n_threads]
};

// Multiplications and additions of a pass in a run.
double flops_of(const Pass& pass, const Run& run);

}  // namespace headlane
