// The ops there are. Weights are pointers to the model's, valid as long as it.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "engine/base/buffer.h"
#include "engine/ops/op.h"
#include "engine/ops/packed_weight.h"

namespace headlane {

// A row for each position, which is added to the input: [max_positions, d_model], of the model's
// file or computed and the op's own; or none.
class PositionTable {
 public:
  PositionTable() = default;
  explicit PositionTable(const float* table) : table_(table) {}
  explicit PositionTable(Buffer own)
      : own_(std::move(own)), table_(static_cast<const float*>(own_.data())) {}
  const float* data() const { return table_; }  // null: none

 private:
  Buffer own_;
  const float* table_ = nullptr;
};

// output[row] = scale * word[id] + type[type_id] + position[position]   -> [n_tokens, d_model]
class Embed : public RowOp {
 public:
  static constexpr int64_t kNone = -1;
  // padding_id: tokens of it have the first of `position`'s rows, and the others are counted from
  // the second on. kNone: all are counted, from the first on.
  Embed(int64_t d_model, WeightRows word, float scale, PositionTable position, const float* type,
        int64_t padding_id = kNone)
      : d_model_(d_model),
        word_(word),
        scale_(scale),
        position_(std::move(position)),
        type_(type),
        padding_id_(padding_id) {}
  const char* name() const override { return "embed"; }
  void prepare(const Run& run) const override;
  void run_rows(const Run&, int64_t, int64_t, Slice, std::span<const View>, View) const override;

 private:
  int64_t d_model_;
  WeightRows word_;  // [vocab_size, d_model]
  float scale_;
  PositionTable position_;
  const float* type_;  // [n_types, d_model], or null
  int64_t padding_id_;

  // Rows `part` of the tokens, at the places that `positions` [part.end - part.begin] has.
  void run_part(const Run& run, Range part, const int32_t* positions, View output) const;
};

// Copies rows of the caller's input  -> [n_tokens or n_kv, d]
class Load : public RowOp {
 public:
  Load(int64_t d, Input input, Rows rows) : d_(d), input_(input), rows_(rows) {}
  const char* name() const override { return "load"; }
  View lies(const Run& run, int64_t row_begin, int64_t n_rows) const override;
  void run_rows(const Run&, int64_t, int64_t, Slice, std::span<const View>, View) const override;

 private:
  int64_t d_;
  Input input_;
  Rows rows_;
};

// output = input 0 + input 1
class Add : public RowOp {
 public:
  explicit Add(int64_t d) : d_(d) {}
  const char* name() const override { return "add"; }
  void run_rows(const Run&, int64_t, int64_t, Slice, std::span<const View>, View) const override;

 private:
  int64_t d_;
};

// output[row] = input[row] + table[position]
class AddPositions : public RowOp {
 public:
  AddPositions(int64_t d, Rows rows, PositionTable table)
      : d_(d), rows_(rows), table_(std::move(table)) {}
  const char* name() const override { return "add_positions"; }
  void run_rows(const Run&, int64_t, int64_t, Slice, std::span<const View>, View) const override;

 private:
  int64_t d_;
  Rows rows_;
  PositionTable table_;
};

// output = input in other elements
class Convert : public RowOp {
 public:
  Convert(int64_t d, Element from, Element to) : d_(d), from_(from), to_(to) {}
  const char* name() const override { return to_ == Element::kU8 ? "to_u8" : "to_bf16"; }
  void run_rows(const Run&, int64_t, int64_t, Slice, std::span<const View>, View) const override;

 private:
  int64_t d_;
  Element from_, to_;
};

// output = activation(input * weight^T + bias). The input's elements are those of the weight's
// precision. A weight may come in parts, whose columns stand side by side: all but the last have
// multiples of kPartColumns of them, and all have precisions that take the same elements.
class Linear : public RowOp {
 public:
  Linear(std::vector<const PackedWeight*> parts, Element output)
      : parts_(std::move(parts)), element_(output) {}
  bool divides_rows() const override { return false; }
  const char* name() const override { return "linear"; }
  double flops(const Run&, int64_t rows) const override {
    double columns = 0;
    for (const PackedWeight* part : parts_) columns += static_cast<double>(part->n);
    return 2.0 * columns * static_cast<double>(parts_.front()->k * rows);
  }
  double weight_bytes(const kernels::Table& kernels) const override {
    double bytes = 0;
    for (const PackedWeight* part : parts_) {
      bytes += static_cast<double>(packed_bytes(kernels, *part));
    }
    return bytes;
  }
  double speed() const override { return kind_of(parts_.front()->precision).speed; }
  void run_rows(const Run&, int64_t, int64_t, Slice, std::span<const View>, View) const override;

 private:
  std::vector<const PackedWeight*> parts_;
  Element element_;
};

// output = norm(input 0 [+ input 1]) * gamma + beta: "add & norm" with a second input. `rms`: by
// the root of the mean square, without beta.
class Norm : public RowOp {
 public:
  Norm(int64_t d, const float* gamma, const float* beta, float eps, bool rms)
      : d_(d), gamma_(gamma), beta_(beta), eps_(eps), rms_(rms) {}
  const char* name() const override { return rms_ ? "rms_norm" : "layer_norm"; }
  void run_rows(const Run&, int64_t, int64_t, Slice, std::span<const View>, View) const override;

 private:
  int64_t d_;
  const float* gamma_;  // [d]
  const float* beta_;   // [d], or null: zeros
  float eps_;
  bool rms_;
};

// output = input, Q K V side by side; Q and K are cut into parts, such as heads, and each is normed
// by the root of its mean square  -> [.., those of the input]
class NormHeads : public RowOp {
 public:
  struct Part {
    int64_t n = 1;       // parts
    const float* gamma;  // [columns of a part]
  };
  NormHeads(Part q, Part k, const AttentionSpec& spec, float eps)
      : q_(q),
        k_(k),
        q_width_(spec.q_width()),
        k_width_(spec.k_width()),
        v_width_(spec.v_width()),
        eps_(eps) {}
  const char* name() const override { return "norm_heads"; }
  void run_rows(const Run&, int64_t, int64_t, Slice, std::span<const View>, View) const override;

 private:
  Part q_, k_;
  int64_t q_width_, k_width_, v_width_;
  float eps_;
};

// output = activation(left half of the input) * right half  -> [.., d]
class Gate : public RowOp {
 public:
  Gate(int64_t d, kernels::Activation activation) : d_(d), activation_(activation) {}
  const char* name() const override { return "gate"; }
  void run_rows(const Run&, int64_t, int64_t, Slice, std::span<const View>, View) const override;

 private:
  int64_t d_;
  kernels::Activation activation_;
};

// Each sequence's queries attend to its keys; heads side by side  -> [n_tokens or n_kv, n_heads
// * v_dim]
class Attention : public TaskOp {
 public:
  // Where the columns of Q, K or V begin: in one of the op's inputs.
  struct Columns {
    size_t input = 0;
    int64_t first = 0;
  };
  // The rows of Q, and those of K and V, stand for these.
  struct Sides {
    Rows q = Rows::kTokens, kv = Rows::kTokens;
  };
  // `rotary`: the table of spec.rotary, which layers share; null: the op makes its own, if any.
  // `layer`: which one it is to a call, for the maps that it wants and the masks, biases and
  // prefixes that it brings; kUnseen: neither is of this one. `element`: of inputs and output, f32
  // or bf16.
  static constexpr int64_t kUnseen = -1;
  Attention(const AttentionSpec& spec, const AttentionWeights& weights, Columns q, Columns k,
            Columns v, int64_t layer, Sides sides, Element element,
            std::shared_ptr<const Buffer> rotary = nullptr);
  const char* name() const override { return "attention"; }
  double flops(const Run& run, int64_t) const override {
    return attention_flops(spec_, run.pairs(sides_.q, sides_.kv));
  }
  double speed() const override { return element_ == Element::kBf16 ? 2 : 1; }
  int64_t n_tasks(const Run&) const override;
  int64_t scratch_floats(const kernels::Table&, const Limits&) const override;
  void run_task(const Run&, int64_t, std::span<const View>, View, float*) const override;

 private:
  AttentionSplit split(const Run&) const;
  template <typename T>
  void run_on(const Run&, int64_t, std::span<const View>, View, float*) const;

  AttentionSpec spec_;
  std::shared_ptr<const Buffer> rotary_;  // [max_positions, dims]
  Buffer table_memory_;
  AttentionTables tables_;
  Columns q_, k_, v_;
  int64_t layer_;
  Sides sides_;
  Element element_;
};

// How each token turns, where that depends on the room of its sequence: a row of a table of rotary
// positions  -> [n_tokens, dims]
class TurnTokens : public RowOp {
 public:
  explicit TurnTokens(RotarySpec spec) : spec_(std::move(spec)) {}
  const char* name() const override { return "turn_tokens"; }
  void run_rows(const Run&, int64_t, int64_t, Slice, std::span<const View>, View) const override;

 private:
  RotarySpec spec_;
};

// Leaves each token's key and value in the cache of a decoder's layer, turned by its position where
// the spec has rotary positions, as its query is, which is handed on. The input is Q K V side by
// side, with what TurnTokens makes behind it where the spec is by_room
//   -> [n_tokens, n_heads * head_dim]
class KeepKeys : public RowOp {
 public:
  // `rotary`: the table of spec.rotary, or null where it has none. `input`: the input's elements,
  // f32 where something turns, since that is rounded afterwards. `element`: of the output; the
  // input's, or the input is f32. The cache has a format of its own.
  KeepKeys(const AttentionSpec& spec, std::shared_ptr<const Buffer> rotary, int64_t layer,
           Element input, Element element)
      : spec_(spec), rotary_(std::move(rotary)), layer_(layer), input_(input), element_(element) {}
  const char* name() const override { return "keep_keys"; }
  void run_rows(const Run&, int64_t, int64_t, Slice, std::span<const View>, View) const override;

 private:
  void keep(const Run& run, int64_t token, const float* qkv, const float* turn, float* q) const;
  const float* turn_of(const Run& run, int64_t token, int64_t row,
                       std::span<const View> inputs) const;

  AttentionSpec spec_;
  std::shared_ptr<const Buffer> rotary_;  // [max_positions, dims]
  int64_t layer_;
  Element input_, element_;
};

// Attention of a step's tokens to their targets so far (kSelf) or to their sources (kCross); the
// input is Q  -> [n_tokens, n_heads * v_dim]
class DecodeAttention : public TaskOp {
 public:
  enum class Over { kSelf, kCross };
  // `first_of_v`: the column of a cache's row that its values begin at.
  DecodeAttention(const AttentionSpec& spec, const AttentionWeights& weights, Over over,
                  int64_t layer, Element element, int64_t first_of_v);
  const char* name() const override {
    return over_ == Over::kSelf ? "decode_attention" : "cross_attention";
  }
  double flops(const Run& run, int64_t) const override;
  int64_t n_tasks(const Run& run) const override {
    const Parts n = parts(run);
    return run.n_seqs * n.heads * n.queries;
  }
  int64_t scratch_floats(const kernels::Table&, const Limits&) const override;
  void run_task(const Run&, int64_t, std::span<const View>, View, float*) const override;

 private:
  // Into how many parts a target's heads and its queries are cut, so that few targets feed all
  // threads. Heads that share keys stay together, unless all of them do.
  struct Parts {
    int64_t heads = 1, queries = 1;
  };
  Parts parts(const Run& run) const;
  // How many heads share keys and stay together.
  int64_t sharing() const { return spec_.n_kv_heads == 1 ? 1 : spec_.n_heads / spec_.n_kv_heads; }
  template <typename T>
  void run_on(const Run&, const KeyRows& rows, int64_t target, Range heads, Range tokens,
              View input, View output, float* scratch) const;

  AttentionSpec spec_;
  Buffer table_memory_;
  AttentionTables tables_;
  Over over_;
  int64_t layer_;
  Element element_;
  int64_t first_of_v_;
};

// Ranks the next token: logits = input * weight^T + bias, or cap * tanh(logits / cap), whose
// columns are taken range by range while they are in cache. What is kept of them goes where the
// run's step says.
class TopLogits : public TaskOp {
 public:
  // cap 0: logits are not capped.
  explicit TopLogits(const PackedWeight* weight, float cap = 0) : weight_(*weight), cap_(cap) {}
  const char* name() const override { return "top_logits"; }
  double flops(const Run& run, int64_t) const override {
    if (n_tasks(run) == 0) return 0;
    const int64_t n_rows = run.step->logits.n_rows;
    return 2.0 * static_cast<double>(weight_.n) * static_cast<double>(weight_.k * n_rows);
  }
  double weight_bytes(const kernels::Table& kernels) const override {
    return static_cast<double>(packed_bytes(kernels, weight_));
  }
  double speed() const override { return kind_of(weight_.precision).speed; }
  // How many ranges a row of n columns has.
  static int64_t n_ranges(const kernels::Table& kernels, Precision precision, int64_t n);
  int64_t n_tasks(const Run& run) const override {
    const LogitsTarget& wanted = run.step->logits;
    if (wanted.n_rows == 0 || (wanted.k == 0 && wanted.all == nullptr)) return 0;
    return n_ranges(*run.kernels, weight_.precision, weight_.n);
  }
  int64_t scratch_floats(const kernels::Table&, const Limits&) const override;
  void run_task(const Run&, int64_t, std::span<const View>, View, float*) const override;

 private:
  void cap(const kernels::Table& kernels, int64_t rows, int64_t n, View c) const;

  const PackedWeight& weight_;
  float cap_;
};

// output[i] = input[token], of the tokens whose last hidden states are read  -> [n read, d]
class Take : public RowOp {
 public:
  explicit Take(int64_t d) : d_(d) {}
  const char* name() const override { return "take"; }
  void run_rows(const Run&, int64_t, int64_t, Slice, std::span<const View>, View) const override;

 private:
  int64_t d_;
};

// The place of the row that is the pooled one, where the pooling takes one of a sequence's rows as
// it is; -1: there is none, and the vector is zero. `ids` [len] are the sequence's tokens, null for
// activations.
int64_t place_of_row(const PoolPart& part, const int32_t* ids, int64_t len, int64_t n_left_out);

// One vector a sequence: those of all poolings side by side, or that of the run's, divided by its
// Euclidean length if `normalize`  -> [n_seqs, d for each], not padded
class Pool : public TaskOp {
 public:
  // `rows`: of the input, kTokens or kRead.
  Pool(int64_t d, std::vector<PoolPart> parts, bool normalize, Rows rows)
      : d_(d), parts_(std::move(parts)), normalize_(normalize), rows_(rows) {}
  const char* name() const override { return "pool"; }
  int64_t n_tasks(const Run& run) const override { return run.n_seqs; }
  void run_task(const Run&, int64_t, std::span<const View>, View, float*) const override;

 private:
  int64_t d_;
  std::vector<PoolPart> parts_;
  bool normalize_;
  Rows rows_;
};

// output = input, divided by its Euclidean length if `normalize`  -> [n_seqs, d], not padded
class Vectors : public RowOp {
 public:
  Vectors(int64_t d, bool normalize) : d_(d), normalize_(normalize) {}
  const char* name() const override { return normalize_ ? "normalize" : "vectors"; }
  void run_rows(const Run&, int64_t, int64_t, Slice, std::span<const View>, View) const override;

 private:
  int64_t d_;
  bool normalize_;
};

}  // namespace headlane
