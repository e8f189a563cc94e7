// The contract between engine and kernels: a table of functions for one instruction set. Each
// computes on one thread over plain pointers, sizes and strides, allocates nothing, and knows
// nothing of engine/.
//
// Tables are filled by kernels/isa/<isa>.cc and chosen by kernels/dispatch.cc. Sizes and strides
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

#include "kernels/element.h"
#include "kernels/format.h"
#include "kernels/product.h"

namespace headlane::kernels {

// y = x in other elements. From f32 or bf16, to bf16, u8 or groups of s8, never to f32. A row of u8
// takes its scale and zero from its own smallest and largest: the range from the smaller of 0 and
// the smallest to the larger of 0 and the largest is cut into 255 steps, and 0 is one of them. A
// group of s8 takes its scale from its largest magnitude, which becomes 127; its sum is the scale
// times the sum of its codes, rounded once. What is not finite makes the scale of its row of u8, or
// of its group, NaN, and the group's sum too.
struct ConvertArgs {
  int64_t rows = 0, cols = 0;
  Element from = Element::kF32, to = Element::kBf16;
  const void* x = nullptr;  // [rows, cols]
  int64_t ldx = 0;          // floats
  void* y = nullptr;        // [rows, cols] and what its Element says
  int64_t ldy = 0;          // floats
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

// y = activation(x) * up: a gated feed-forward's hidden row.
struct GateF32Args {
  int64_t rows = 0, d = 0;
  Activation activation = Activation::kNone;
  const float* x = nullptr;  // [rows, d]
  int64_t ldx = 0;
  const float* up = nullptr;  // [rows, d] of the same stride; null: x + d
  float* y = nullptr;         // [rows, d]; may be x itself, ldy at most ldx then
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

// y = (scale * word + type) + position, of which type and position may be absent.
struct EmbedF32Args {
  int64_t rows = 0, d = 0;
  const int32_t* ids = nullptr;        // [rows]
  const int32_t* positions = nullptr;  // [rows], not read where position is null
  const int32_t* types = nullptr;      // [rows]; null: all 0
  const void* word = nullptr;          // [vocab_size, d]
  Format word_format = Format::kF32;   // not u8
  const float* word_scale = nullptr;   // [vocab_size], of s8: a row's elements are multiplied by it
  float scale = 1;                     // each element of a word is multiplied by it, then added to
  const float* position = nullptr;     // [max_positions, d]; null: there are none
  const float* type = nullptr;         // [n_types, d]; null: there are none
  float* y = nullptr;                  // [rows, d]
  int64_t ldy = 0;
};

// O = P V, P = softmax(cap(scale * Q K^T) + bias + relative_bias - alibi), for one head of one
// sequence, over the keys that each query sees.
//
// Query i stands at key position i + q_offset. It sees key j if all of these hold:
//   - j >= i + q_offset - window_left
//   - j <= i + q_offset + window_right
//   - j <= i + q_offset, or j < prefix_len, where the attention is causal
//   - mask[i, j] is not 0, where there is a mask
//   - bias[i, j] is neither -inf nor the most negative finite number, where there is a bias
// A query that sees no key gets zeros. What is in K and V of a key that a query does not see never
// matters to it. The value of a key that it sees always does: NaN and infinity show as NaN where
// the weight is 0, since 0 * NaN is NaN. The softmax takes differences of scores before it
// multiplies them, so scores may be as large as a float is. The caller's Q and K are not written.
template <typename T>
struct AttentionArgs {
  int64_t q_len = 0, kv_len = 0;
  int64_t head_dim = 0, v_dim = 0;  // columns of Q and K; of V and O
  float scale = 1;                  // > 0
  float softcap = 0;                // scores become softcap * tanh(score / softcap); 0: they do not
  int64_t q_offset = 0;
  int64_t window_left = kUnlimited, window_right = kUnlimited;
  bool causal = false;
  int64_t prefix_len = 0;  // keys that the causal mask leaves to all queries
  const T* q = nullptr;    // [q_len, head_dim]
  int64_t ldq = 0;
  const T* k = nullptr;  // [kv_len, head_dim]
  int64_t ldk = 0;
  const T* v = nullptr;  // [kv_len, v_dim]
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
  // The rows that the next call will read, laid out as q, k and v are, to be fetched meanwhile; or
  // null.
  const T *next_q = nullptr, *next_k = nullptr, *next_v = nullptr;
  T* o = nullptr;  // [q_len, v_dim]; written exactly, no padding
  int64_t ldo = 0;
  float* scratch = nullptr;  // attention_scratch_floats(head_dim, v_dim), 64-byte aligned

  static constexpr int64_t kUnlimited = int64_t{1} << 40;
};

using AttentionF32Args = AttentionArgs<float>;
// P is rounded to bf16 too; scores, the softmax and sums of products are f32. Not additive.
using AttentionBf16Args = AttentionArgs<Bf16>;

// Some queries of one sequence, next to each other, meet keys that lie as rows of a cache: o =
// softmax(cap(scale * q K^T) + relative_bias + key_bias - alibi) V. One query is a step of
// decoding; many are a prompt, or a part of one. K and V are rows of T: floats, bf16, or codes of 8
// bits with a scale for each row and head. The arithmetic is that of floats, whatever q, o and T
// are: a key's scale multiplies its product with q, and a value's the weight. An o of bf16 is
// rounded.
//
// A query's bits depend on the query, on its position, and on the keys that it sees and their
// values, in order: not on how many queries a call has, nor on which rows the keys lie in. What a
// query does not see never matters to it; a NaN in a value that it sees shows, even where its
// weight is 0, and so does a scale that is NaN.
template <typename T>
struct DecodeAttentionArgs {
  int64_t n_heads = 0;     // of q, the biases, sinks and o; a multiple of kv_sharing
  int64_t kv_sharing = 1;  // heads that share one of K and V, next to each other
  // That of the layer, where a call is for some of the heads that share keys; 0: kv_sharing. How
  // kernels compute may depend on it.
  int64_t layer_sharing = 0;
  int64_t head_dim = 0, v_dim = 0;
  float scale = 1;    // > 0
  float softcap = 0;  // as of AttentionArgs
  int64_t q_len = 1;  // >= 1
  // Of q and o: f32 or bf16.
  Element element = sizeof(T) == sizeof(Bf16) ? Element::kBf16 : Element::kF32;
  const void* q = nullptr;  // [q_len, n_heads, head_dim], a query ldq elements behind the last
  int64_t ldq = 0;
  int64_t kv_len = 0;  // >= 0
  // Query i stands at key q_offset + i. Where the attention is causal, it sees that one and the
  // window_left before it, all of them among kv_len; otherwise it sees all keys.
  int64_t q_offset = 0;
  bool causal = false;
  int64_t window_left = AttentionArgs<T>::kUnlimited;
  // Key j is row rows[j], or row j where rows is null. For head h it lies at k + row * ldk + g *
  // head_dim, its value at v + row * ldv + g * v_dim, g = h / kv_sharing.
  const int32_t* rows = nullptr;  // [kv_len]
  const T* k = nullptr;
  int64_t ldk = 0;
  const T* v = nullptr;
  int64_t ldv = 0;
  // Of codes alone: theirs in row `row` are multiplied by k_scales[row * ld_scales + g], and by
  // v_scales likewise.
  const float *k_scales = nullptr, *v_scales = nullptr;
  int64_t ld_scales = 0;
  // As of AttentionArgs, for head h: relative_bias + h * ld_relative_bias, and alibi_slopes[h].
  const float* relative_bias = nullptr;  // or null
  int64_t ld_relative_bias = 0;
  // Added to the score of key j for head h, whatever the query is: key_bias[h * ld_key_bias + j].
  const float* key_bias = nullptr;  // or null
  int64_t ld_key_bias = 0;
  const float* alibi_slopes = nullptr;  // [n_heads], or null
  const float* sinks = nullptr;         // [n_heads], as of AttentionArgs; or null
  // p[h * p_head_stride + i * ldp + j] = what head h of query i weights the value of key j with, 0
  // for keys not seen. Written exactly.
  float* p = nullptr;  // or null
  int64_t p_head_stride = 0, ldp = 0;
  void* o = nullptr;  // [q_len, n_heads, v_dim], as q with ldo; written exactly
  int64_t ldo = 0;
  float* scratch = nullptr;  // decode_scratch_floats(head_dim, v_dim), 64-byte aligned
};

// y = x, of which the first rotary_dims columns of each head are turned, as of AttentionArgs, by
// one position; rounded once to y's format. Of s8, each head is rounded as quantize_weights rounds
// a row, and has a scale.
struct RotateArgs {
  int64_t n_heads = 0, head_dim = 0;
  const float* rotary = nullptr;    // [rotary_dims], the position's row of the table
  int64_t rotary_dims = 0;          // 0: only rounded
  bool interleaved = false;         // as rotary_interleaved
  Element element = Element::kF32;  // of x: f32 or bf16
  const void* x = nullptr;          // [n_heads, head_dim]
  Format format = Format::kF32;     // of y: f32, bf16 or s8
  void* y = nullptr;                // [n_heads, head_dim], written exactly
  float* scales = nullptr;          // [n_heads], of s8
};

// The summary of a row of logits, whose columns come some at a time, in ascending order: the k
// best, by value descending and then by column, and what the softmax of all needs: the probability
// of a candidate is exp(logit - largest) / sum. Columns of -inf or NaN are never candidates. NaN or
// +inf make the sum NaN.
struct Candidate {
  float logit = 0;
  int32_t id = 0;
};
struct TopK {
  float largest = 0;  // of the columns that are not NaN; -inf at the beginning
  float sum = 0;      // of exp(logit - largest)
};

struct TopKF32Args {
  int64_t rows = 0, n = 0;   // columns at hand
  int64_t first_id = 0;      // of column 0
  const float* x = nullptr;  // [rows, n]
  int64_t ldx = 0;
  int64_t k = 1;  // >= 1
  // Read and written; only written where `begin` says that nothing has been seen yet.
  TopK* top = nullptr;  // row r at top[r * ld_top]
  int64_t ld_top = 0;
  // [rows, k], row r at best + r * ld_best; where there are fewer candidates yet: -inf, id -1.
  Candidate* best = nullptr;
  int64_t ld_best = 0;
  bool begin = false;
};

enum class Pooling {
  kMean,
  kCls,  // the first row
  kMax,
  kMeanSqrtLen,   // the sum, divided by the square root of how many rows there are
  kWeightedMean,  // row i weighs place + i + 1
};

// One vector from the rows of one sequence, divided by its Euclidean length if `normalize`.
struct PoolF32Args {
  Pooling pooling = Pooling::kMean;
  bool normalize = false;
  int64_t rows = 0, d = 0;   // rows >= 1
  int64_t place = 0;         // of the first row in its sequence
  const float* x = nullptr;  // [rows, d]
  int64_t ldx = 0;
  float* y = nullptr;  // [d]; written exactly
};

struct Table {
  const char* isa = nullptr;      // whose kernels these are: one of isa_names()
  const char* gemm = "headlane";  // whose products these are
  Product products[kPrecisions];
  void (*convert)(const ConvertArgs& args) = nullptr;
  // A row of weights [k] as scale * q, -127 <= q <= 127: scale is the largest magnitude / 127, or
  // NaN if not all are finite.
  void (*quantize_weights)(const float* w, int64_t k, int8_t* q, float* scale) = nullptr;
  void (*layer_norm_f32)(const LayerNormF32Args& args) = nullptr;
  // y = x / sqrt(mean(x^2) + eps) * gamma, x being x + residual where there is one; beta is null.
  void (*rms_norm_f32)(const LayerNormF32Args& args) = nullptr;
  void (*gate_f32)(const GateF32Args& args) = nullptr;
  void (*add_f32)(const AddF32Args& args) = nullptr;
  void (*embed_f32)(const EmbedF32Args& args) = nullptr;
  void (*attention_f32)(const AttentionF32Args& args) = nullptr;
  // p [q_len, kv_len] = P, what attention_f32 weights the values with: 0 for keys not seen; a row
  // sums to less than 1 where there is a sink. Written exactly. v and o may be null.
  void (*attention_probabilities_f32)(const AttentionF32Args& args, float* p,
                                      int64_t ldp) = nullptr;
  int64_t (*attention_scratch_floats)(int64_t head_dim, int64_t v_dim) = nullptr;
  int64_t attention_group_rows = 1;  // queries that share a packing of K and V: split at multiples
  // The same three for Q, K, V and O of bf16; null where the machine has no products of bf16.
  void (*attention_bf16)(const AttentionBf16Args& args) = nullptr;
  void (*attention_probabilities_bf16)(const AttentionBf16Args& args, float* p,
                                       int64_t ldp) = nullptr;
  int64_t (*attention_bf16_scratch_floats)(int64_t head_dim, int64_t v_dim) = nullptr;
  int64_t attention_bf16_group_rows = 1;
  void (*decode_attention_f32)(const DecodeAttentionArgs<float>& args) = nullptr;
  void (*decode_attention_bf16)(const DecodeAttentionArgs<Bf16>& args) = nullptr;  // in every table
  void (*decode_attention_s8)(const DecodeAttentionArgs<int8_t>& args) = nullptr;
  int64_t (*decode_scratch_floats)(int64_t head_dim, int64_t v_dim) = nullptr;
  void (*rotate)(const RotateArgs& args) = nullptr;
  void (*top_k_f32)(const TopKF32Args& args) = nullptr;
  void (*pool_f32)(const PoolF32Args& args) = nullptr;
  // y[i] = activation(x[i]), i < n: what a product applies to each element.
  void (*activate_f32)(Activation activation, int64_t n, const float* x, float* y) = nullptr;

  constexpr Product& product(Precision precision) { return products[static_cast<int>(precision)]; }
  constexpr const Product& product(Precision precision) const {
    return products[static_cast<int>(precision)];
  }
};

enum class AmxState {
  kAbsent,   // the CPU has no tiles
  kRefused,  // it has, but the system, or what runs it, does not let this process use them
  kUsable,
};
// Asked once, when the tables are first asked for.
AmxState amx_state();

// The tables that this machine can run and HEADLANE_MAX_ISA allows, slowest ("ref") first.
std::span<const Table* const> supported();

// The names of all instruction sets that there are kernels for (kernels/isa/isas.h), slowest first:
// "ref, avx2, ...".
std::string isa_names();

// The fastest supported table at or below the instruction set `max_isa`, in the order of
// isa_names(); "" means no cap of the caller's. Null if `max_isa` or HEADLANE_MAX_ISA is no known
// name.
const Table* select(std::string_view max_isa);

// Makes oneDNN's the table's products, of which it has those in f32; false, and no change, where
// the library was built without oneDNN. They are single-threaded only where OpenMP gives them one
// thread.
bool with_onednn(Table* table);

}  // namespace headlane::kernels
