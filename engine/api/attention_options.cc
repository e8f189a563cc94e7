#include "engine/api/attention_options.h"

#include <algorithm>
#include <cmath>

#include "engine/api/c_api.h"

using headlane::fail;
using headlane::Status;
using namespace headlane::c_api;  // NOLINT(google-build-using-namespace): what this file is of

namespace {

using ll = long long;
using headlane::Causal;
using headlane::RotaryScaling;
using headlane::Score;

static_assert(static_cast<int>(Causal::kUpperLeft) == HEADLANE_CAUSAL_UPPER_LEFT);
static_assert(static_cast<int>(Causal::kLowerRight) == HEADLANE_CAUSAL_LOWER_RIGHT);
static_assert(static_cast<int>(Score::kDot) == HEADLANE_SCORE_DOT);
static_assert(static_cast<int>(Score::kBilinear) == HEADLANE_SCORE_BILINEAR);
static_assert(static_cast<int>(Score::kAdditive) == HEADLANE_SCORE_ADDITIVE);
static_assert(static_cast<int>(RotaryScaling::kLinear) == HEADLANE_ROTARY_LINEAR);
static_assert(static_cast<int>(RotaryScaling::kNtk) == HEADLANE_ROTARY_NTK);
static_assert(static_cast<int>(RotaryScaling::kYarn) == HEADLANE_ROTARY_YARN);
static_assert(static_cast<int>(RotaryScaling::kLlama3) == HEADLANE_ROTARY_LLAMA3);

int64_t window_of(const char* name, int64_t window) {
  if (window < -1) {
    fail(Status::kInvalidArgument, "%s is %lld; it must be -1 or more", name, ll{window});
  }
  if (window == -1) return 0;
  constexpr int64_t kUnlimited = headlane::kernels::AttentionF32Args::kUnlimited;
  return window == 0 ? kUnlimited : std::min(window, kUnlimited);  // positions are added to it
}

headlane::RotarySpec rotary_of(const headlane_rotary* options, int64_t head_dim) {
  headlane::RotarySpec rotary;
  if (options == nullptr) return rotary;
  const headlane_rotary in = read_struct(options, "headlane_rotary");
  const auto either = [](double value, double otherwise) { return value != 0 ? value : otherwise; };
  const auto scaling = read_enum("rotary.scaling", in.scaling, HEADLANE_ROTARY_LLAMA3);
  rotary.dims = in.dims ? in.dims : head_dim;
  rotary.interleaved = in.interleaved != 0;
  rotary.base = either(in.base, rotary.base);
  rotary.max_positions = in.max_positions;
  rotary.scaling = static_cast<RotaryScaling>(scaling);
  rotary.factor = either(in.factor, rotary.factor);
  rotary.original_max_positions = in.original_max_positions;
  rotary.beta_fast = either(in.beta_fast, rotary.beta_fast);
  rotary.beta_slow = either(in.beta_slow, rotary.beta_slow);
  rotary.attention_factor = in.attention_factor;
  rotary.low_freq_factor = either(in.low_freq_factor, rotary.low_freq_factor);
  rotary.high_freq_factor = either(in.high_freq_factor, rotary.high_freq_factor);
  rotary.truncate = in.untruncated == 0;
  return rotary;
}

// Numbers of a program are looked at; those of a file may be any (docs/files.md).
void check_numbers_of_heads(const headlane::AttentionWeights& weights, int64_t n_heads) {
  for (int64_t head = 0; weights.alibi_slopes && head < n_heads; ++head) {
    if (std::isfinite(weights.alibi_slopes[head])) continue;
    fail(Status::kInvalidArgument, "alibi_slopes[%lld] is %g; it must be finite", ll{head},
         double{weights.alibi_slopes[head]});
  }
  for (int64_t head = 0; weights.sinks && head < n_heads; ++head) {
    if (weights.sinks[head] < INFINITY) continue;  // false for NaN
    fail(Status::kInvalidArgument,
         "sinks[%lld] is %g; it must be finite, or -infinity, which takes no share", ll{head},
         double{weights.sinks[head]});
  }
}

headlane::RelativeBiasSpec relative_of(const headlane_relative_bias* options) {
  headlane::RelativeBiasSpec relative;
  if (options == nullptr) return relative;
  const headlane_relative_bias in = read_struct(options, "headlane_relative_bias");
  if (in.n_buckets == 0) {
    fail(Status::kInvalidArgument, "relative_bias.n_buckets is 0; it must be 2 or more");
  }
  relative.n_buckets = in.n_buckets;
  relative.max_distance = in.max_distance;
  relative.bidirectional = in.bidirectional != 0;
  relative.max_len = in.max_len;
  return relative;
}

}  // namespace

headlane::AttentionSpec headlane::c_api::read_spec(const headlane_attention_options& options) {
  AttentionSpec spec;
  spec.n_heads = options.n_heads;
  spec.n_kv_heads = options.n_kv_heads ? options.n_kv_heads : options.n_heads;
  spec.head_dim = options.head_dim;
  spec.v_dim = options.v_dim ? options.v_dim : options.head_dim;
  spec.score = static_cast<Score>(read_enum("score", options.score, HEADLANE_SCORE_ADDITIVE));
  spec.scale = options.scale;
  if (spec.scale == 0 && spec.score != Score::kScaledDot) spec.scale = 1;
  if (spec.scale == 0 && spec.head_dim > 0) {
    spec.scale = 1.0f / std::sqrt(static_cast<float>(spec.head_dim));
  }
  spec.softcap = options.softcap;
  spec.causal =
      static_cast<Causal>(read_enum("causal", options.causal, HEADLANE_CAUSAL_LOWER_RIGHT));
  spec.window_left = window_of("window_left", options.window_left);
  spec.window_right = window_of("window_right", options.window_right);
  spec.rotary = rotary_of(options.rotary, spec.head_dim);
  spec.relative = relative_of(options.relative_bias);
  spec.check();
  return spec;
}

headlane::AttentionWeights headlane::c_api::read_weights(const headlane_attention_options& options,
                                                         const AttentionSpec& spec) {
  AttentionWeights weights;
  if (options.relative_bias) {
    weights.relative_bias = read_struct(options.relative_bias, "headlane_relative_bias").table;
  }
  weights.additive = options.additive;
  weights.alibi_slopes = options.alibi_slopes;
  weights.sinks = options.sinks;
  check_weights(spec, weights);
  check_numbers_of_heads(weights, spec.n_heads);
  return weights;
}

headlane::LayerMaps headlane::c_api::read_maps(const headlane_attention_maps* maps,
                                               int64_t n_layers, int64_t n_heads) {
  LayerMaps result;
  if (maps == nullptr) return result;
  const headlane_attention_maps in = read_struct(maps, "headlane_attention_maps");
  require(in.data, "maps.data");
  const auto part = [](const char* what, int64_t first, int64_t n, int64_t all) {
    if (first < 0 || first >= all || n < 0 || n > all - first) {
      fail(Status::kInvalidArgument, "maps want %lld %s from %lld on; there are %lld", ll{n}, what,
           ll{first}, ll{all});
    }
    return n ? n : all - first;
  };
  result.first_layer = in.first_layer;
  result.n_layers = part("layers", in.first_layer, in.n_layers, n_layers);
  result.layer_stride = in.layer_stride;
  result.maps.p = {in.data, in.seq_stride, in.head_stride, in.query_stride};
  result.maps.first_head = in.first_head;
  result.maps.n_heads = part("heads", in.first_head, in.n_heads, n_heads);
  return result;
}
