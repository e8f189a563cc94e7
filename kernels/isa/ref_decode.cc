// The kernels of decoding in plain C++: one key after another, one column after another.
#include "kernels/isa/ref_decode.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/isa/ref_narrow.h"

namespace headlane::kernels::ref {
namespace {

float wide(float x) { return x; }
float wide(Bf16 x) { return from_bf16(x); }
void round_to(float x, float* y) { *y = x; }
void round_to(float x, Bf16* y) { *y = to_bf16(x); }

// scratch: scores, then weights [kv_len]; o [v_dim]
template <typename T>
void attend(const DecodeAttentionArgs<T>& args, int64_t h) {
  const int64_t group = h / args.kv_sharing;
  const auto row = [&](int64_t j) -> int64_t { return args.rows ? args.rows[j] : j; };
  float *weights = args.scratch, *o = args.scratch + args.kv_len;
  float largest = args.sinks ? args.sinks[h] : -INFINITY;
  bool sees_any = false;
  for (int64_t j = 0; j < args.kv_len; ++j) {
    const T* k = args.k + row(j) * args.ldk + group * args.head_dim;
    float score = 0;
    for (int64_t d = 0; d < args.head_dim; ++d) {
      score += wide(args.q[h * args.head_dim + d]) * wide(k[d]);
    }
    score *= args.scale;
    if (args.softcap > 0) score = args.softcap * std::tanh(score / args.softcap);
    const float bias = args.bias ? args.bias[h * args.ld_bias + j] : 0.0f;
    const bool seen = !(bias <= -std::numeric_limits<float>::max());
    sees_any = sees_any || seen;
    weights[j] = seen ? score + bias : -INFINITY;
    if (weights[j] > largest) largest = weights[j];
  }
  std::fill(o, o + args.v_dim, 0.0f);
  const bool has_sink = args.sinks && args.sinks[h] != -INFINITY;
  float sum = has_sink ? std::exp(args.sinks[h] - largest) : 0.0f;
  for (int64_t j = 0; j < args.kv_len; ++j) {
    weights[j] = weights[j] == -INFINITY ? 0.0f : std::exp(weights[j] - largest);
    sum += weights[j];
    const T* v = args.v + row(j) * args.ldv + group * args.v_dim;
    for (int64_t d = 0; d < args.v_dim; ++d) o[d] += weights[j] * wide(v[d]);
  }
  // Where scores are all -inf, since they are too large for a float, 0 / 0 is right.
  const float divisor = sum == 0.0f && !sees_any ? 1.0f : sum;
  for (int64_t d = 0; d < args.v_dim; ++d) {
    round_to(o[d] / divisor, &args.o[h * args.v_dim + d]);
  }
  for (int64_t j = 0; args.p && j < args.kv_len; ++j) {
    args.p[h * args.ldp + j] = weights[j] / divisor;
  }
}

template <typename T>
void attend_all(const DecodeAttentionArgs<T>& args) {
  assert(args.kv_sharing >= 1 && args.kv_len >= 0 && args.scale > 0);
  for (int64_t h = 0; h < args.n_heads; ++h) attend(args, h);
}

}  // namespace

void decode_attention_f32(const DecodeAttentionArgs<float>& args) { attend_all(args); }
void decode_attention_bf16(const DecodeAttentionArgs<Bf16>& args) { attend_all(args); }

int64_t decode_scratch_floats(int64_t kv_len, int64_t, int64_t v_dim) { return kv_len + v_dim; }

void top_k(const TopKF32Args& args) {
  assert(args.rows >= 0 && args.n >= 0 && args.k >= 1);
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* x = args.x + r * args.ldx;
    Candidate* best = args.best + r * args.ld_best;
    TopK& top = args.top[r * args.ld_top];
    if (args.begin) {
      std::fill(best, best + args.k, Candidate{-INFINITY, -1});
      top = {-INFINITY, 0.0f};
    }
    float largest = top.largest;
    for (int64_t i = 0; i < args.n; ++i) {
      if (x[i] > largest) largest = x[i];
      const auto at = std::find_if(best, best + args.k,
                                   [&](const Candidate& other) { return x[i] > other.logit; });
      if (at == best + args.k) continue;
      std::move_backward(at, best + args.k - 1, best + args.k);
      *at = {x[i], static_cast<int32_t>(args.first_id + i)};
    }
    const double offset = largest == -INFINITY ? 0.0 : largest;
    double sum = top.sum * std::exp(top.largest - offset);
    for (int64_t i = 0; i < args.n; ++i) sum += std::exp(x[i] - offset);
    top = {largest, static_cast<float>(sum)};
  }
}

}  // namespace headlane::kernels::ref
