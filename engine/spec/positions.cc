#include "engine/spec/positions.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <vector>

namespace headlane {
namespace {

constexpr double kTurn = 2 * std::numbers::pi;

// The pair whose wavelength fits `turns` times into the length trained on, a real number: solves
// length = turns * 2 pi base^(2 pair / dims).
double pair_of_turns(const RotarySpec& spec, double turns) {
  const double wavelength = static_cast<double>(spec.original_max_positions) / turns;
  return static_cast<double>(spec.dims) * std::log(wavelength / kTurn) / (2 * std::log(spec.base));
}

// The nearest number of bf16, ties to even, of a finite one that is not near the largest.
float in_bf16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  return std::bit_cast<float>((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000);
}

// YaRN: pairs up to the one that makes beta_fast turns stay, those from beta_slow on are stretched,
// and a ramp lies between. The clamps to dims - 1 and the 0.001 are as in the published code.
void scale_by_yarn(const RotarySpec& spec, std::span<double> frequencies) {
  double low = pair_of_turns(spec, spec.beta_fast), high = pair_of_turns(spec, spec.beta_slow);
  if (spec.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(spec.dims - 1));
  if (low == high) high += 0.001;
  double pair = 0;
  for (double& frequency : frequencies) {
    const double stretched = std::clamp((pair - low) / (high - low), 0.0, 1.0);
    frequency *= stretched / spec.factor + (1 - stretched);
    ++pair;
  }
}

// Llama 3.1: wavelengths that fit more than high_freq_factor times into the length trained on stay,
// those that fit less than low_freq_factor times are stretched, and a blend lies between.
void scale_as_llama3(const RotarySpec& spec, std::span<double> frequencies) {
  for (double& frequency : frequencies) {
    const double turns = static_cast<double>(spec.original_max_positions) * frequency / kTurn;
    const double kept = std::clamp(
        (turns - spec.low_freq_factor) / (spec.high_freq_factor - spec.low_freq_factor), 0.0, 1.0);
    frequency *= (1 - kept) / spec.factor + kept;
  }
}

// The base becomes base * growth^(dims / (dims - 2)), so that the longest wavelength grows by that
// factor and the shortest stays.
double ntk_growth(const RotarySpec& spec, int64_t room) {
  if (spec.scaling == RotaryScaling::kNtk) return spec.factor;
  if (spec.choice(room) == 0) return 1;
  const double times = static_cast<double>(room) / static_cast<double>(spec.original_max_positions);
  return spec.factor * times - (spec.factor - 1);
}

// The scale of cosines and sines alike.
double magnitude(const RotarySpec& spec) {
  if (spec.attention_factor != 0) return spec.attention_factor;
  return spec.scaling == RotaryScaling::kYarn ? yarn_magnitude(spec.factor) : 1;
}

}  // namespace

double yarn_magnitude(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

int64_t RotarySpec::choice(int64_t room) const {
  if (!by_room() || room <= original_max_positions) return 0;
  return scaling == RotaryScaling::kLongRope ? 1 : room;
}

void fill_rotary_frequencies(const RotarySpec& spec, int64_t room, std::span<double> frequencies) {
  const double dims = static_cast<double>(spec.dims);
  double base = spec.base;
  if (spec.scaling == RotaryScaling::kNtk || spec.scaling == RotaryScaling::kDynamicNtk) {
    base *= std::pow(ntk_growth(spec, room), dims / (dims - 2));
  }
  double column = 0;
  for (double& frequency : frequencies) {
    frequency = std::pow(base, -column / dims);
    column += 2;
  }
  if (spec.scaling == RotaryScaling::kLinear) {
    for (double& frequency : frequencies) frequency /= spec.factor;
  }
  if (spec.scaling == RotaryScaling::kYarn) scale_by_yarn(spec, frequencies);
  if (spec.scaling == RotaryScaling::kLlama3) scale_as_llama3(spec, frequencies);
  if (spec.scaling == RotaryScaling::kLongRope) {
    const auto& factors = spec.choice(room) == 0 ? spec.short_factors : spec.long_factors;
    for (size_t pair = 0; pair < frequencies.size(); ++pair) frequencies[pair] /= factors[pair];
  }
}

void fill_rotary_row(const RotarySpec& spec, std::span<const double> frequencies, int64_t position,
                     float* row) {
  const double scale = magnitude(spec);
  const size_t half = frequencies.size();
  for (size_t c = 0; c < half; ++c) {
    const double angle = static_cast<double>(position) * frequencies[c];
    row[c] = static_cast<float>(scale * std::cos(angle));
    row[half + c] = static_cast<float>(scale * std::sin(angle));
  }
}

void fill_rotary_table(const RotarySpec& spec, float* table) {
  std::vector<double> frequencies(static_cast<size_t>(spec.dims / 2));
  fill_rotary_frequencies(spec, 0, frequencies);
  for (int64_t position = 0; position < spec.max_positions; ++position) {
    fill_rotary_row(spec, frequencies, position, table + position * spec.dims);
  }
}

void fill_alibi_slopes(int64_t n_heads, float* slopes) {
  int64_t power = 1;  // the largest power of two that is no more than n_heads
  while (power * 2 <= n_heads) power *= 2;
  const double step = 8.0 / static_cast<double>(power);
  for (int64_t head = 0; head < n_heads; ++head) {
    // The sequence of 2 * power heads has half the step; its elements 0, 2, 4, ... come after.
    const double exponent = head < power ? step * static_cast<double>(head + 1)
                                         : step / 2 * static_cast<double>(2 * (head - power) + 1);
    slopes[head] = static_cast<float>(std::exp2(-exponent));
  }
}

void fill_key_alibi(float slope, float scale, std::span<float> bias) {
  for (size_t i = 0; i < bias.size(); ++i) {
    bias[i] = scale * in_bf16(in_bf16(slope) * in_bf16(static_cast<float>(i)));
  }
}

int64_t relative_bucket(int64_t distance, int64_t n_buckets, int64_t max_distance,
                        bool bidirectional) {
  int64_t first = 0;
  if (bidirectional) {
    n_buckets /= 2;
    if (distance > 0) first = n_buckets;
  }
  const int64_t away = bidirectional ? std::abs(distance) : std::max<int64_t>(-distance, 0);
  const int64_t exact = n_buckets / 2;
  if (away < exact) return first + away;
  const double growth = std::log(static_cast<double>(away) / static_cast<double>(exact)) /
                        std::log(static_cast<double>(max_distance) / static_cast<double>(exact));
  const double bucket = growth * static_cast<double>(n_buckets - exact);
  return first + std::min(exact + static_cast<int64_t>(bucket), n_buckets - 1);
}

void fill_relative_bias(const float* table, int64_t n_heads, int64_t n_buckets,
                        int64_t max_distance, bool bidirectional, int64_t head, int64_t max_len,
                        float* bias) {
  for (int64_t distance = 1 - max_len; distance < max_len; ++distance) {
    const int64_t bucket = relative_bucket(distance, n_buckets, max_distance, bidirectional);
    bias[max_len - 1 + distance] = table[bucket * n_heads + head];
  }
}

namespace {

// Column c of a table of sinusoids.
struct Wave {
  double frequency = 0;
  bool cosine = false;
};

Wave wave_of(int64_t column, int64_t d_model, Sinusoids kind) {
  int64_t pair = column / 2;
  bool cosine = column % 2 == 1;
  const int64_t n_sines = kind == Sinusoids::kInclusive ? d_model / 2 : (d_model + 1) / 2;
  if (kind != Sinusoids::kInterleaved) {
    cosine = column >= n_sines;
    pair = cosine ? column - n_sines : column;
  }
  const double exponent = kind == Sinusoids::kInclusive
                              ? static_cast<double>(pair) / static_cast<double>(n_sines - 1)
                              : static_cast<double>(2 * pair) / static_cast<double>(d_model);
  return {std::pow(10000.0, -exponent), cosine};
}

}  // namespace

void fill_sinusoidal(int64_t first, int64_t max_positions, int64_t d_model, Sinusoids kind,
                     float* table) {
  for (int64_t column = 0; column < d_model; ++column) {
    const bool beyond = kind == Sinusoids::kInclusive && column >= d_model / 2 * 2;
    const Wave wave = wave_of(column, d_model, kind);
    for (int64_t p = 0; p < max_positions; ++p) {
      const double angle = static_cast<double>(first + p) * wave.frequency;
      const double value = wave.cosine ? std::cos(angle) : std::sin(angle);
      table[p * d_model + column] = beyond ? 0.0f : static_cast<float>(value);
    }
  }
}

}  // namespace headlane
