// What an op is to the planner and the session. One file per op in this folder implements one.
//
// Ops are made once per model, packed once for its kernels, and then only read: all state of a run
// is in what the run passes in.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/kernels.h"

namespace headlane {

using ValueId = int;

// The rows of one value at hand: row i begins at data + i * ld.
struct View {
  float* data = nullptr;
  int64_t ld = 0;
};

// One call of the model, as ops see it.
struct Run {
  const kernels::Table* kernels = nullptr;
  int64_t n_tokens = 0;
  int64_t n_seqs = 0;
  int64_t n_threads = 1;
  const int64_t* offsets = nullptr;    // [n_seqs + 1]
  const int32_t* ids = nullptr;        // [n_tokens]
  const int32_t* positions = nullptr;  // [n_tokens], within the sequence
  const int32_t* types = nullptr;      // [n_tokens], or null: all 0
};

// The largest run that a session takes.
struct Limits {
  int64_t max_tokens = 0;
  int64_t max_seqs = 0;
  int64_t max_len = 0;
  int64_t n_threads = 1;
};

// One thread's share of work that `count` threads do together on the same rows.
struct Slice {
  int64_t index = 0;
  int64_t count = 1;
};

// The index-th of count nearly equal parts of [0, n).
struct Range {
  int64_t begin = 0;
  int64_t end = 0;
};
inline Range part_of(int64_t n, Slice slice) {
  return {n * slice.index / slice.count, n * (slice.index + 1) / slice.count};
}

class Op {
 public:
  virtual ~Op() = default;
  virtual const char* name() const = 0;

  // Makes what the kernels need beside packed weights; called once, on one thread, before pack.
  virtual void prepare(const kernels::Table&) {}
  // Weights packed for the kernels: how much memory, and this slice of the packing into it. The
  // memory belongs to the model, begins at a multiple of 64 bytes, and outlives the op.
  virtual int64_t packed_floats(const kernels::Table&) const { return 0; }
  virtual void pack(const kernels::Table&, float* /*packed*/, Slice) {}

  std::vector<ValueId> inputs;
  ValueId output = -1;
};

// An op whose row i of output needs row i of its inputs alone. Runs of them become one pass over
// blocks of rows, with what passes between them kept in cache.
class RowOp : public Op {
 public:
  // Computes n_rows rows, the first of which is row row_begin of the batch; the views begin there.
  // Of a slice's count threads, each computes a part; together they compute all.
  virtual void run_rows(const Run& run, int64_t row_begin, int64_t n_rows, Slice slice,
                        std::span<const View> inputs, View output) const = 0;
};

// An op that mixes rows of a sequence: independent tasks, each on one thread. The views begin at
// row 0.
class TaskOp : public Op {
 public:
  virtual int64_t n_tasks(const Run& run) const = 0;
  virtual int64_t scratch_floats(const kernels::Table&, const Limits&) const { return 0; }
  virtual void run_task(const Run& run, int64_t task, std::span<const View> inputs, View output,
                        float* scratch) const = 0;
};

}  // namespace headlane
