// The working memory of one stream of calls, and the loop that runs a plan.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "engine/model/model.h"
#include "engine/plan/plan.h"
#include "engine/run/team.h"

namespace headlane {

struct SessionOptions {
  int64_t max_tokens = 0;  // 0: as headlane.h says
  int64_t max_seqs = 0;
  int64_t max_len = 0;
  int64_t n_threads = 0;
};

struct BatchView {
  int64_t n_seqs = 0;
  const int64_t* offsets = nullptr;   // [n_seqs + 1]
  const int32_t* ids = nullptr;       // [offsets[n_seqs]]
  const int32_t* type_ids = nullptr;  // likewise, or null
};

// The defaults filled in and every field checked against the model; throws Error.
Limits session_limits(const Model& model, const SessionOptions& options);

class Session {
 public:
  static size_t bytes(const Model& model, const Limits& limits);

  // `memory`: bytes() of it, 64-byte aligned, or null: the session takes its own.
  Session(const Model& model, const Limits& limits, void* memory);

  // Outputs as in headlane_outputs: either may be null. Throws Error before anything is written.
  void encode(const BatchView& batch, float* hidden, float* pooled);

 private:
  void check(const BatchView& batch, bool wants_pooled) const;
  void run_passes(const Run& run, float* hidden, float* pooled, int thread, int count);
  void run_rows(const Pass& pass, std::atomic<int64_t>* next, const Run& run, int thread);
  void run_tasks(const Pass& pass, std::atomic<int64_t>* next, const Run& run, float* pooled,
                 int thread);
  void run_block(const Pass& pass, const Run& run, int64_t row, int64_t n_rows, Slice slice,
                 float* scratch);
  void copy_hidden(const Run& run, float* hidden, Slice slice) const;
  View resolve(const Place& place, float* scratch, int64_t row, float* pooled) const;

  const Model& model_;
  Limits limits_;
  Plan plan_;
  Team team_;
  Buffer own_memory_;
  float* arena_ = nullptr;                  // [plan_.arena_floats]
  float* scratch_ = nullptr;                // [n_threads, plan_.scratch_floats]
  int32_t* positions_ = nullptr;            // [max_tokens]
  std::vector<std::atomic<int64_t>> next_;  // for each pass, the next task to be taken
};

}  // namespace headlane
