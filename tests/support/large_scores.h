// Operands of attention whose scores are as large as a test wants, and exact: each is a whole
// number of eighths of a unit below 2^24, a unit being a power of two, so float64 tells what is
// right to a few roundings of a float, however large the scores are.
#pragma once

#include <algorithm>
#include <vector>

#include "tests/support/attention_operands.h"

namespace headlane::test {

// 2^-9 makes scores of 1e3, 2^81 those of 1e30.
inline constexpr float kUnits[] = {0x1p-9f, 1.0f, 0x1p11f, 0x1p31f, 0x1p56f, 0x1p81f};

// The scores that are large: all, by a positive or a negative number, or some by either.
enum class Sign { kPositive, kNegative, kBoth };
inline constexpr Sign kSigns[] = {Sign::kPositive, Sign::kNegative, Sign::kBoth};

// Key j is k_0 = 2^19 and small whole numbers; query i times the scale is (unit, unit, 0, ...)
// times 1 + i / 8, so a score is an eighth of the unit times (8 + i) (k_0 + k_1). Keys of the same
// score are among them, and keys of scores next to each other; each query's largest is another
// number. Q and K are exact in bf16 too.
inline float large_query(float unit, int64_t i) {
  return unit * (1 + static_cast<float>(i % 9) / 8);
}
inline float large_key(Sign sign, int64_t j, int64_t c, std::mt19937* random) {
  if (c > 0) return static_cast<float>(static_cast<int64_t>((*random)() % 81) - 40);
  const bool negative = sign == Sign::kNegative || (sign == Sign::kBoth && j % 3 != 0);
  return negative ? -0x1p19f : 0x1p19f;
}

// The additions to plain scores. All is all except the cap, under which no score is large.
enum class Added {
  kNothing,
  kMask,
  kBias,
  kRelative,
  kAlibi,
  kPositions,
  kSink,
  kTurns,
  kCap,
  kAll
};
inline constexpr Added kAdded[] = {Added::kNothing,   Added::kMask, Added::kBias,  Added::kRelative,
                                   Added::kAlibi,     Added::kSink, Added::kTurns, Added::kCap,
                                   Added::kPositions, Added::kAll};

// With what may be added to the scores, in whole units too.
struct LargeScores {
  static constexpr int64_t kQueries = 9, kKeys = 300, kHeadDim = 16;
  LargeScores(float unit, Sign sign)
      : p(kQueries, kKeys, kHeadDim, 5),
        bias(kQueries * kKeys),
        relative(kQueries + kKeys + 270),
        mask(kQueries * kKeys),
        quarter_turns(kQueries + kKeys, kHeadDim),
        sink((sign == Sign::kNegative ? -0x1p19f : 0x1p19f) * unit),
        unit_(unit) {
    std::mt19937 random(31);
    const auto whole = [&] { return static_cast<float>(random() % 81) - 40; };
    for (int64_t i = 0; i < p.q.size(); ++i) {
      p.q[i] = i % kHeadDim < 2 ? large_query(4 * unit, i / kHeadDim) : 0.0f;
    }
    for (int64_t i = 0; i < p.k.size(); ++i) {
      p.k[i] = large_key(sign, i / kHeadDim, i % kHeadDim, &random);
    }
    for (int64_t i = 0; i < bias.size(); ++i) bias[i] = unit * whole();
    for (int64_t i = 0; i < bias.size(); i += 5) bias[i] = i % 2 ? -INFINITY : -3.4028235e38f;
    for (int64_t i = 0; i < relative.size(); ++i) relative[i] = unit * whole();
    for (int64_t i = 0; i < mask.size(); ++i) mask[i] = random() % 3 != 0;
    for (int64_t i = 0; i < quarter_turns.values.size(); ++i) {
      const int64_t angle = i / kHeadDim % 4;  // cosines 1 0 -1 0, sines 0 1 0 -1
      const float cosine = angle % 2 ? 0.0f : 1.0f - static_cast<float>(angle);
      const float sine = angle % 2 ? 2.0f - static_cast<float>(angle) : 0.0f;
      quarter_turns.values[i] = i % kHeadDim < kHeadDim / 2 ? cosine : sine;
    }
  }

  void set(Added added) {
    const auto has = [&](Added one) { return added == one || added == Added::kAll; };
    AttentionF32Args& args = p.args;
    args.mask = has(Added::kMask) ? mask.data() : nullptr;
    args.bias = has(Added::kBias) ? bias.data() : nullptr;
    args.ld_mask = args.ld_bias = kKeys;
    args.relative_bias = nullptr;
    args.alibi_slope = has(Added::kAlibi) ? unit_ : 0.0f;
    args.causal = has(Added::kPositions);
    args.q_offset = args.causal ? 270 : 0;
    args.window_left = args.causal ? 250 : AttentionF32Args::kUnlimited;
    args.prefix_len = args.causal ? 275 : 0;
    if (has(Added::kRelative)) args.relative_bias = &relative[kQueries - 1 + args.q_offset];
    args.sink = has(Added::kSink) ? &sink : nullptr;
    args.softcap = added == Added::kCap ? 8.0f : 0.0f;
    args.rotary = nullptr;
    args.rotary_dims = 0;
    if (has(Added::kTurns)) set_rotary(&p, &quarter_turns, kHeadDim, false);
  }

  Problem p;
  GuardedFloats bias, relative;
  Guarded<uint8_t> mask;
  RotaryTable quarter_turns;
  const float sink;

 private:
  float unit_;
};

// Queries that see all keys but for `far`, whose weight is 0 for all of them and whose value's last
// column is `value`.
inline void set_weightless(Problem* p, int64_t far, float value) {
  const int64_t head_dim = p->args.head_dim, v_dim = p->args.v_dim;
  for (int64_t i = 0; i < p->args.q_len; ++i) p->q[i * head_dim] = 40;
  p->k[far * head_dim] = -4096;
  p->v[far * v_dim + v_dim - 1] = value;
}

}  // namespace headlane::test
