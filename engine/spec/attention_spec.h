// The description of an attention as numbers: heads, scores, which keys a query sees by position,
// and the position schemes inside. Checked once; the same for a model's layers and for the C API.
#pragma once

#include <cstdint>

#include "engine/spec/positions.h"
#include "kernels/kernels.h"

namespace headlane {

// A window that ends nowhere.
inline constexpr int64_t kUnlimited = kernels::AttentionF32Args::kUnlimited;

// A query and a key are scored by one of these.
enum class Score {
  kScaledDot,  // scale * q . k
  kDot,        // q . k
  kBilinear,   // q^T W k: W is folded into the projection of Q, so only layers have it
  kAdditive,   // v . tanh(q + k)
};

// Where query 0 stands among the keys when lengths differ.
enum class Causal {
  kNone,
  kUpperLeft,   // query i sees keys up to i
  kLowerRight,  // the last query sees all keys
};

// A learned bias for each head and bucket of distances (Raffel et al. 2020, "T5").
struct RelativeBiasSpec {
  int64_t n_buckets = 0;  // 0: there is none
  int64_t max_distance = 0;
  bool bidirectional = false;
  int64_t max_len = 0;  // no sequence may be longer
  // The bias is kept by distance, a row for each head; the element of distance 0 is zero().
  int64_t zero() const { return max_len - 1; }
  int64_t stride() const { return 2 * max_len - 1; }
};

// ALiBi as Falcon has it: a key's own position, and not its distance, is multiplied by the slope,
// in bf16, which rounds both and their product; then the score's scale applies. So a score is
// scale * (q . k + bf16(slope * position)).
struct KeyAlibiSpec {
  int64_t max_len = 0;  // no sequence may be longer; 0: there is none
};

struct AttentionSpec {
  int64_t n_heads = 0, n_kv_heads = 0;
  int64_t head_dim = 0, v_dim = 0;
  Score score = Score::kScaledDot;
  float scale = 1;
  float softcap = 0;
  Causal causal = Causal::kNone;
  int64_t window_left = kUnlimited;
  int64_t window_right = kUnlimited;
  RotarySpec rotary;  // dims 0: none
  RelativeBiasSpec relative;
  KeyAlibiSpec key_alibi;  // its slopes are AttentionWeights::alibi_slopes

  int64_t q_width() const { return n_heads * head_dim; }
  int64_t k_width() const { return n_kv_heads * head_dim; }
  int64_t v_width() const { return n_kv_heads * v_dim; }
  int64_t o_width() const { return n_heads * v_dim; }
  // As many heads for K and V as for Q, of the same size, scaled by 1 / sqrt(head_dim).
  void set_heads(int64_t heads, int64_t dim);
  // No sequence, of queries or of keys, may be longer.
  int64_t max_len() const;

  // Throws Error(kInvalidArgument) that names the first field out of range, or two that do not go
  // together.
  void check() const;
};

class FieldVisitor;
void visit_fields(RotarySpec* rotary, FieldVisitor* fields);
void visit_fields(RelativeBiasSpec* relative, FieldVisitor* fields);
void visit_fields(KeyAlibiSpec* alibi, FieldVisitor* fields);
void visit_fields(AttentionSpec* spec, FieldVisitor* fields);

// Learned or given numbers beside a spec. Each is null if it is not used.
struct AttentionWeights {
  const float* relative_bias = nullptr;  // [n_buckets, n_heads]
  const float* additive = nullptr;       // [n_heads, head_dim]
  const float* alibi_slopes = nullptr;   // [n_heads]
  const float* sinks = nullptr;          // [n_heads]
};

// The kernels read these: the weights, and tables computed from spec and weights.
struct AttentionTables {
  const float* rotary = nullptr;         // [max_positions, dims]
  const float* relative_bias = nullptr;  // [n_heads, stride()]
  const float* additive = nullptr;
  const float* key_bias = nullptr;      // [n_heads, key_alibi.max_len]
  const float* alibi_slopes = nullptr;  // null where the slopes are in key_bias
  const float* sinks = nullptr;
};

// Weights go with the spec, or Error(kInvalidArgument).
void check_weights(const AttentionSpec& spec, const AttentionWeights& weights);
// The size of the tables, a multiple of 64 bytes, and the tables made in memory of that size, which
// the result points to; nothing of `weights` is needed afterwards.
int64_t attention_table_floats(const AttentionSpec& spec);
AttentionTables fill_attention_tables(const AttentionSpec& spec, const AttentionWeights& weights,
                                      float* memory);

}  // namespace headlane
