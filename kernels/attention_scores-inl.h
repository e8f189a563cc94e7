// Scores of attention: what attention-inl.h and attention_probabilities-inl.h share. It knows which
// keys a strip of queries sees, packs a block of keys, and computes the strip's scores of it.
//
// Loops, outermost first: groups of up to kGroupRows queries; blocks of BC keys; strips of MR
// queries. A block's K is packed into panels as GEMM packs weights ([head_dim, NR keys] each), once
// per group. Rows that rotary positions turn are turned on the way, Q's once per group, K's once
// per packing, so that what is multiplied is the same either way. Blocks that a strip sees nothing
// of, by position, mask or bias, are not computed, nor packed if no strip sees them. Blocks begin
// at multiples of BC keys: a query's scores do not depend on its strip or group.
//
// Q, K and V are floats, or bf16 in pairs of 32 bits; what differs is in AttentionTile<T>. Lengths
// of rows of pairs, and of all scratch, count floats.
//
//   scratch:  K block  [BC / NR] panels of [head_dim, NR]
//             V block  [BC, ldv]
//             S strip  [MR, BC]
//             P strip  [MR, BC]          the same place as S, or bf16
//             O group  [kGroupRows, ldv]
//             m, l     [kGroupRows] each
//             Q copies [kGroupRows, ldq]
//             K copies [NR, ldq]
//             row      [2, head_dim]     while bf16 turn
#pragma once

#include "kernels/loops-inl.h"
#include "kernels/math-inl.h"
#include "kernels/pack-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

template <typename T>
struct AttentionTile;

template <typename T>
inline void check_attention(const AttentionArgs<T>& args) {
  assert(args.kv_len >= 0 && args.head_dim >= 1 && args.scale > 0);
  assert(args.rotary_dims % 2 == 0 && args.rotary_dims <= args.head_dim);
  assert(!args.additive || (args.scale == 1 && !args.rotary));
  (void)args;  // where asserts are off
}

template <typename T>
struct AttentionScratch {
  int64_t ldq, ldv, total;
  float *k, *v, *s, *p, *o, *m, *l, *q_copies, *k_copies, *row;
  typename AttentionTile<T>::Unit* unit;
};

template <typename T>
inline AttentionScratch<T> attention_layout(float* base, int64_t head_dim, int64_t v_dim,
                                            typename AttentionTile<T>::Unit* unit) {
  using Tile = AttentionTile<T>;
  AttentionScratch<T> at;
  at.ldq = round_up(Tile::groups(head_dim), kRowAlign);
  at.ldv = round_up(v_dim, kRowAlign);
  int64_t end = 0;
  const auto take = [&](int64_t n) {
    const int64_t begin = end;
    end += round_up(n, kRowAlign);
    return base ? base + begin : nullptr;
  };
  at.k = take(Tile::kBC * at.ldq);
  at.v = take(Tile::kBC / Tile::kPerGroup * at.ldv);
  at.s = take(Tile::kMR * Tile::kBC);
  at.p = Tile::kPerGroup == 1 ? at.s : take(Tile::kMR * Tile::kBC / Tile::kPerGroup);
  at.o = take(Tile::kGroupRows * at.ldv);
  at.m = take(Tile::kGroupRows);
  at.l = take(Tile::kGroupRows);
  at.q_copies = take(Tile::kGroupRows * at.ldq);
  at.k_copies = take(Tile::kNR * at.ldq);
  at.row = take(Tile::kPerGroup == 1 ? 0 : 2 * round_up(head_dim, kRowAlign));
  at.total = end;
  at.unit = unit;
  return at;
}

template <typename T>
inline int64_t attention_scratch_floats(int64_t head_dim, int64_t v_dim) {
  return attention_layout<T>(nullptr, head_dim, v_dim, nullptr).total;
}

// The keys [begin, end) that query i may see by its position.
struct KeyRange {
  int64_t begin, end;
};

template <typename T>
inline KeyRange keys_seen(const AttentionArgs<T>& args, int64_t i) {
  const int64_t position = i + args.q_offset;
  const int64_t first = position - args.window_left;
  int64_t end = smaller(position + args.window_right + 1, args.kv_len);
  if (args.causal) {
    end = smaller(end, position + 1 > args.prefix_len ? position + 1 : args.prefix_len);
  }
  return {first > 0 ? first : 0, end};
}

// Whether query i sees key j, by position, mask and bias.
template <typename T>
inline bool sees_key(const AttentionArgs<T>& args, int64_t i, int64_t j) {
  const KeyRange keys = keys_seen(args, i);
  if (j < keys.begin || j >= keys.end) return false;
  if (args.mask && args.mask[i * args.ld_mask + j] == 0) return false;
  return !(args.bias && args.bias[i * args.ld_bias + j] <= -__FLT_MAX__);  // NaN is not masked
}

template <typename T>
[[gnu::noinline]] inline bool sees_any_key(const AttentionArgs<T>& args, int64_t i) {
  const KeyRange keys = keys_seen(args, i);
  for (int64_t j = keys.begin; j < keys.end; ++j) {
    if (sees_key(args, i, j)) return true;
  }
  return false;
}

// Queries first .. first + rows, as scores are to be made of them.
template <typename T>
struct QueryGroup {
  int64_t first, rows;
  const T* q;  // the caller's rows, or copies: turned, and as products want them
  int64_t ldq;
  bool adjusts;   // whether scores need more than the scale before the exponential
  bool may_skip;  // whether strips may skip blocks that their positions would let them see
  float scale;    // what S of score_strip() is to be multiplied by, to be the scores
  float factor;   // what differences of S are to be multiplied by, to be exponents of 2
};

// Below this scale S itself is scaled before the softmax takes its differences: they could pass the
// largest float where those of the scores are small. From here on, a difference of S that is
// infinite is one of scores that is 2^28 or more, whose exponential is 0.
constexpr float kLeastScaleOfDifferences = 0x1p-100f;

template <typename T>
inline QueryGroup<T> make_group(const AttentionArgs<T>& args, const AttentionScratch<T>& at,
                                int64_t first, int64_t rows) {
  using Tile = AttentionTile<T>;
  const bool adjusts = args.softcap > 0 || args.bias || args.mask || args.alibi_slope != 0 ||
                       args.relative_bias || args.scale < kLeastScaleOfDifferences;
  const bool may_skip = args.mask || args.bias;
  const float scale = adjusts ? 1.0f : args.scale, factor = scale * kLog2E;
  const T* q = args.q + first * args.ldq;
  if (!Tile::copies(args)) return {first, rows, q, args.ldq, adjusts, may_skip, scale, factor};
  T* copies = reinterpret_cast<T*>(at.q_copies);
  const int64_t ld = at.ldq * Tile::kPerGroup;
  for (int64_t r = 0; r < rows; ++r) {
    Tile::copy_row(args, first + r + args.q_position, q + r * args.ldq, at.row, copies + r * ld);
  }
  return {first, rows, copies, ld, adjusts, may_skip, scale, factor};
}

// Whether mask or bias leaves queries i .. i + rows none of the keys [begin, begin + n).
template <typename T>
[[gnu::noinline]] inline bool is_masked_out(const AttentionArgs<T>& args, int64_t i, int64_t rows,
                                            int64_t begin, int64_t n) {
  for (int64_t r = i; r < i + rows; ++r) {
    bool any = !args.mask;
    for (int64_t j = begin; !any && j < begin + n; ++j) any = args.mask[r * args.ld_mask + j] != 0;
    if (!any) continue;
    any = !args.bias;
    for (int64_t j = begin; !any && j < begin + n; ++j) {
      any = !(args.bias[r * args.ld_bias + j] <= -__FLT_MAX__);  // NaN is not masked
    }
    if (any) return false;
  }
  return true;
}

// Exponents of 2 are factor * s - offset, and offset is about factor * m, m being the largest s.
// Near 0 it is that product, rounded: one fused step makes the exponents, and what was rounded, at
// most 1/4, is in all of them, and so in no weight. Beyond, it would be rounded by more than an
// exponent may be: there the difference s - m comes before the product, and offset is factor * m
// itself.
inline bool has_near_offset(float m, float factor) {
  constexpr float kNear = 0x1p23f;
  return m * factor < kNear && m * factor > -kNear;
}
inline double offset_of(float m, float factor) {
  return has_near_offset(m, factor) ? double{m * factor} : double{m} * factor;
}

inline float power(double exponent) { return exp2(broadcast(static_cast<float>(exponent))).get(0); }

// A sink beside scores of which the largest, or -inf, and its exponent are given: what the sum of
// the scores' exponentials, and what was weighted by them, are to be multiplied by, and the sink's
// own exponential. In double, since each is to be right to a few units where both are large.
struct SinkShare {
  float rescale, own;
};
inline SinkShare sink_share(float sink, double largest, double its_exponent) {
  const double exponent = (sink - largest) * kLog2EDouble + its_exponent;
  if (exponent > 0) return {power(-exponent), 1.0f};
  return {1.0f, power(exponent)};
}

// Calls pack(begin, n) for each block of keys [begin, begin + n) that the group sees, then
// strip(r, rows, begin, n) for the strips of its queries r .. r + rows that see the block.
template <typename T, typename Pack, typename Strip>
inline void for_each_block(const AttentionArgs<T>& args, const QueryGroup<T>& group, Pack pack,
                           Strip strip) {
  constexpr int64_t kBC = AttentionTile<T>::kBC;
  const auto strips = AttentionTile<T>::strips(group.rows);
  // Both ends of what a query sees move with it: those of a run of queries are its first's and
  // last's.
  const int64_t begin = keys_seen(args, group.first).begin / kBC * kBC;
  const int64_t end = keys_seen(args, group.first + group.rows - 1).end;
  for (int64_t block = begin; block < end; block += kBC) {
    const int64_t n = smaller(kBC, args.kv_len - block);
    bool packed = false;
    for (int64_t i = 0; i < strips.count(); ++i) {
      const int64_t r = strips.begin(i), rows = strips.rows(i);
      const bool seen = keys_seen(args, group.first + r).begin < block + n &&
                        keys_seen(args, group.first + r + rows - 1).end > block;
      if (!seen) continue;
      if (group.may_skip && is_masked_out(args, group.first + r, rows, block, n)) continue;
      if (!packed) pack(block, n);
      packed = true;
      strip(r, rows, block, n);
    }
  }
}

// Packs the K of keys [begin, begin + n).
template <typename T>
inline void pack_keys(const AttentionArgs<T>& args, const AttentionScratch<T>& at, int64_t begin,
                      int64_t n) {
  using Tile = AttentionTile<T>;
  for (int64_t j = begin; args.next_k && j < begin + n; ++j) {
    fetch_row(args.next_k + j * args.ldk, args.head_dim);
  }
  const int64_t groups = Tile::groups(args.head_dim);
  const bool copies = Tile::copies(args);
  for (int64_t j = 0; j < n; j += Tile::kNR) {
    const int64_t keys = smaller(Tile::kNR, n - j);
    const T* k = args.k + (begin + j) * args.ldk;
    int64_t ldk = args.ldk / Tile::kPerGroup;
    const float* rows = reinterpret_cast<const float*>(k);
    if (copies) {
      ldk = at.ldq;
      rows = at.k_copies;
      for (int64_t i = 0; i < keys; ++i) {
        T* copy = reinterpret_cast<T*>(at.k_copies + i * ldk);
        Tile::copy_row(args, begin + j + i + args.k_position, k + i * args.ldk, at.row, copy);
      }
    }
    pack_panel<Tile::kNR>(rows, keys, groups, ldk, at.k + j * groups);
  }
}

alignas(64) constexpr float kLaneNumbers[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                8, 9, 10, 11, 12, 13, 14, 15};

// A query sees these of a block's keys [0, n) by position.
struct SeenInBlock {
  int64_t begin, end;
};

// Makes scores of one query's products: scales, caps, adds biases and ALiBi; -inf where the query
// does not see the key. Returns the largest, lane by lane. They are not exponents of 2 yet: a large
// score times log2(e) would be rounded, by more than two scores may differ. One pass, since it runs
// for every score; what the template leaves out costs nothing.
template <typename T, bool kBias, bool kMask, bool kMore>
[[gnu::noinline]] inline F32 adjust_row(const AttentionArgs<T>& args, int64_t i, int64_t begin,
                                        int64_t n, SeenInBlock seen, float* s) {
  const F32 unseen = broadcast(-kInfinity);
  const F32 scale = broadcast(args.scale), slope = broadcast(args.alibi_slope);
  const bool capped = args.softcap > 0, partly = seen.begin > 0 || seen.end < n;
  const F32 to_cap = broadcast(capped ? args.scale / args.softcap : 0.0f);
  const F32 cap = broadcast(args.softcap);
  const int64_t distance = begin - (i + args.q_offset);  // of the first key
  F32 largest = unseen;
  for_each_vector(n, [&](int64_t j, int64_t width) {
    const F32 score = load(s + j);
    F32 x = kMore && capped ? cap * tanh(score * to_cap) : score * scale, bias = unseen;
    if constexpr (kBias) {
      bias = load_up_to(args.bias + i * args.ld_bias + begin + j, width);
      x = x + bias;
    }
    if (kMore && args.relative_bias) {
      x = x + load_up_to(args.relative_bias + (distance + j), width);
    }
    if (kMore && args.alibi_slope != 0) {
      const F32 lane_0 = broadcast(static_cast<float>(distance + j));
      x = fnma(abs(load(kLaneNumbers) + lane_0), slope, x);
    }
    if constexpr (kBias) {  // the comparison is false for NaN
      x = xsimd::select(bias <= broadcast(-__FLT_MAX__), unseen, x);
    }
    if constexpr (kMask) {
      x = keep_seen(x, args.mask + i * args.ld_mask + begin + j, width, unseen);
    }
    if (kMore && partly) {
      const F32 lane = load(kLaneNumbers) + broadcast(static_cast<float>(j));
      const auto before = lane < broadcast(static_cast<float>(seen.begin));
      const auto after = lane >= broadcast(static_cast<float>(seen.end));
      x = xsimd::select(before || after, unseen, x);
    }
    store(s + j, x);
    largest = max(largest, keep_n(x, width, -kInfinity));
  });
  return largest;
}

template <typename T>
inline F32 adjust_scores(const AttentionArgs<T>& args, int64_t i, int64_t begin, int64_t n,
                         SeenInBlock seen, float* s) {
  const bool more = args.softcap > 0 || args.relative_bias || args.alibi_slope != 0 ||
                    seen.begin > 0 || seen.end < n;
  using Adjust = F32 (*)(const AttentionArgs<T>&, int64_t, int64_t, int64_t, SeenInBlock, float*);
  constexpr Adjust kAdjust[2][2][2] = {// [bias][mask][more]
                                       {{adjust_row<T, 0, 0, 0>, adjust_row<T, 0, 0, 1>},
                                        {adjust_row<T, 0, 1, 0>, adjust_row<T, 0, 1, 1>}},
                                       {{adjust_row<T, 1, 0, 0>, adjust_row<T, 1, 0, 1>},
                                        {adjust_row<T, 1, 1, 0>, adjust_row<T, 1, 1, 1>}}};
  return kAdjust[args.bias != nullptr][args.mask != nullptr][more](args, i, begin, n, seen, s);
}

// The same for scores that need no more than a factor, which the softmax applies.
inline F32 hide_unseen(int64_t n, SeenInBlock seen, float* s) {
  for (int64_t j = 0; j < seen.begin; ++j) s[j] = -kInfinity;
  for (int64_t j = seen.end; j < n; ++j) s[j] = -kInfinity;
  F32 largest = broadcast(-kInfinity);
  for_each_vector(n, [&](int64_t j, int64_t width) {
    largest = max(largest, keep_n(load(s + j), width, -kInfinity));
  });
  return largest;
}

// S of the group's queries r .. r + rows and the packed keys [begin, begin + n), -inf where a query
// does not see a key. done(r, s, largest) is called with each query's row as soon as it is
// complete, and its largest scores, lane by lane.
template <typename T, typename Done>
inline void score_strip(const AttentionArgs<T>& args, const AttentionScratch<T>& at,
                        const QueryGroup<T>& group, int64_t r0, int64_t rows, int64_t begin,
                        int64_t n, Done done) {
  using Tile = AttentionTile<T>;
  const T* q = group.q + r0 * group.ldq;
  const int64_t groups = Tile::groups(args.head_dim);
  for (int64_t j = 0; j < n; j += Tile::kNR) {
    const int64_t width = round_up(smaller(Tile::kNR, n - j), kWidth);
    const float* panel = at.k + j * groups;
    if constexpr (Tile::kPerGroup == 1) {
      if (args.additive) {
        Tile::add_tanh(args, rows, width, q, group.ldq, panel, at.s + j);
        continue;
      }
    }
    Tile::multiply(at.unit, rows, width, groups, q, group.ldq, panel, Tile::kNR, kZeroRow, at.s + j,
                   Tile::kBC);
  }
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t i = group.first + r0 + r;
    float* s = at.s + r * Tile::kBC;
    const KeyRange keys = keys_seen(args, i);
    const int64_t first = keys.begin - begin, last = keys.end - begin;
    const SeenInBlock seen = {first > 0 ? smaller(first, n) : 0, last > 0 ? smaller(last, n) : 0};
    done(r0 + r, s,
         group.adjusts ? adjust_scores(args, i, begin, n, seen, s) : hide_unseen(n, seen, s));
  }
}

}  // namespace headlane::kernels::HEADLANE_ISA
