// Operands of attention that say where queries and keys stand, and other kinds of scores, at
// random.
#pragma once

#include <vector>

#include "tests/support/attention_reference.h"

namespace headlane::test {

// cosines and sines of random angles, [positions, dims]: the kernels take any.
struct RotaryTable {
  RotaryTable(int64_t positions, int64_t dims) : values(positions * dims) {
    std::mt19937 random(static_cast<uint32_t>(positions * 257 + dims));
    std::uniform_real_distribution<double> angle(-3.2, 3.2);
    for (int64_t position = 0; position < positions; ++position) {
      for (int64_t c = 0; c < dims / 2; ++c) {
        const double x = angle(random);
        values[position * dims + c] = static_cast<float>(std::cos(x));
        values[position * dims + dims / 2 + c] = static_cast<float>(std::sin(x));
      }
    }
  }
  GuardedFloats values;
};

inline void set_rotary(Problem* p, RotaryTable* table, int64_t dims, bool interleaved) {
  p->args.rotary = table->values.data();
  p->args.rotary_dims = dims;
  p->args.rotary_interleaved = interleaved;
}

// All distances of a problem's queries and keys, and none beyond.
struct RelativeBias {
  explicit RelativeBias(const AttentionF32Args& args) : values(args.q_len + args.kv_len - 1) {
    std::mt19937 random(77);
    fill_random(&values, &random, 2.0f);
  }
  // element of distance 0; the least distance is the last query's to the first key
  const float* centre(const AttentionF32Args& args) {
    return values.data() + (args.q_len - 1 + args.q_offset);
  }
  GuardedFloats values;
};

inline void set_additive(Problem* p, GuardedFloats* weights) {
  std::mt19937 random(78);
  fill_random(weights, &random);
  p->args.additive = weights->data();
  p->args.scale = 1.0f;
}

// The keys that a query sees by position: each combination of a causal mask with a prefix or
// without, and a window on either side. A prefix means nothing without a causal mask.
struct Positions {
  bool causal;
  int64_t prefix_len, window_left, window_right;
  void set(AttentionF32Args* args) const {
    args->causal = causal;
    args->prefix_len = prefix_len;
    args->window_left = window_left;
    args->window_right = window_right;
  }
};

inline std::vector<Positions> all_positions() {
  constexpr int64_t kUnlimited = AttentionF32Args::kUnlimited;
  std::vector<Positions> all;
  for (const bool causal : {false, true}) {
    for (const int64_t prefix_len : {0, 10, 245}) {
      for (const int64_t left : {kUnlimited, int64_t{5}}) {
        for (const int64_t right : {kUnlimited, int64_t{0}, int64_t{3}}) {
          all.push_back({causal, prefix_len, left, right});
        }
      }
    }
  }
  return all;
}

// Everything at once, by steps.
struct Combination {
  static constexpr int64_t kQueries = 30, kKeys = 260, kHeadDim = 26, kDims = 22;
  Combination()
      : p(kQueries, kKeys, kHeadDim, kHeadDim),
        bias(kQueries * kKeys),
        additive(kHeadDim),
        mask(kQueries * kKeys),
        table(kKeys, kDims),
        relative(p.args) {
    std::mt19937 random(9);
    fill_random(&bias, &random);
    for (int64_t i = 0; i < mask.size(); ++i) mask[i] = random() % 3 != 0;
    p.args.mask = mask.data();
    p.args.ld_mask = kKeys;
    p.args.bias = bias.data();
    p.args.ld_bias = kKeys;
    p.args.softcap = 2.5f;
    p.args.sink = &sink;
    p.args.alibi_slope = 0.25f;
    p.args.q_offset = 50;
    p.args.window_right = 100;
    p.args.relative_bias = relative.centre(p.args);
  }
  Problem p;
  GuardedFloats bias, additive;
  Guarded<uint8_t> mask;
  RotaryTable table;
  RelativeBias relative;
  const float sink = 0.7f;
};

// A kind of score, with what it adds to a problem of 300 queries and keys, head_dim 26.
struct Kind {
  const char* name;
  bool rotary, interleaved, relative, additive;
};
inline constexpr Kind kKinds[] = {{"halves", true, false, false, false},
                                  {"pairs", true, true, false, false},
                                  {"relative", false, false, true, false},
                                  {"additive", false, false, false, true},
                                  {"halves and relative", true, false, true, false}};

struct Kinds {
  static constexpr int64_t kLen = 300, kHeadDim = 26, kDims = 22;
  Kinds() : table(kLen, kDims), relative(2 * kLen - 1), additive(kHeadDim) {
    std::mt19937 random(79);
    fill_random(&relative, &random);
  }
  void set(const Kind& kind, Problem* p) {
    if (kind.rotary) set_rotary(p, &table, kDims, kind.interleaved);
    if (kind.relative) p->args.relative_bias = relative.data() + kLen - 1;
    if (kind.additive) set_additive(p, &additive);
  }
  RotaryTable table;
  GuardedFloats relative, additive;
};

}  // namespace headlane::test
