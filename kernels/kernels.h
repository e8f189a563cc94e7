// The contract between engine and kernels: a table of functions for one instruction set. Each
// computes on one thread over plain pointers, sizes and strides, allocates nothing, and knows
// nothing of engine/.
//
// Tables are made by kernels/isa/<isa>.cc and chosen by kernels/dispatch.cc. Sizes and strides
// count elements. A stride (lda, ldx, ...) is the distance from one row to the next. Preconditions
// are asserts. Every result depends on the row it belongs to and on the sizes, never on how many
// other rows were computed in the same call: that is what makes results independent of batch and
// threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace headlane::kernels {

// What a product does to each element after the bias.
enum class Activation { kNone, kGelu, kGeluTanh, kRelu };

// Rows that kernels write in whole vectors have strides that are multiples of this: 64 bytes of
// floats.
inline constexpr int64_t kRowAlign = 16;

// The stride of a buffer of `cols` columns: whole cache lines, and off the multiples of 4096 bytes
// at which the rows of a register tile would all fall into the same L1 set.
constexpr int64_t padded_stride(int64_t cols) {
  const int64_t ld = (cols + kRowAlign - 1) / kRowAlign * kRowAlign;
  return ld % 1024 == 0 ? ld + kRowAlign : ld;
}

struct GemmF32Args {
  int64_t m = 0, k = 0;
  int64_t n = 0;
  int64_t panel_begin = 0, panel_end = 0;  // columns panel_begin * nr .. min(panel_end * nr, n)
  const float* a = nullptr;                // [m, k]
  int64_t lda = 0;
  const float* packed = nullptr;  // by pack() of the same table, 64-byte aligned
  const void* state = nullptr;    // by create(), where the table has it
  Activation activation = Activation::kNone;
  // [m, n], 64-byte aligned. Whole vectors are written: ldc is a multiple of kRowAlign, at least n.
  float* c = nullptr;
  int64_t ldc = 0;
};

// C[m, n] = activation(A[m, k] * W[n, k]^T + bias[n]). W is packed once, in the order in which run
// reads it: panels of nr columns, each its bias and then its k rows, zeros beyond n.
struct GemmF32 {
  const char* name = nullptr;
  int64_t mr = 0, nr = 0;  // register tile
  int64_t (*packed_floats)(int64_t n, int64_t k) = nullptr;
  // Packs panels panel_begin .. panel_end of w [n, k], bias [n] or null, into `packed` (its start).
  void (*pack)(const float* w, const float* bias, int64_t n, int64_t k, int64_t panel_begin,
               int64_t panel_end, float* packed) = nullptr;
  void (*run)(const GemmF32Args& args) = nullptr;
  // What products of one shape need beside packed weights, made before the first run; both null
  // where they need nothing, as Headlane's own do. create may throw.
  void* (*create)(int64_t n, int64_t k, Activation activation) = nullptr;
  void (*destroy)(void* state) = nullptr;
  int64_t n_panels(int64_t n) const { return (n + nr - 1) / nr; }
};

struct LayerNormF32Args {
  int64_t rows = 0, d = 0;
  const float* x = nullptr;  // [rows, d]
  int64_t ldx = 0;
  const float* residual = nullptr;  // [rows, d], added to x first; or null
  int64_t ld_residual = 0;
  const float* gamma = nullptr;  // [d]
  const float* beta = nullptr;   // [d], or null: zeros
  float eps = 0;
  float* y = nullptr;  // [rows, d]; may be x or residual itself
  int64_t ldy = 0;
};

struct AddF32Args {
  int64_t rows = 0, d = 0;
  const float* a = nullptr;  // [rows, d]
  int64_t lda = 0;
  const float* b = nullptr;  // [rows, d]
  int64_t ldb = 0;
  float* y = nullptr;  // [rows, d]; may be a or b itself
  int64_t ldy = 0;
};

struct EmbedF32Args {
  int64_t rows = 0, d = 0;
  const int32_t* ids = nullptr;        // [rows]
  const int32_t* positions = nullptr;  // [rows]
  const int32_t* types = nullptr;      // [rows]; null: all 0
  const float* word = nullptr;         // [vocab_size, d]
  const float* position = nullptr;     // [max_positions, d]
  const float* type = nullptr;         // [n_types, d]; null: there are none
  float* y = nullptr;                  // [rows, d]
  int64_t ldy = 0;
};

// O = P V, P = softmax(cap(scale * Q K^T) + bias + relative_bias - alibi), for one head of one
// sequence, over the keys that each query sees.
//
// Query i stands at key position i + q_offset. It sees key j if all of these hold:
//   - j >= i + q_offset - window_left
//   - j <= i + q_offset + window_right, or j < prefix_len    (window_right = 0 is the causal mask)
//   - mask[i, j] is not 0, where there is a mask
//   - bias[i, j] is neither -inf nor the most negative finite number, where there is a bias
// A query that sees no key gets zeros. What is in K and V of a key that no query sees never
// matters. The caller's Q and K are not written.
struct AttentionF32Args {
  int64_t q_len = 0, kv_len = 0;
  int64_t head_dim = 0, v_dim = 0;  // columns of Q and K; of V and O
  float scale = 1;                  // > 0
  float softcap = 0;                // scores become softcap * tanh(score / softcap); 0: they do not
  int64_t q_offset = 0;
  int64_t window_left = kUnlimited, window_right = kUnlimited;
  int64_t prefix_len = 0;
  const float* q = nullptr;  // [q_len, head_dim]
  int64_t ldq = 0;
  const float* k = nullptr;  // [kv_len, head_dim]
  int64_t ldk = 0;
  const float* v = nullptr;  // [kv_len, v_dim]
  int64_t ldv = 0;
  // Element [i, j] is bias[i * ld_bias + j]: 0 is one row for all queries, -1 a function of j - i
  // alone.
  const float* bias = nullptr;  // [q_len, kv_len], or null
  int64_t ld_bias = 0;
  float alibi_slope =
      0;  // scores lose alibi_slope * |i + q_offset - j| (Press et al. 2021, "ALiBi")
  // Added to the score of query i and key j: relative_bias[j - (i + q_offset)]. It points to the
  // element of distance 0; all distances of the call's queries and keys are there, finite.
  const float* relative_bias = nullptr;
  // The first rotary_dims columns of Q and K turn by their position (Su et al. 2021, "RoFormer"):
  // query i by row i + q_position of the table, key j by row j + k_position. A row is
  // rotary_dims / 2 cosines, then as many sines (a scale of both may be in them).
  const float* rotary = nullptr;    // [positions, rotary_dims], or null
  int64_t rotary_dims = 0;          // even, <= head_dim
  bool rotary_interleaved = false;  // pairs are (2 c, 2 c + 1), not (c, c + rotary_dims / 2)
  int64_t q_position = 0, k_position = 0;
  // Scores are sum over c of additive[c] * tanh(Q[i, c] + K[j, c]) in place of scale * Q K^T
  // (Bahdanau et al. 2014); scale is 1 then, and rotary null.
  const float* additive = nullptr;  // [head_dim], or null
  const uint8_t* mask = nullptr;    // [q_len, kv_len], 0: not seen; or null
  int64_t ld_mask = 0;
  const float* sink =
      nullptr;  // a score that takes its share of the softmax and has no value; or null
  // What the next call will read, laid out as q, k and v are, to be fetched meanwhile; or null.
  const float *next_q = nullptr, *next_k = nullptr, *next_v = nullptr;
  float* o = nullptr;  // [q_len, v_dim]; written exactly, no padding
  int64_t ldo = 0;
  float* scratch = nullptr;  // attention_scratch_floats(head_dim, v_dim), 64-byte aligned

  static constexpr int64_t kUnlimited = int64_t{1} << 40;
};

enum class Pooling { kMean, kCls, kMax };

// One vector from the rows of one sequence, divided by its Euclidean length if `normalize`.
struct PoolF32Args {
  Pooling pooling = Pooling::kMean;
  bool normalize = false;
  int64_t rows = 0, d = 0;   // rows >= 1
  const float* x = nullptr;  // [rows, d]
  int64_t ldx = 0;
  float* y = nullptr;  // [d]; written exactly
};

struct Table {
  const char* isa = nullptr;  // "ref", "avx2", "avx512"
  GemmF32 gemm_f32;
  void (*layer_norm_f32)(const LayerNormF32Args& args) = nullptr;
  void (*add_f32)(const AddF32Args& args) = nullptr;
  void (*embed_f32)(const EmbedF32Args& args) = nullptr;
  void (*attention_f32)(const AttentionF32Args& args) = nullptr;
  // p [q_len, kv_len] = P, what attention_f32 weights the values with: 0 for keys not seen; a row
  // sums to less than 1 where there is a sink. Written exactly. v and o may be null.
  void (*attention_probabilities_f32)(const AttentionF32Args& args, float* p,
                                      int64_t ldp) = nullptr;
  int64_t (*attention_scratch_floats)(int64_t head_dim, int64_t v_dim) = nullptr;
  int64_t attention_group_rows = 1;  // queries that share a packing of K and V: split at multiples
  void (*pool_f32)(const PoolF32Args& args) = nullptr;
  // y[i] = activation(x[i]), i < n: what a product applies to each element.
  void (*activate_f32)(Activation activation, int64_t n, const float* x, float* y) = nullptr;
};

// The tables that this machine can run and HEADLANE_MAX_ISA allows, slowest ("ref") first.
std::span<const Table* const> supported();

// The names of all instruction sets there are tables for, slowest first: "ref, avx2, avx512".
std::string isa_names();

// The fastest supported table at or below the instruction set `max_isa`, in the order of
// isa_names(); "" means no cap of the caller's. Null if `max_isa` or HEADLANE_MAX_ISA is no known
// name.
const Table* select(std::string_view max_isa);

// Puts oneDNN's products into the table's slots; false, and no change, where the library was built
// without oneDNN. They are single-threaded only where OpenMP gives them one thread, from create to
// run.
bool with_onednn(Table* table);

}  // namespace headlane::kernels
