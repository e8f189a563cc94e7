// The interface that an op shows to the planner and the session. Each file of this folder
// implements one op.
//
// Ops are made once per model and then only read: all state of a run is in what the run passes in.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/file/precision.h"
#include "engine/ops/attention_task.h"
#include "kernels/kernels.h"

namespace headlane {

using ValueId = int;
using kernels::Element;

// The rows of one value at hand: row i begins at data + i * ld, floats whatever the value's
// elements.
struct View {
  float* data = nullptr;
  int64_t ld = 0;
};

// The rows of a value stand for one of these.
enum class Rows {
  kTokens,
  kKv,  // tokens that keys and values come from, where those are others
  kSeqs,
  kRead,  // tokens whose last hidden states are read: all, or one of each sequence (ReadRows)
};
constexpr int kRowKinds = 4;

// The tokens whose last hidden states are read by whoever has called the model, or by its head.
// Behind the last attention nothing is computed of the others.
struct ReadRows {
  int64_t n = 0;
  int64_t n_pairs = 0;               // of one of them as a query and a key of its sequence
  const int32_t* tokens = nullptr;   // [n], ascending; null: all tokens of the run
  const int64_t* offsets = nullptr;  // [n_seqs + 1] of them
};

// Rows of a caller's tensor: row [seq, token] begins at data + seq * seq_stride + token *
// token_stride.
struct RowSource {
  const float* data = nullptr;
  int64_t seq_stride = 0, token_stride = 0;
};

// Says which row of a caller's tensor each row of a run is.
struct RowMap {
  const int32_t* seq = nullptr;    // [n rows]
  const int32_t* token = nullptr;  // [n rows]
};

// The inputs of a model that takes activations.
enum class Input { kX, kKey, kValue };

// Keys and values that outlive a run: row i begins at data + i * ld floats, K and then V side by
// side, or K alone where V is a part of it. Of s8, a scale of each of K's heads comes next, and
// then of each of V's.
struct KeyRows {
  float* data = nullptr;
  int64_t ld = 0;
  kernels::Format format = kernels::Format::kF32;  // f32, bf16 or s8
  bool has_window = false;  // the layer's rows are those of DecodeStep::windowed

  // Where a row's scales begin, in floats; `width` is that of K and V together.
  static constexpr int64_t scales_offset(int64_t width) { return (width + 3) / 4; }
};

// The rows of a cache that the tokens of a step have.
struct TokenRows {
  // [n_seqs]: target t is the rows histories[t][..], as many as the position of its last token
  // says; the last of them are its new tokens' own. Rows that no token sees need not be there.
  const int32_t* const* histories = nullptr;
  const int32_t* own = nullptr;  // [n_tokens], each token's row
};

// Where a decoder's step leaves what it makes of its last hidden states. Each range of columns of
// the logits is ranked by itself: n_ranges of them a row (TopLogits).
struct LogitsTarget {
  int64_t k = 0;                       // best of each range; 0: not wanted
  kernels::TopK* top = nullptr;        // [n_rows, n_ranges]
  kernels::Candidate* best = nullptr;  // [n_rows, n_ranges, k]
  // [n_rows]: where each row's logits go, vocab_size of them; null: not wanted.
  float* const* all = nullptr;
  // [n_rows]: the logit of this id goes to named_logits; -1: of none. Null: of no row.
  const int32_t* named = nullptr;
  float* named_logits = nullptr;  // [n_rows]
  // [n_rows]: ids whose logits count as -inf in `top` and `best`; null: none.
  const std::span<const int32_t>* masked = nullptr;
  int64_t n_rows = 0;             // that are ranked
  const int64_t* rows = nullptr;  // [n_rows], ascending, of the run's tokens
};

// One step of a decoder: each sequence of the run is a target, and its tokens are those that come
// next.
struct DecodeStep {
  const KeyRows* self = nullptr;   // [n_layers], of all steps so far; the step's own are written
  const KeyRows* cross = nullptr;  // [n_layers], of the sources; null: there are none
  // The layers of `self` that keep all rows have the first, those that keep a window the second.
  TokenRows rows, windowed;
  const int32_t* sources = nullptr;         // [n_seqs]
  const int64_t* source_offsets = nullptr;  // [n_sources + 1] of rows of `cross`
  LogitsTarget logits;
  // Maps of probabilities: query i of "sequence" t is the position i of target t, the first of the
  // run being number first_target. Null: not wanted.
  const LayerMaps *self_maps = nullptr, *cross_maps = nullptr;
  int64_t first_target = 0;

  const TokenRows& rows_of(int64_t layer) const { return self[layer].has_window ? windowed : rows; }
};

// One way of making one row of a sequence's rows.
struct PoolPart {
  kernels::Pooling pooling = kernels::Pooling::kMean;
  bool of_last = false;      // the pooling of the last row alone
  int32_t passed_over = -1;  // of_last: the last row whose token is another one, if there is any
};

// One call of the model, as ops see it.
struct Run {
  const kernels::Table* kernels = nullptr;
  int64_t n_tokens = 0;
  int64_t n_kv = 0;
  int64_t n_seqs = 0;
  int64_t longest = 0;        // sequence, in tokens
  int64_t longest_kv = 0;     // likewise, of kv
  int64_t n_pairs = 0;        // of a query and a key of its sequence, both tokens
  int64_t n_cross_pairs = 0;  // of a token and a row of kv, or of its source
  int64_t n_kv_pairs = 0;     // of two rows of kv
  int64_t n_threads = 1;
  const int64_t* offsets = nullptr;     // [n_seqs + 1] of tokens
  const int64_t* kv_offsets = nullptr;  // [n_seqs + 1]
  // For a model that takes tokens:
  const int32_t* ids = nullptr;        // [n_tokens]
  const int32_t* positions = nullptr;  // [n_tokens], within the sequence; of activations too
  const int32_t* types = nullptr;      // [n_tokens], or null: all 0
  // [n_tokens], of a decoder's step: the tokens that a target is to have at most.
  const int32_t* rooms = nullptr;
  ReadRows read;
  int64_t n_left_out = 0;             // first tokens of each sequence that pooling leaves out
  const PoolPart* pooling = nullptr;  // in place of the model's own; null: that
  // For a model that takes activations:
  RowSource sources[3];  // by Input
  RowMap tokens, kv;
  const int32_t* kv_positions = nullptr;  // [n_kv], where kv has positions
  const ScoreInputs* scores = nullptr;    // null: neither bias nor mask
  const LayerMaps* maps = nullptr;        // null: not wanted
  const DecodeStep* step = nullptr;       // of a decoder

  int64_t count(Rows rows) const {
    if (rows == Rows::kRead) return read.n;
    return rows == Rows::kTokens ? n_tokens : rows == Rows::kKv ? n_kv : n_seqs;
  }
  const int64_t* offsets_of(Rows rows) const {
    if (rows == Rows::kRead) return read.offsets;
    return rows == Rows::kKv ? kv_offsets : offsets;
  }
  int64_t pairs(Rows q_rows, Rows kv_rows) const {
    if (q_rows == Rows::kRead) return read.n_pairs;
    if (kv_rows == Rows::kTokens) return n_pairs;
    return q_rows == Rows::kKv ? n_kv_pairs : n_cross_pairs;
  }
};

// The largest run that a session takes.
struct Limits {
  int64_t max_tokens = 0;
  int64_t max_seqs = 0;
  int64_t max_len = 0;
  int64_t n_threads = 1;
  int64_t max_kv = 0;   // rows of kv
  bool has_kv = false;  // keys and values come from rows of their own
  Precision precision = Precision::kF32;

  int64_t most(Rows rows) const {
    if (rows == Rows::kRead) return max_tokens;
    return rows == Rows::kTokens ? max_tokens : rows == Rows::kKv ? max_kv : max_seqs;
  }
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
  // Is called for the first op of a graph, on the caller's thread, before all ops run. It reads
  // those of its weights that are still in the file. Throws Error.
  virtual void prepare(const Run&) const {}
  // The number of multiplications and additions for `rows` rows of output; 0 if it does not matter.
  virtual double flops(const Run&, int64_t /*rows*/) const { return 0; }
  // How many bytes of packed weights it reads.
  virtual double weight_bytes(const kernels::Table&) const { return 0; }
  // How much faster than in f32 its flops are expected to be.
  virtual double speed() const { return 1; }

  std::vector<ValueId> inputs;
  ValueId output = -1;  // -1: what it makes goes where the run says
};

// An op whose row i of output needs row i of its inputs alone. Runs of them become one pass over
// blocks of rows, with what passes between them kept in cache.
class RowOp : public Op {
 public:
  // Whether threads that share a block divide its rows by part_of(): then what one thread wrote is
  // all that it reads of such an op before, and they need not wait for each other in between.
  virtual bool divides_rows() const { return true; }
  // Rows that it would make and that lie in the caller's memory already, with strides as kernels
  // take them, so that they are read there and the op is not run; null data: there are none.
  virtual View lies(const Run&, int64_t /*row_begin*/, int64_t /*n_rows*/) const { return {}; }
  // Computes n_rows rows, the first of which is row row_begin of the batch; the views begin there.
  // Each of the slice's `count` threads computes a part; together they compute all.
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
