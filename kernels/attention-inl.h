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

namespace headlane::kernels::HEADLANE_ISA {

// Packs keys [begin, begin + n). Returns whether all of V there is finite.
inline bool pack_block(const AttentionF32Args& args, const AttentionScratch& at, int64_t begin,
                       int64_t n) {
  pack_keys(args, at, begin, n);
  F32 differences = broadcast(0.0f);  // x - x is 0, or NaN for what is not finite
  for (int64_t j = 0; j < n; ++j) {
    if (args.next_v) fetch_row(args.next_v + (begin + j) * args.ldv, args.v_dim);
    for_each_vector(args.v_dim, [&](int64_t c, int64_t width) {
      const F32 x = load_up_to(args.v + (begin + j) * args.ldv + c, width);
      differences = differences + (x - x);
      store(at.v + j * at.ldv + c, x);
    });
  }
  return reduce_add(differences) == 0.0f;
}

// One query's scores of one block, the largest of them given lane by lane, become 2^(factor * score
// - m); m and l are brought up to date. Returns what the query's O so far must be multiplied by.
inline float softmax_update(float* s, int64_t n, F32 largest, float factor, float* m, float* l) {
  const float minus_infinity = -kInfinity;
  const float block_m = reduce_max(largest) * factor;
  const float new_m = block_m > *m ? block_m : *m;
  // Nothing seen so far: -inf - (-inf) would be NaN, and every exponential is to be 0.
  const F32 minus_offset = broadcast(new_m == minus_infinity ? 0.0f : -new_m);
  F32 sum = broadcast(0.0f);
  for_each_vector(n, [&](int64_t j, int64_t width) {
    const F32 p = keep_n(exp2(fma(load(s + j), broadcast(factor), minus_offset)), width, 0.0f);
    store(s + j, p);
    sum = sum + p;
  });
  const bool first = *m == minus_infinity;
  const float rescale = first || new_m == *m ? 1.0f : exp2(broadcast(*m) + minus_offset).get(0);
  *l = *l * rescale + reduce_add(sum);
  *m = new_m;
  return rescale;
}

// O[rows, v_dim] += P[rows, n] V (= where it is the first) for a block whose V is not all finite:
// what a query does not see (P = 0) must not turn into NaN, so products with it are left out. Rare,
// so plain, but each sum in multiply_strip's order: to the queries that see nothing of it, such a
// value makes no difference, not of a bit.
inline void add_values_seen(const AttentionF32Args& args, const AttentionScratch& at, int64_t rows,
                            int64_t n, bool first, float* o) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* p = at.s + r * kBC;
    for (int64_t c = 0; c < args.v_dim; c += kWidth) {
      F32 sum = broadcast(0.0f);
      for (int64_t j = 0; j < n; ++j) {
        if (p[j] != 0.0f) sum = fma(broadcast(p[j]), load(at.v + j * at.ldv + c), sum);
      }
      float* to = o + r * at.ldv + c;
      store(to, first ? sum : load(to) + sum);
    }
  }
}

// One strip of queries, r0 .. r0 + rows of the group, meets one block of keys.
inline void attend_block(const AttentionF32Args& args, const AttentionScratch& at,
                         const QueryGroup& group, int64_t r0, int64_t rows, int64_t begin,
                         int64_t n, bool finite) {
  // Whether O holds nothing yet; where a strip's first block may be any, it began as zeros.
  const bool first =
      !group.may_skip && begin == keys_seen(args, group.first + r0).begin / kBC * kBC;
  score_strip(args, at, group, r0, rows, begin, n, [&](int64_t r, float* s, F32 largest) {
    const float rescale = softmax_update(s, n, largest, group.factor, at.m + r, at.l + r);
    if (first || rescale == 1.0f) return;
    for (int64_t c = 0; c < at.ldv; c += kWidth) {
      store(at.o + r * at.ldv + c, load(at.o + r * at.ldv + c) * broadcast(rescale));
    }
  });
  float* o = at.o + r0 * at.ldv;
  if (!finite) return add_values_seen(args, at, rows, n, first, o);
  multiply_strip(rows, round_up(args.v_dim, kWidth), n, at.s, kBC, at.v, at.ldv,
                 first ? kZeroRow : nullptr, o, at.ldv);
}

// O of a group, divided by its sums, to the caller.
inline void finish_group(const AttentionF32Args& args, const AttentionScratch& at,
                         const QueryGroup& group) {
  for (int64_t r = 0; r < group.rows; ++r) {
    if (args.next_q) fetch_row(args.next_q + (group.first + r) * args.ldq, args.head_dim);
    float sum = at.l[r], rescale = 1.0f;
    if (args.sink) {
      const float sink = *args.sink * kLog2E;
      const float m = sink > at.m[r] ? sink : at.m[r];
      rescale = at.m[r] == m ? 1.0f : exp2(broadcast(at.m[r]) - broadcast(m)).get(0);
      sum = sum * rescale + exp2(broadcast(sink) - broadcast(m)).get(0);
    }
    const bool sees_nothing = at.l[r] == 0.0f;  // and there may be nothing in its O
    const F32 factor = broadcast(rescale / sum);
    for_each_vector(args.v_dim, [&](int64_t c, int64_t width) {
      const F32 o = sees_nothing ? broadcast(0.0f) : load(at.o + r * at.ldv + c) * factor;
      store_up_to(args.o + (group.first + r) * args.ldo + c, o, width);
    });
  }
}

inline void attend_group(const AttentionF32Args& args, const AttentionScratch& at, int64_t first,
                         int64_t rows) {
  const QueryGroup group = make_group(args, at, first, rows);
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

inline void attention_f32(const AttentionF32Args& args) {
  assert(args.v_dim >= 1);
  check_attention(args);
  const AttentionScratch at = attention_layout(args.scratch, args.head_dim, args.v_dim);
  for (int64_t i = 0; i < args.q_len; i += kGroupRows) {
    attend_group(args, at, i, smaller(kGroupRows, args.q_len - i));
  }
}

}  // namespace headlane::kernels::HEADLANE_ISA
