// A graph made ready to run: a flat list of passes over memory whose every offset is fixed.
//
// Consecutive row ops become one row pass: blocks of rows go through all of its ops while they are
// in cache, and only values that another pass needs ever leave it. Every other op is a task pass.
// So a BERT layer is two passes: attention; and output projection, add & norm, feed-forward, add &
// norm, next QKV.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/graph/graph.h"

namespace headlane {

// Where a value lies.
struct Place {
  enum class Where {
    kArena,   // whole, in the session's arena: passes exchange it
    kBlock,   // the rows of the block at hand, in the thread's scratch
    kHidden,  // likewise, except where the caller's hidden states take them as they are made
    kPooled,  // the caller's output for pooled vectors
    kNone,    // the op has no output of the plan's
  };
  Where where = Where::kArena;
  int64_t offset = 0;  // floats
  int64_t ld = 0;
  // Of a block: the op that made the rows, which may lie somewhere already (RowOp::lies).
  const RowOp* maker = nullptr;
};

constexpr size_t kMaxInputs = 4;  // of an op

struct Step {
  const Op* op = nullptr;
  std::vector<Place> inputs;
  Place output;
};

struct Pass {
  bool row_wise = false;      // steps are RowOps; otherwise there is one step, a TaskOp
  Rows rows = Rows::kTokens;  // what the rows of its outputs stand for
  bool for_pooled = false;    // needed only if pooled vectors are wanted
  std::vector<Step> steps;
};

struct Plan {
  std::vector<Pass> passes;
  Place hidden;                // the last hidden states, in the arena or in blocks
  std::vector<Place> kept;     // likewise, what stays until the next run
  int64_t block_rows = 0;      // rows of a block in a row pass
  int64_t arena_floats = 0;    // values that passes exchange, for the largest run
  int64_t scratch_floats = 0;  // for each thread: a block's values, or a task's scratch
};

// `l2_bytes`: what a block of rows may take, one core's share of L2.
Plan make_plan(const Graph& graph, const kernels::Table& kernels, const Limits& limits,
               int64_t l2_bytes);

}  // namespace headlane
