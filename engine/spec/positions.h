// The tables that tell attention where tokens stand: rotary, ALiBi, T5's relative biases, and
// sinusoids. Pure functions; float64 inside, rounded once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace headlane {

// How the wavelengths of rotary positions are stretched for sequences longer than those trained on.
enum class RotaryScaling {
  kNone,
  kLinear,  // all by factor
  kNtk,   // base becomes base * factor^(dims / (dims - 2)): the longest by factor, the shortest not
  kYarn,  // by parts, and cosines and sines are scaled (Peng et al. 2023, "YaRN")
  kLlama3,  // by parts, as Llama 3.1
  // By what a sequence has room for, not by how long it is so far: a key that was turned stays so.
  kLongRope,    // each pair by a factor of its own, of which there are two (Ding et al. 2024)
  kDynamicNtk,  // as kNtk, by a factor that grows with the room
};

struct RotarySpec {
  int64_t dims = 0;  // columns that turn, even
  bool interleaved =
      false;  // pairs are (2 c, 2 c + 1), not (c, c + dims / 2); the table is the same
  double base = 10000;
  int64_t max_positions = 0;
  RotaryScaling scaling = RotaryScaling::kNone;
  double factor = 1;
  int64_t original_max_positions = 0;    // kYarn and what follows: the length trained on
  double beta_fast = 32, beta_slow = 1;  // kYarn: turns over that length, between which it blends
  double attention_factor = 0;  // kYarn, kLongRope: scales the table; 0: by yarn_magnitude(factor)
  double low_freq_factor = 1, high_freq_factor = 4;  // kLlama3: likewise
  bool truncate = true;  // kYarn: the blend begins and ends at whole pairs
  // kLongRope: what wavelengths are multiplied by, [dims / 2]; the longer ones where a sequence has
  // room for more than original_max_positions tokens.
  std::vector<double> short_factors, long_factors;

  bool by_room() const {
    return dims != 0 &&
           (scaling == RotaryScaling::kLongRope || scaling == RotaryScaling::kDynamicNtk);
  }
  // The size of the table, where there is one for all sequences.
  int64_t table_floats() const { return by_room() ? 0 : dims * max_positions; }
  // Sequences turn alike whose rooms have the same choice.
  int64_t choice(int64_t room) const;

  bool operator==(const RotarySpec&) const = default;
};

// YaRN's scale of cosines and sines, 0.1 mscale ln(factor) + 1, and 1 up to factor 1. A model with
// `mscale` and `mscale_all_dim` has an attention_factor of the one's magnitude over the other's.
double yarn_magnitude(double factor, double mscale = 1);

// Radians per position of each pair, of a sequence with that room, which matters by_room alone.
void fill_rotary_frequencies(const RotarySpec& spec, int64_t room,
                             std::span<double> frequencies /* [dims / 2] */);
// One position: dims / 2 cosines, then as many sines.
void fill_rotary_row(const RotarySpec& spec, std::span<const double> frequencies, int64_t position,
                     float* row /* [dims] */);
// Row p is position p. Not by_room.
void fill_rotary_table(const RotarySpec& spec, float* table /* [max_positions, dims] */);

// Press et al. 2021, "Train Short, Test Long": a geometric sequence for powers of two; for other
// counts the sequence of the power below, then every other one of the power above.
void fill_alibi_slopes(int64_t n_heads, float* slopes /* [n_heads] */);
// Writes what KeyAlibiSpec adds to the scores of the keys from position 0 on.
void fill_key_alibi(float slope, float scale, std::span<float> bias);

// The bucket of T5 (Raffel et al. 2019) for distance = key - query: half of a direction's buckets
// are exact, the others grow as logarithms up to max_distance. Without `bidirectional` keys after
// the query count as distance 0. A direction has n_buckets, or half of them; it needs 2 or more,
// and max_distance more than half of those.
int64_t relative_bucket(int64_t distance, int64_t n_buckets, int64_t max_distance,
                        bool bidirectional);

// One head's biases by distance, key - query, which is at max_len - 1 + distance.
void fill_relative_bias(const float* table /* [n_buckets, n_heads] */, int64_t n_heads,
                        int64_t n_buckets, int64_t max_distance, bool bidirectional, int64_t head,
                        int64_t max_len, float* bias /* [2 * max_len - 1] */);

enum class Sinusoids {
  kInterleaved,  // column 2 c is sin(position / 10000^(2 c / d_model)), 2 c + 1 its cosine
  kHalves,       // the same, all sines first, then all cosines (Marian)
  kInclusive,    // halves of h = d_model / 2 columns, sin(position / 10000^(c / (h - 1))): the last
                 // wavelength is 10000 (tensor2tensor, M2M-100); an odd last column is zero
};

// Vaswani et al. 2017. Row p is position first + p.
void fill_sinusoidal(int64_t first, int64_t max_positions, int64_t d_model, Sinusoids kind,
                     float* table /* [max_positions, d_model] */);

}  // namespace headlane
