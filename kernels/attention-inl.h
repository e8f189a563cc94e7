// O = softmax(cap(scale * Q K^T) + bias) V for one head of one sequence (kernels.h says which keys
// count).
//
// Loops, outermost first: groups of up to kGroupRows queries; blocks of BC keys; strips of MR
// queries. A block's K is packed into panels as GEMM packs weights ([head_dim, NR keys] each), its
// V into rows of whole vectors, once per group: 2 BC head_dim floats, 120 KB at head_dim 64, which
// stay in L2 while the group's strips pass by. A strip's scores, MR x BC floats, stay in L1. Blocks
// that a strip sees nothing of are not computed.
//
// The softmax is online (Milakov and Gimelshein 2018, "Online normalizer calculation for softmax"):
// each query keeps the maximum m and the sum l of the blocks so far, and its O is scaled when m
// grows. A sequence of up to BC keys is one block: exact maximum, nothing rescaled. Blocks begin at
// multiples of BC keys and a block that a query does not see changes nothing in it, to the bit: so
// a query's result does not depend on its strip or group.
//
//   scratch:  K block  [BC / NR] panels of [head_dim, NR]
//             V block  [BC, ldv]
//             S strip  [MR, BC]
//             O group  [kGroupRows, ldv]
//             m, l     [kGroupRows] each

namespace headlane::kernels::HEADLANE_ISA {

constexpr int64_t kBC =
    240;  // keys of a block: a multiple of NR (16, 48) with S strip + panel in L1
constexpr int64_t kGroupRows =
    32 * kMR;  // packing a block costs 1 / kGroupRows of multiplying by it
static_assert(kBC % kNR == 0);

struct AttentionScratch {
  int64_t ldv;
  float *k, *v, *s, *o, *m, *l;
};

inline AttentionScratch attention_layout(float* base, int64_t head_dim, int64_t v_dim) {
  AttentionScratch at;
  at.ldv = round_up(v_dim, kRowAlign);
  at.k = base;
  at.v = at.k + kBC * round_up(head_dim, kRowAlign);
  at.s = at.v + kBC * at.ldv;
  at.o = at.s + round_up(kMR * kBC, kRowAlign);
  at.m = at.o + kGroupRows * at.ldv;
  at.l = at.m + round_up(kGroupRows, kRowAlign);
  return at;
}

inline int64_t attention_scratch_floats(int64_t head_dim, int64_t v_dim) {
  const int64_t ldv = round_up(v_dim, kRowAlign);
  return kBC * (round_up(head_dim, kRowAlign) + ldv) + round_up(kMR * kBC, kRowAlign) +
         kGroupRows * ldv + 2 * round_up(kGroupRows, kRowAlign);
}

// The keys [begin, end) that query i may see by its position.
struct KeyRange {
  int64_t begin, end;
};

inline KeyRange keys_seen(const AttentionF32Args& args, int64_t i) {
  const int64_t position = i + args.q_offset;
  const int64_t last = position + args.window_right + 1;
  const int64_t first = position - args.window_left;
  const int64_t end = last > args.prefix_len ? last : args.prefix_len;
  return {first > 0 ? first : 0, smaller(end, args.kv_len)};
}

// tile[rows, n] = (init or tile) + A[rows, k] * B[k, n], B in rows of stride ldb, n a multiple of
// kWidth.
inline void multiply_strip(int64_t rows, int64_t n, int64_t k, const float* a, int64_t lda,
                           const float* b, int64_t ldb, const float* init, float* tile,
                           int64_t ld) {
  for (int64_t j = 0; j < n; j += kNR) {
    const int64_t vectors = smaller(kNV, (n - j) / kWidth);
    kMicroKernels.of[rows - 1][vectors - 1](k, a, lda, b + j, ldb, init, tile + j, ld);
  }
}

alignas(64) constexpr float kZeroRow[kNR] = {};

// Packs keys [begin, begin + n). Returns whether all of V there is finite.
inline bool pack_block(const AttentionF32Args& args, const AttentionScratch& at, int64_t begin,
                       int64_t n) {
  for (int64_t j = 0; j < n; j += kNR) {
    pack_panel(args.k + (begin + j) * args.ldk, smaller(kNR, n - j), args.head_dim, args.ldk,
               at.k + j * args.head_dim);
  }
  F32 differences = broadcast(0.0f);  // x - x is 0, or NaN for what is not finite
  for (int64_t j = 0; j < n; ++j) {
    for_each_vector(args.v_dim, [&](int64_t c, int64_t width) {
      const F32 x = load_up_to(args.v + (begin + j) * args.ldv + c, width);
      differences = differences + (x - x);
      store(at.v + j * at.ldv + c, x);
    });
  }
  return reduce_add(differences) == 0.0f;
}

alignas(64) constexpr float kLaneNumbers[16] = {0, 1, 2,  3,  4,  5,  6,  7,
                                                8, 9, 10, 11, 12, 13, 14, 15};

// Turns scores of one query into exponents of 2: caps, adds bias and ALiBi, applies the mask.
inline void adjust_scores(const AttentionF32Args& args, int64_t i, int64_t begin, int64_t n,
                          float* s) {
  constexpr float kLog2E = 1.4426950408889634f;
  const F32 minus_infinity = broadcast(-__builtin_inff());
  const float* bias = args.bias ? args.bias + i * args.ld_bias + begin : nullptr;
  for_each_vector(n, [&](int64_t j, int64_t width) {
    F32 x = load(s + j) * broadcast(args.scale);
    if (args.softcap > 0) {
      x = broadcast(args.softcap) * tanh(x / broadcast(args.softcap));
    }
    if (bias) {
      const F32 b = load_up_to(bias + j, width);
      const auto masked = b <= broadcast(-__FLT_MAX__);  // false for NaN
      x = xsimd::select(masked, minus_infinity, x + b);
    }
    if (args.alibi_slope != 0) {
      const float distance = static_cast<float>(begin + j - (i + args.q_offset));  // of lane 0
      x = fnma(abs(load(kLaneNumbers) + broadcast(distance)), broadcast(args.alibi_slope), x);
    }
    store(s + j, x * broadcast(kLog2E));
  });
  if (args.mask) {
    const uint8_t* mask = args.mask + i * args.ld_mask + begin;
    for (int64_t j = 0; j < n; ++j) s[j] = mask[j] ? s[j] : -__builtin_inff();
  }
}

// One query's scores of one block become 2^(factor * score - m); m and l are brought up to date.
// Returns what the query's O so far must be multiplied by.
inline float softmax_update(float* s, int64_t n, float factor, float* m, float* l) {
  const float minus_infinity = -__builtin_inff();
  F32 largest = broadcast(minus_infinity);
  for_each_vector(n, [&](int64_t j, int64_t width) {
    largest = max(largest, keep_n(load(s + j), width, minus_infinity));
  });
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
// so plain.
inline void add_values_seen(const AttentionF32Args& args, const AttentionScratch& at, int64_t rows,
                            int64_t n, bool first, float* o) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; first && c < at.ldv; ++c) o[r * at.ldv + c] = 0.0f;
    for (int64_t c = 0; first && c < at.ldv; ++c) o[r * at.ldv + c] = 0.0f;
    for (int64_t j = 0; j < n; ++j) {
      const float p = at.s[r * kBC + j];
      if (p == 0.0f) continue;
      for (int64_t c = 0; c < args.v_dim; ++c) {
        o[r * at.ldv + c] = __builtin_fmaf(p, at.v[j * at.ldv + c], o[r * at.ldv + c]);
      }
    }
  }
}

// One strip of queries i .. i + rows meets one block of keys.
inline void attend_block(const AttentionF32Args& args, const AttentionScratch& at, int64_t i,
                         int64_t rows, int64_t row_in_group, int64_t begin, int64_t n,
                         bool finite) {
  const bool first = begin == keys_seen(args, i).begin / kBC * kBC;  // O holds nothing yet
  constexpr float kLog2E = 1.4426950408889634f;
  const bool adjusted = args.softcap > 0 || args.bias || args.mask || args.alibi_slope != 0;
  for (int64_t j = 0; j < n; j += kNR) {
    multiply_strip(rows, round_up(smaller(kNR, n - j), kWidth), args.head_dim,
                   args.q + i * args.ldq, args.ldq, at.k + j * args.head_dim, kNR, kZeroRow,
                   at.s + j, kBC);
  }
  float* o = at.o + row_in_group * at.ldv;
  for (int64_t r = 0; r < rows; ++r) {
    float* s = at.s + r * kBC;
    if (adjusted) adjust_scores(args, i + r, begin, n, s);
    const KeyRange seen = keys_seen(args, i + r);
    for (int64_t j = 0; j < smaller(seen.begin - begin, n); ++j) s[j] = -__builtin_inff();
    for (int64_t j = seen.end > begin ? seen.end - begin : 0; j < n; ++j) s[j] = -__builtin_inff();
    const float rescale = softmax_update(s, n, adjusted ? 1.0f : args.scale * kLog2E,
                                         at.m + row_in_group + r, at.l + row_in_group + r);
    if (first || rescale == 1.0f) continue;
    for (int64_t c = 0; c < at.ldv; c += kWidth) {
      store(o + r * at.ldv + c, load(o + r * at.ldv + c) * broadcast(rescale));
    }
  }
  if (!finite) return add_values_seen(args, at, rows, n, first, o);
  multiply_strip(rows, round_up(args.v_dim, kWidth), n, at.s, kBC, at.v, at.ldv,
                 first ? kZeroRow : nullptr, o, at.ldv);
}

// O of a group, divided by its sums, to the caller.
inline void finish_group(const AttentionF32Args& args, const AttentionScratch& at, int64_t first,
                         int64_t rows) {
  constexpr float kLog2E = 1.4426950408889634f;
  for (int64_t r = 0; r < rows; ++r) {
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
      store_up_to(args.o + (first + r) * args.ldo + c, o, width);
    });
  }
}

inline void attend_group(const AttentionF32Args& args, const AttentionScratch& at, int64_t first,
                         int64_t rows) {
  for (int64_t r = 0; r < rows; ++r) {
    at.m[r] = -__builtin_inff();
    at.l[r] = 0.0f;
  }
  // Both ends of what a query sees move with it: those of a run of queries are its first's and
  // last's.
  const int64_t begin = keys_seen(args, first).begin / kBC * kBC;
  const int64_t end = keys_seen(args, first + rows - 1).end;
  for (int64_t block = begin; block < end; block += kBC) {
    const int64_t n = smaller(kBC, args.kv_len - block);
    const bool finite = pack_block(args, at, block, n);
    for (int64_t r = 0; r < rows; r += kMR) {
      const int64_t strip = smaller(kMR, rows - r);
      const bool seen = keys_seen(args, first + r).begin < block + n &&
                        keys_seen(args, first + r + strip - 1).end > block;
      if (seen) attend_block(args, at, first + r, strip, r, block, n, finite);
    }
  }
  finish_group(args, at, first, rows);
}

inline void attention_f32(const AttentionF32Args& args) {
  assert(args.kv_len >= 0 && args.head_dim >= 1 && args.v_dim >= 1 && args.scale > 0);
  const AttentionScratch at = attention_layout(args.scratch, args.head_dim, args.v_dim);
  for (int64_t i = 0; i < args.q_len; i += kGroupRows) {
    attend_group(args, at, i, smaller(kGroupRows, args.q_len - i));
  }
}

}  // namespace headlane::kernels::HEADLANE_ISA
