#include "engine/spec/attention_spec.h"

#include <algorithm>
#include <cmath>

#include "engine/base/error.h"
#include "engine/file/limits.h"

namespace headlane {
namespace {

using ll = long long;
using file_limits::kPositions;

void check_range(const char* name, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return;
  fail(Status::kInvalidArgument, "%s is %lld; it must be from %lld to %lld", name, ll{value},
       ll{least}, ll{most});
}

void check_positive(const char* name, double value) {
  if (value > 0 && value < 1e30) return;  // false for NaN
  fail(Status::kInvalidArgument, "%s is %g; it must be positive and finite", name, value);
}

// All numbers are looked at, whether the scaling has them or not: one that cannot be right is a
// mistake that its owner wants to know of.
void check_rotary_numbers(const RotarySpec& rotary) {
  check_positive("rotary.base", rotary.base);
  check_positive("rotary.factor", rotary.factor);
  check_range("rotary.original_max_positions", rotary.original_max_positions, 0, kPositions);
  check_positive("rotary.beta_fast", rotary.beta_fast);
  check_positive("rotary.beta_slow", rotary.beta_slow);
  if (rotary.attention_factor != 0) {
    check_positive("rotary.attention_factor", rotary.attention_factor);
  }
  check_positive("rotary.low_freq_factor", rotary.low_freq_factor);
  check_positive("rotary.high_freq_factor", rotary.high_freq_factor);
}

void check_factors(const char* name, const std::vector<double>& factors, int64_t n) {
  if (std::ssize(factors) != n) {
    fail(Status::kInvalidArgument, "%s has %zu numbers; it must have %lld, one for each pair", name,
         factors.size(), ll{n});
  }
  for (const double factor : factors) check_positive(name, factor);
}

void check_rotary(const RotarySpec& rotary, int64_t head_dim) {
  if (rotary.dims % 2 != 0 || rotary.dims < 0 || rotary.dims > head_dim) {
    fail(Status::kInvalidArgument,
         "rotary.dims is %lld; it must be even, and no more than head_dim, %lld", ll{rotary.dims},
         ll{head_dim});
  }
  check_range("rotary.max_positions", rotary.max_positions, 1, kPositions);
  check_rotary_numbers(rotary);
  const bool of_a_length = rotary.scaling == RotaryScaling::kYarn ||
                           rotary.scaling == RotaryScaling::kLlama3 || rotary.by_room();
  if (of_a_length) {
    check_range("rotary.original_max_positions", rotary.original_max_positions, 1, kPositions);
  }
  if (rotary.scaling == RotaryScaling::kLlama3 &&
      rotary.low_freq_factor >= rotary.high_freq_factor) {
    fail(Status::kInvalidArgument,
         "rotary.low_freq_factor is %g; it must be less than rotary.high_freq_factor, %g",
         rotary.low_freq_factor, rotary.high_freq_factor);
  }
  const bool is_ntk =
      rotary.scaling == RotaryScaling::kNtk || rotary.scaling == RotaryScaling::kDynamicNtk;
  if (is_ntk && rotary.dims < 4) {
    fail(Status::kInvalidArgument, "rotary.dims is %lld; NTK scaling needs 4 or more",
         ll{rotary.dims});
  }
  if (rotary.scaling == RotaryScaling::kDynamicNtk && rotary.factor < 1) {
    fail(Status::kInvalidArgument, "rotary.factor is %g; dynamic NTK scaling needs 1 or more",
         rotary.factor);
  }
  if (rotary.scaling == RotaryScaling::kLongRope) {
    check_factors("rotary.short_factors", rotary.short_factors, rotary.dims / 2);
    check_factors("rotary.long_factors", rotary.long_factors, rotary.dims / 2);
  }
}

void check_relative(const RelativeBiasSpec& relative) {
  check_range("relative_bias.n_buckets", relative.n_buckets, relative.bidirectional ? 4 : 2,
              file_limits::kRelativeBuckets);
  const int64_t exact = relative.n_buckets / (relative.bidirectional ? 4 : 2);
  check_range("relative_bias.max_distance", relative.max_distance, exact + 1, kPositions);
  check_range("relative_bias.max_len", relative.max_len, 1, kPositions);
}

// The kind of scores decides which other fields have a meaning.
void check_score(const AttentionSpec& spec) {
  if (spec.score == Score::kScaledDot) return;
  const char* name = spec.score == Score::kDot        ? "dot product"
                     : spec.score == Score::kBilinear ? "bilinear"
                                                      : "additive";
  if (spec.scale != 1) {
    fail(Status::kInvalidArgument, "scale is %g, but %s scores have none", double{spec.scale},
         name);
  }
  if (spec.score != Score::kDot && spec.rotary.dims != 0) {
    fail(Status::kInvalidArgument,
         "rotary positions are for dot products; with %s scores they have no meaning", name);
  }
}

int64_t round_up(int64_t floats) {
  return (floats + kernels::kRowAlign - 1) / kernels::kRowAlign * kernels::kRowAlign;
}

}  // namespace

void AttentionSpec::set_heads(int64_t heads, int64_t dim) {
  n_heads = n_kv_heads = heads;
  head_dim = v_dim = dim;
  scale = 1.0f / std::sqrt(static_cast<float>(dim));
}

int64_t AttentionSpec::max_len() const {
  int64_t most = int64_t{1} << 31;
  if (rotary.dims != 0) most = std::min(most, rotary.max_positions);
  if (relative.n_buckets != 0) most = std::min(most, relative.max_len);
  if (key_alibi.max_len != 0) most = std::min(most, key_alibi.max_len);
  return most;
}

void AttentionSpec::check() const {
  check_range("n_heads", n_heads, 1, file_limits::kHeads);
  check_range("n_kv_heads", n_kv_heads, 1, file_limits::kHeads);
  if (n_heads % n_kv_heads != 0) {
    fail(Status::kInvalidArgument, "n_kv_heads is %lld, which does not divide n_heads, %lld",
         ll{n_kv_heads}, ll{n_heads});
  }
  check_range("head_dim", head_dim, 1, file_limits::kHeadDim);
  check_range("v_dim", v_dim, 1, file_limits::kHeadDim);
  check_positive("scale", double{scale});
  if (!(softcap >= 0 && softcap < 1e30f)) {
    fail(Status::kInvalidArgument, "softcap is %g; it must be 0 or positive and finite",
         double{softcap});
  }
  check_score(*this);
  if (rotary.dims != 0) check_rotary(rotary, head_dim);
  if (relative.n_buckets != 0) check_relative(relative);
  check_range("key_alibi.max_len", key_alibi.max_len, 0, kPositions);
  // A number in a file must not take memory that no one can have meant.
  constexpr int64_t kMostTableFloats = int64_t{1} << 30;
  if (const int64_t floats = attention_table_floats(*this); floats > kMostTableFloats) {
    fail(Status::kInvalidArgument,
         "the tables of positions would have %lld numbers; %lld is the limit", ll{floats},
         ll{kMostTableFloats});
  }
}

void check_weights(const AttentionSpec& spec, const AttentionWeights& weights) {
  if ((spec.score == Score::kAdditive) != (weights.additive != nullptr)) {
    fail(Status::kInvalidArgument, weights.additive
                                       ? "additive is given, but the scores are not additive"
                                       : "additive is null; additive scores need it");
  }
  if ((spec.relative.n_buckets != 0) != (weights.relative_bias != nullptr)) {
    fail(Status::kInvalidArgument, "relative_bias.table is null");
  }
  if (spec.key_alibi.max_len != 0 && !weights.alibi_slopes) {
    fail(Status::kInvalidArgument, "alibi_slopes is null; key_alibi needs them");
  }
}

int64_t attention_table_floats(const AttentionSpec& spec) {
  const int64_t rotary = spec.rotary.table_floats();
  const int64_t relative = spec.relative.n_buckets ? spec.n_heads * spec.relative.stride() : 0;
  const int64_t by_key = spec.n_heads * spec.key_alibi.max_len;
  const int64_t additive = spec.score == Score::kAdditive ? spec.q_width() : 0;
  return round_up(rotary) + round_up(relative) + round_up(by_key) + round_up(additive) +
         2 * round_up(spec.n_heads);
}

AttentionTables fill_attention_tables(const AttentionSpec& spec, const AttentionWeights& weights,
                                      float* memory) {
  AttentionTables tables;
  const auto take = [&](int64_t floats) {
    float* table = memory;
    memory += round_up(floats);
    return table;
  };
  const auto copy = [&](const float* from, int64_t floats) -> const float* {
    return from ? std::copy_n(from, floats, take(floats)) - floats : nullptr;
  };
  if (spec.rotary.dims != 0) {
    float* table = take(spec.rotary.dims * spec.rotary.max_positions);
    fill_rotary_table(spec.rotary, table);
    tables.rotary = table;
  }
  if (spec.relative.n_buckets != 0) {
    const RelativeBiasSpec& relative = spec.relative;
    float* table = take(spec.n_heads * relative.stride());
    for (int64_t head = 0; head < spec.n_heads; ++head) {
      fill_relative_bias(weights.relative_bias, spec.n_heads, relative.n_buckets,
                         relative.max_distance, relative.bidirectional, head, relative.max_len,
                         table + head * relative.stride());
    }
    tables.relative_bias = table;
  }
  tables.additive = copy(weights.additive, spec.q_width());
  if (const int64_t n = spec.key_alibi.max_len; n != 0) {
    float* table = take(spec.n_heads * n);
    for (int64_t head = 0; head < spec.n_heads; ++head) {
      fill_key_alibi(weights.alibi_slopes[head], spec.scale,
                     {table + head * n, static_cast<size_t>(n)});
    }
    tables.key_bias = table;
  } else {
    tables.alibi_slopes = copy(weights.alibi_slopes, spec.n_heads);
  }
  tables.sinks = copy(weights.sinks, spec.n_heads);
  return tables;
}

}  // namespace headlane
