// Attention in plain C++: one query at a time, one key after another.
#include "kernels/isa/ref_attention.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <limits>

namespace headlane::kernels::ref {
namespace {

constexpr int64_t kScoreBlock = 1024;  // scores held at a time

// A row of Q or K turned by its position; y [head_dim].
void turn(const AttentionF32Args& args, int64_t position, const float* x, float* y) {
  const int64_t half = args.rotary_dims / 2;
  const float* cosines = args.rotary + position * args.rotary_dims;
  const float* sines = cosines + half;
  for (int64_t c = 0; c < half; ++c) {
    const int64_t a = args.rotary_interleaved ? 2 * c : c;
    const int64_t b = args.rotary_interleaved ? 2 * c + 1 : c + half;
    y[a] = x[a] * cosines[c] - x[b] * sines[c];
    y[b] = x[b] * cosines[c] + x[a] * sines[c];
  }
  std::copy(x + args.rotary_dims, x + args.head_dim, y + args.rotary_dims);
}

float product(const AttentionF32Args& args, const float* q, const float* k) {
  float sum = 0;
  if (args.additive) {
    for (int64_t d = 0; d < args.head_dim; ++d) sum += args.additive[d] * std::tanh(q[d] + k[d]);
  } else {
    for (int64_t d = 0; d < args.head_dim; ++d) sum += q[d] * k[d];
  }
  return sum;
}

// Query i, its row of Q, which may be a turned copy, and room for a turned row of K [head_dim].
struct Query {
  int64_t i;
  const float* q;
  float* turned_k;
};

Query make_query(const AttentionF32Args& args, int64_t i) {
  const float* q = args.q + i * args.ldq;
  float* turned_q = args.scratch + kScoreBlock;
  float* turned_k = turned_q + args.head_dim;
  if (!args.rotary) return {i, q, turned_k};
  turn(args, i + args.q_position, q, turned_q);
  return {i, turned_q, turned_k};
}

// Whether the query sees key j, and the score it sees; K is read only if so.
bool score_of(const AttentionF32Args& args, const Query& query, int64_t j, float* score) {
  const int64_t i = query.i, position = i + args.q_offset;
  if (j < position - args.window_left) return false;
  if (j > position + args.window_right) return false;
  if (args.causal && j > position && j >= args.prefix_len) return false;
  if (args.mask && args.mask[i * args.ld_mask + j] == 0) return false;
  float bias = args.bias ? args.bias[i * args.ld_bias + j] : 0.0f;
  if (bias <= -std::numeric_limits<float>::max()) return false;
  if (args.relative_bias) bias += args.relative_bias[j - position];
  const float* k = args.k + j * args.ldk;
  if (args.rotary) {
    turn(args, j + args.k_position, k, query.turned_k);
    k = query.turned_k;
  }
  float x = args.scale * product(args, query.q, k);
  if (args.softcap > 0) x = args.softcap * std::tanh(x / args.softcap);
  *score = x + bias - args.alibi_slope * static_cast<float>(std::abs(position - j));
  return true;
}

// Its keys come in blocks; what was summed so far is scaled when the maximum grows.
void attend(const AttentionF32Args& args, const Query& query) {
  float* o = args.o + query.i * args.ldo;
  float* scores = args.scratch;
  float largest = args.sink ? *args.sink : -INFINITY;
  float sum = largest == -INFINITY ? 0.0f : 1.0f;
  bool sees_any = false;
  for (int64_t d = 0; d < args.v_dim; ++d) o[d] = 0;
  for (int64_t begin = 0; begin < args.kv_len; begin += kScoreBlock) {
    const int64_t n = std::min(kScoreBlock, args.kv_len - begin);
    bool seen[kScoreBlock];
    float block_largest = largest;
    for (int64_t j = 0; j < n; ++j) {
      seen[j] = score_of(args, query, begin + j, &scores[j]);
      sees_any = sees_any || seen[j];
      if (seen[j] && scores[j] > block_largest) block_largest = scores[j];
    }
    // A score that is seen may be -inf, since it is too large for a float: it weighs nothing, and
    // where all do, the result is 0 / 0.
    const float offset = block_largest == -INFINITY ? 0.0f : block_largest;
    const float rescale = largest == block_largest ? 1.0f : std::exp(largest - offset);
    largest = block_largest;
    sum *= rescale;
    for (int64_t d = 0; d < args.v_dim; ++d) o[d] *= rescale;
    for (int64_t j = 0; j < n; ++j) {
      if (!seen[j]) continue;
      const float p = std::exp(scores[j] - offset);
      sum += p;
      for (int64_t d = 0; d < args.v_dim; ++d) o[d] += p * args.v[(begin + j) * args.ldv + d];
    }
  }
  for (int64_t d = 0; d < args.v_dim; ++d) o[d] = sees_any ? o[d] / sum : 0.0f;
}

void check(const AttentionF32Args& args) {
  assert(args.kv_len >= 0 && args.scale > 0);
  assert(args.rotary_dims % 2 == 0 && args.rotary_dims <= args.head_dim);
  assert(!args.additive || (args.scale == 1 && !args.rotary));
  (void)args;  // where asserts are off
}

}  // namespace

void attention(const AttentionF32Args& args) {
  check(args);
  for (int64_t i = 0; i < args.q_len; ++i) attend(args, make_query(args, i));
}

// Scores lie in p until they become probabilities, -inf where a key is not seen. A row whose sum is
// 0 or NaN is NaN where it sees a key, for the reasons that attend() says.
void attention_probabilities(const AttentionF32Args& args, float* p, int64_t ldp) {
  check(args);
  for (int64_t i = 0; i < args.q_len; ++i, p += ldp) {
    const Query query = make_query(args, i);
    float largest = args.sink ? *args.sink : -INFINITY;
    for (int64_t j = 0; j < args.kv_len; ++j) {
      if (!score_of(args, query, j, &p[j])) p[j] = -INFINITY;
      if (p[j] > largest) largest = p[j];
    }
    const float offset = largest == -INFINITY ? 0.0f : largest;
    float sum = args.sink ? std::exp(*args.sink - offset) : 0.0f;
    for (int64_t j = 0; j < args.kv_len; ++j) {
      p[j] = std::exp(p[j] - offset);
      sum += p[j];
    }
    float score;
    for (int64_t j = 0; j < args.kv_len; ++j) {
      p[j] = sum > 0 ? p[j] / sum : score_of(args, query, j, &score) ? NAN : 0.0f;
    }
  }
}

int64_t attention_scratch_floats(int64_t head_dim, int64_t) { return kScoreBlock + 2 * head_dim; }

}  // namespace headlane::kernels::ref
