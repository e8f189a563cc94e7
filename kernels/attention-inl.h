// O = softmax(cap(scores) + biases) V for one head of one sequence (kernels.h says which keys
// count), by the loops of attention_scores-inl.h.
//
// A block's V is packed into rows of whole vectors beside its K: 2 BC head_dim floats, 120 KB at
// head_dim 64, which stay in L2 while the group's strips pass by. A strip's scores, MR x BC floats,
// stay in L1.
//
// The softmax is online (Milakov and Gimelshein 2018, "Online normalizer calculation for softmax"):
// each query keeps the maximum m and the sum l of the blocks so far, and its O is scaled when m
// grows. A sequence of up to BC keys is one block: exact maximum, nothing rescaled. A block that a
// query does not see changes nothing in it, to the bit: so a query's result does not depend on its
// strip or group.
#pragma once

#include "kernels/attention_scores-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// Packs keys [begin, begin + n). Returns whether all of V there is finite.
template <typename T>
inline bool pack_block(const AttentionArgs<T>& args, const AttentionScratch<T>& at, int64_t begin,
                       int64_t n) {
  pack_keys(args, at, begin, n);
  for (int64_t j = begin; args.next_v && j < begin + n; ++j) {
    fetch_row(args.next_v + j * args.ldv, args.v_dim);
  }
  F32 differences = broadcast(0.0f);  // x - x is 0, or NaN for what is not finite
  AttentionTile<T>::pack_values(args.v + begin * args.ldv, args.ldv, n, args.v_dim, nullptr, at.v,
                                at.ldv, &differences);
  return reduce_add(differences) == 0.0f;
}

// One query's S of one block, the largest of it given lane by lane, becomes 2^(factor * s -
// offset), written to `to`; m, the largest s so far, which has the offset, and l are brought up to
// date. Returns what the query's O so far must be multiplied by.
template <typename T>
inline float softmax_update(const float* s, T* to, int64_t n, F32 largest, float factor, float* m,
                            float* l) {
  using Tile = AttentionTile<T>;
  const float minus_infinity = -kInfinity;
  const float block_m = reduce_max(largest);
  const float new_m = block_m > *m ? block_m : *m;
  F32 sum = broadcast(0.0f);
  const auto write = [&](auto exponents) {
    for_each_vector(n, [&](int64_t j, int64_t width) {
      const F32 p = keep_n(Tile::exp2(exponents(load(s + j))), width, 0.0f);
      Tile::store_p(to + j, p);
      sum = sum + p;
    });
  };
  const F32 factors = broadcast(factor);
  if (has_near_offset(new_m, factor)) {
    const F32 minus_offset = broadcast(-(new_m * factor));
    write([&](F32 x) { return fma(x, factors, minus_offset); });
  } else {
    // Nothing seen so far: -inf - (-inf) would be NaN, and every exponential is to be 0.
    const F32 subtracted = broadcast(new_m == minus_infinity ? 0.0f : new_m);
    write([&](F32 x) { return (x - subtracted) * factors; });
  }
  constexpr int64_t kWhole = Tile::kPerGroup * Tile::kStep;
  for (int64_t j = round_up(n, kWidth); j < round_up(n, kWhole); j += kWidth) {
    Tile::store_p(to + j, broadcast(0.0f));
  }
  const bool first = *m == minus_infinity;
  const float rescale =
      first || new_m == *m ? 1.0f : power(offset_of(*m, factor) - offset_of(new_m, factor));
  *l = *l * rescale + reduce_add(sum);
  *m = new_m;
  return rescale;
}

// O[rows, v_dim] += P[rows, n] V (= where it is the first). V is packed.
template <typename T>
inline void add_values(const AttentionArgs<T>& args, const AttentionScratch<T>& at, int64_t row,
                       int64_t rows, int64_t n, bool first, float* o) {
  using Tile = AttentionTile<T>;
  const T* p = reinterpret_cast<const T*>(at.p) + row * Tile::kBC;
  Tile::multiply(at.unit, rows, round_up(args.v_dim, kWidth), Tile::groups(n), p, Tile::kBC, at.v,
                 at.ldv, first ? kZeroRow : nullptr, o, at.ldv);
}

// The same for a block whose V is not all finite, and queries i .. i + rows: what a query does not
// see must not turn into NaN, so it meets a V in which such rows are zeros. What it sees must, even
// where its weight is 0, so weights do not tell the two apart. Rare, so a query at a time; the bits
// of queries that see nothing of such a value are those that they would be without it.
template <typename T>
inline void add_values_seen(const AttentionArgs<T>& args, const AttentionScratch<T>& at, int64_t i,
                            int64_t rows, int64_t begin, int64_t n, bool first, float* o) {
  using Tile = AttentionTile<T>;
  for (int64_t r = 0; r < rows; ++r) {
    uint8_t seen[Tile::kBC];
    for (int64_t j = 0; j < n; ++j) seen[j] = sees_key(args, i + r, begin + j);
    F32 differences = broadcast(0.0f);
    Tile::pack_values(args.v + begin * args.ldv, args.ldv, n, args.v_dim, seen, at.v, at.ldv,
                      &differences);
    add_values(args, at, r, 1, n, first, o + r * at.ldv);
  }
}

// One strip of queries, r0 .. r0 + rows of the group, meets one block of keys.
template <typename T>
inline void attend_block(const AttentionArgs<T>& args, const AttentionScratch<T>& at,
                         const QueryGroup<T>& group, int64_t r0, int64_t rows, int64_t begin,
                         int64_t n, bool finite) {
  // Whether O holds nothing yet; where a strip's first block may be any, it began as zeros.
  using Tile = AttentionTile<T>;
  const int64_t first_block = keys_seen(args, group.first + r0).begin / Tile::kBC * Tile::kBC;
  const bool first = !group.may_skip && begin == first_block;
  score_strip(args, at, group, r0, rows, begin, n, [&](int64_t r, float* s, F32 largest) {
    T* p = reinterpret_cast<T*>(at.p) + (r - r0) * Tile::kBC;
    const float rescale = softmax_update(s, p, n, largest, group.factor, at.m + r, at.l + r);
    if (first || rescale == 1.0f) return;
    for (int64_t c = 0; c < at.ldv; c += kWidth) {
      store(at.o + r * at.ldv + c, load(at.o + r * at.ldv + c) * broadcast(rescale));
    }
  });
  float* o = at.o + r0 * at.ldv;
  if (!finite) return add_values_seen(args, at, group.first + r0, rows, begin, n, first, o);
  add_values(args, at, 0, rows, n, first, o);
}

// O of a group, divided by its sums, to the caller.
template <typename T>
inline void finish_group(const AttentionArgs<T>& args, const AttentionScratch<T>& at,
                         const QueryGroup<T>& group) {
  for (int64_t r = 0; r < group.rows; ++r) {
    if (args.next_q) fetch_row(args.next_q + (group.first + r) * args.ldq, args.head_dim);
    float sum = at.l[r], rescale = 1.0f;
    if (args.sink) {
      const double above = has_near_offset(at.m[r], group.factor)
                               ? double{at.m[r]} * group.factor - offset_of(at.m[r], group.factor)
                               : 0.0;  // the largest exponent
      const SinkShare share = sink_share(*args.sink, double{at.m[r]} * group.scale, above);
      rescale = share.rescale;
      sum = sum * rescale + share.own;
    }
    // There may be nothing in its O then. A query whose scores are all -inf, since they are too
    // large for a float, sees keys, and gets NaN, which is what 0 / 0 is.
    const bool sees_nothing = at.l[r] == 0.0f && !sees_any_key(args, group.first + r);
    const F32 factor = broadcast(rescale / sum);
    for_each_vector(args.v_dim, [&](int64_t c, int64_t width) {
      const F32 o = sees_nothing ? broadcast(0.0f) : load(at.o + r * at.ldv + c) * factor;
      AttentionTile<T>::store_o(args.o + (group.first + r) * args.ldo + c, o, width);
    });
  }
}

template <typename T>
inline void attend_group(const AttentionArgs<T>& args, const AttentionScratch<T>& at, int64_t first,
                         int64_t rows) {
  const QueryGroup<T> group = make_group(args, at, first, rows);
  for (int64_t r = 0; r < rows; ++r) {
    at.m[r] = -kInfinity;
    at.l[r] = 0.0f;
  }
  for (int64_t c = 0; group.may_skip && c < rows * at.ldv; c += kWidth) {
    store(at.o + c, broadcast(0.0f));
  }
  bool finite = true;
  for_each_block(
      args, group, [&](int64_t begin, int64_t n) { finite = pack_block(args, at, begin, n); },
      [&](int64_t r, int64_t strip, int64_t begin, int64_t n) {
        attend_block(args, at, group, r, strip, begin, n, finite);
      });
  finish_group(args, at, group);
}

template <typename T>
inline void attention(const AttentionArgs<T>& args) {
  assert(args.v_dim >= 1);
  check_attention(args);
  typename AttentionTile<T>::Unit unit;
  const AttentionScratch<T> at =
      attention_layout<T>(args.scratch, args.head_dim, args.v_dim, &unit);
  constexpr int64_t kGroupRows = AttentionTile<T>::kGroupRows;
  for (int64_t i = 0; i < args.q_len; i += kGroupRows) {
    attend_group(args, at, i, smaller(kGroupRows, args.q_len - i));
  }
}

}  // namespace headlane::kernels::HEADLANE_ISA
