// The kernels of decoding in plain C++: one key after another, one column after another.
#include "kernels/isa/ref_decode.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>

#include "kernels/isa/ref_narrow.h"

namespace headlane::kernels::ref {
namespace {

float wide(float x) { return x; }
float wide(Bf16 x) { return from_bf16(x); }
float wide(int8_t x) { return x; }

float load(Element element, const void* x, int64_t i) {
  if (element == Element::kBf16) return from_bf16(static_cast<const Bf16*>(x)[i]);
  return static_cast<const float*>(x)[i];
}
void store(Element element, float x, void* y, int64_t i) {
  if (element == Element::kBf16) {
    static_cast<Bf16*>(y)[i] = to_bf16(x);
  } else {
    static_cast<float*>(y)[i] = x;
  }
}

// The score of query i and key j for head h.
template <typename T>
float score(const DecodeAttentionArgs<T>& args, int64_t i, int64_t h, int64_t j) {
  const int64_t q = i * args.ldq + h * args.head_dim, group = h / args.kv_sharing;
  const int64_t row = args.rows ? args.rows[j] : j;
  const T* k = args.k + row * args.ldk + group * args.head_dim;
  float score = 0;
  for (int64_t d = 0; d < args.head_dim; ++d) {
    score += load(args.element, args.q, q + d) * wide(k[d]);
  }
  if (args.k_scales) score *= args.k_scales[row * args.ld_scales + group];
  score *= args.scale;
  if (args.softcap > 0) score = args.softcap * std::tanh(score / args.softcap);
  const int64_t distance = j - (args.q_offset + i);
  if (args.relative_bias) score += args.relative_bias[h * args.ld_relative_bias + distance];
  if (args.key_bias) score += args.key_bias[h * args.ld_key_bias + j];
  if (args.alibi_slopes) score -= args.alibi_slopes[h] * static_cast<float>(std::abs(distance));
  return score;
}

// scratch: o [v_dim]
template <typename T>
void attend(const DecodeAttentionArgs<T>& args, int64_t i, int64_t h) {
  const int64_t position = args.q_offset + i;
  const int64_t begin = args.causal ? std::max<int64_t>(position - args.window_left, 0) : 0;
  const int64_t end = args.causal ? position + 1 : args.kv_len;
  const bool has_sink = args.sinks && args.sinks[h] != -INFINITY;
  float largest = has_sink ? args.sinks[h] : -INFINITY;
  for (int64_t j = begin; j < end; ++j) {
    if (const float x = score(args, i, h, j); x > largest) largest = x;
  }
  float* o = args.scratch;
  float* p = args.p ? args.p + h * args.p_head_stride + i * args.ldp : nullptr;
  std::fill(o, o + args.v_dim, 0.0f);
  if (p) std::fill(p, p + args.kv_len, 0.0f);
  float sum = has_sink ? std::exp(args.sinks[h] - largest) : 0.0f;
  for (int64_t j = begin; j < end; ++j) {
    const float x = score(args, i, h, j);
    const float weight = x == -INFINITY ? 0.0f : std::exp(x - largest);
    sum += weight;
    const int64_t row = args.rows ? args.rows[j] : j, group = h / args.kv_sharing;
    const T* v = args.v + row * args.ldv + group * args.v_dim;
    const float factor =
        args.v_scales ? weight * args.v_scales[row * args.ld_scales + group] : weight;
    for (int64_t d = 0; d < args.v_dim; ++d) o[d] += factor * wide(v[d]);
    if (p) p[j] = weight;
  }
  // Where scores are all -inf, since they are too large for a float, 0 / 0 is right.
  const float divisor = begin < end ? sum : 1.0f;
  for (int64_t d = 0; d < args.v_dim; ++d) {
    store(args.element, o[d] / divisor, args.o, i * args.ldo + h * args.v_dim + d);
  }
  for (int64_t j = begin; p && j < end; ++j) p[j] /= divisor;
}

template <typename T>
void attend_all(const DecodeAttentionArgs<T>& args) {
  assert(args.q_len >= 1 && args.kv_sharing >= 1 && args.kv_len >= 0 && args.scale > 0);
  for (int64_t i = 0; i < args.q_len; ++i) {
    for (int64_t h = 0; h < args.n_heads; ++h) attend(args, i, h);
  }
}

}  // namespace

void decode_attention_f32(const DecodeAttentionArgs<float>& args) { attend_all(args); }
void decode_attention_bf16(const DecodeAttentionArgs<Bf16>& args) { attend_all(args); }
void decode_attention_s8(const DecodeAttentionArgs<int8_t>& args) { attend_all(args); }

int64_t decode_scratch_floats(int64_t, int64_t v_dim) { return v_dim; }

namespace {

// Calls put(column, number) for each column of head h, turned.
template <typename Put>
void turn_head(const RotateArgs& args, int64_t h, Put put) {
  const int64_t half = args.rotary_dims / 2;
  const int64_t step = args.interleaved ? 2 : 1, partner = args.interleaved ? 1 : half;
  const auto x = [&](int64_t c) { return load(args.element, args.x, h * args.head_dim + c); };
  for (int64_t c = 0; c < half; ++c) {
    const float a = x(c * step), b = x(c * step + partner);
    const float cosine = args.rotary[c], sine = args.rotary[half + c];
    put(c * step, a * cosine - b * sine);
    put(c * step + partner, b * cosine + a * sine);
  }
  for (int64_t c = args.rotary_dims; c < args.head_dim; ++c) put(c, x(c));
}

// As quantize_weights rounds a row.
void turn_head_to_s8(const RotateArgs& args, int64_t h) {
  float most = 0;
  bool finite = true;
  turn_head(args, h, [&](int64_t, float x) {
    most = std::max(most, std::fabs(x));
    finite = finite && std::isfinite(x);
  });
  const float inverse = most > kLeastRange ? 127.0f / most : 0.0f;
  args.scales[h] = finite ? most / 127.0f : std::numeric_limits<float>::quiet_NaN();
  int8_t* y = static_cast<int8_t*>(args.y) + h * args.head_dim;
  turn_head(args, h, [&](int64_t c, float x) {
    const float code = finite ? std::clamp(x * inverse, -127.0f, 127.0f) : 0.0f;
    y[c] = static_cast<int8_t>(std::nearbyint(code));
  });
}

}  // namespace

void rotate(const RotateArgs& args) {
  const Element to = args.format == Format::kBf16 ? Element::kBf16 : Element::kF32;
  for (int64_t h = 0; h < args.n_heads; ++h) {
    if (args.format == Format::kS8) {
      turn_head_to_s8(args, h);
    } else {
      turn_head(args, h, [&](int64_t c, float x) { store(to, x, args.y, h * args.head_dim + c); });
    }
  }
}

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
