// The parts that attention over the rows of a cache computes with: rows of floats, of bf16 and of
// codes of 8 bits as vectors, the strip of queries that is at hand and its scratch, and where the
// keys of a block lie.
//
// bf16 are widened in pairs: the first and the second of each become a vector, and q's columns and
// the sums of values lie in that order.
//
//   scratch:  q        [kDecodeRows, ldq]   widened, zeros at the end
//             o, m, l  [kDecodeRows]        of the blocks so far; o in rows of ldo
//             scores   [kStripRows, kDecodeBlock], then weights, of one block
//             sums     [kStripRows, ldo]    of one block's weighted values
//             K, V     [kDecodeBlock]       rows of ldq and ldo, widened, where queries are many
#pragma once

#include "kernels/attention_scores-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// kStep elements of a row are kParts vectors. What a row reads as vectors lies in an order of its
// own: arrange() puts columns that lie in theirs into it, and put_back() takes them out of it.
//
// Rows of bf16 are asked for before they are read, and so are those of codes: from memory, it takes
// 0.6 to 0.85 of the time; from L2 or L3, up to 1.2 of it. That of floats is the same from memory
// (keys in any order, heads of 32 to 128).
template <typename T>
struct DecodeRow;

template <>
struct DecodeRow<float> {
  static constexpr int kParts = 1, kStep = kWidth;
  static constexpr bool kFetches = false;
  static void read(const float* p, int64_t n, F32 (&x)[kParts]) { x[0] = load_up_to(p, n); }
  static void arrange(F32 (&)[kParts]) {}
  static void put_back(F32 (&)[kParts]) {}
};

template <>
struct DecodeRow<int8_t> {
  static constexpr int kParts = 1, kStep = kWidth;
  static constexpr bool kFetches = true;
  static void read(const int8_t* p, int64_t n, F32 (&x)[kParts]) { x[0] = load_s8_n(p, n); }
  static void arrange(F32 (&)[kParts]) {}
  static void put_back(F32 (&)[kParts]) {}
};

template <>
struct DecodeRow<Bf16> {
  static constexpr int kParts = 2, kStep = 2 * kWidth;
  static constexpr bool kFetches = true;
  static void read(const Bf16* p, int64_t n, F32 (&x)[kParts]) {
    const Groups pairs = n == kStep ? load_pairs(p) : load_pairs_n(p, n);
    x[0] = first_bf16(pairs);
    x[1] = second_bf16(pairs);
  }
  static void arrange(F32 (&x)[kParts]) { deinterleave(x[0], x[1], &x[0], &x[1]); }
  static void put_back(F32 (&x)[kParts]) { interleave(x[0], x[1], &x[0], &x[1]); }
};

// The row x [n] as floats, zeros up to a whole step.
template <typename T>
inline void widen_row(const T* x, int64_t n, float* to) {
  using Row = DecodeRow<T>;
  for (int64_t c = 0; c < n; c += Row::kStep) {
    F32 parts[Row::kParts];
    Row::read(x + c, smaller(Row::kStep, n - c), parts);
    for (int part = 0; part < Row::kParts; ++part) store(to + c + part * kWidth, parts[part]);
  }
}

// Columns c .. c + n of a query, or of what it gets, n <= kWidth.
inline F32 load_columns(Element element, const void* x, int64_t c, int64_t n) {
  if (element == Element::kF32) return load_up_to(static_cast<const float*>(x) + c, n);
  const Bf16* p = static_cast<const Bf16*>(x) + c;
  return n == kWidth ? load_bf16(p) : load_bf16_n(p, n);
}
inline void store_columns(Element element, void* y, int64_t c, F32 x, int64_t n) {
  if (element == Element::kF32) return store_up_to(static_cast<float*>(y) + c, x, n);
  Bf16* p = static_cast<Bf16*>(y) + c;
  n == kWidth ? store_bf16(p, x) : store_bf16_n(p, x, n);
}

constexpr int64_t kDecodeBlock = 256;  // keys, from a multiple of as many
constexpr int64_t kDecodeRows = 96;    // rows that share a packing of keys
constexpr int64_t kStripRows = 16;     // rows that are computed together
constexpr int kDecodeTile = kMR / 2;   // kDecodeTile x 4 sums in registers
constexpr int64_t kValueKeys = 16;

struct DecodeScratch {
  int64_t ldq, ldo, total;
  float *q, *o, *m, *l, *scores, *sums, *k, *v;
};

inline DecodeScratch decode_layout(float* base, int64_t head_dim, int64_t v_dim) {
  constexpr int64_t kWhole = DecodeRow<Bf16>::kStep;
  DecodeScratch at;
  at.ldq = round_up(head_dim, kWhole);
  at.ldo = round_up(v_dim, kWhole);
  int64_t end = 0;
  const auto take = [&](int64_t n) {
    const int64_t begin = end;
    end += round_up(n, kRowAlign);
    return base ? base + begin : nullptr;
  };
  at.q = take(kDecodeRows * at.ldq);
  at.o = take(kDecodeRows * at.ldo);
  at.m = take(kDecodeRows);
  at.l = take(kDecodeRows);
  at.scores = take(kStripRows * kDecodeBlock);
  at.sums = take(kStripRows * at.ldo);
  at.k = take(kDecodeBlock * at.ldq);
  at.v = take(kDecodeBlock * at.ldo);
  at.total = end;
  return at;
}

inline int64_t decode_scratch_floats(int64_t head_dim, int64_t v_dim) {
  return decode_layout(nullptr, head_dim, v_dim).total;
}

// The keys [begin, end) that query i sees.
template <typename T>
inline KeyRange keys_seen(const DecodeAttentionArgs<T>& args, int64_t i) {
  if (!args.causal) return {0, args.kv_len};
  const int64_t position = args.q_offset + i, first = position - args.window_left;
  return {first > 0 ? first : 0, position + 1};
}

// Some rows of each of some groups of heads that share keys, kStripRows at most. Row i * kv_sharing
// + h of a group is query i of its head h. The rows of a group are next to each other, those of the
// next group follow.
template <typename T>
struct DecodeStrip {
  struct Row {
    int64_t query, head;
    KeyRange seen;
  };
  const DecodeAttentionArgs<T>& args;
  int64_t first_group, n_groups;
  int64_t rows;  // of each group
  int64_t ldq, ldo;
  float *q, *o, *m, *l;  // of the strip's first row
  float *scores, *sums;
  Row row[kStripRows];

  DecodeStrip(const DecodeAttentionArgs<T>& call, const DecodeScratch& at, int64_t group,
              int64_t groups, int64_t first_row, int64_t rows_of_each, int64_t place)
      : args(call),
        first_group(group),
        n_groups(groups),
        rows(rows_of_each),
        ldq(at.ldq),
        ldo(at.ldo),
        q(at.q + place * at.ldq),
        o(at.o + place * at.ldo),
        m(at.m + place),
        l(at.l + place),
        scores(at.scores),
        sums(at.sums) {
    const int64_t sharing = args.kv_sharing;
    const int64_t first_query = first_row / sharing, first_head = first_row % sharing;
    Row* to = row;
    for (int64_t g = 0; g < n_groups; ++g) {
      int64_t i = first_query, h = first_head;
      for (int64_t r = 0; r < rows; ++r) {
        *to++ = {i, (first_group + g) * sharing + h, keys_seen(args, i)};
        if (++h == sharing) h = 0, ++i;
      }
    }
  }

  int64_t n_rows() const { return n_groups * rows; }
  // Any row sees these: both ends of what a query sees move with it.
  KeyRange seen() const { return {row[0].seen.begin, row[rows - 1].seen.end}; }
};

// Returns what of the block that begins at key `block` is in `keys`.
inline KeyRange in_block(KeyRange keys, int64_t block) {
  const int64_t end = block + kDecodeBlock;
  return {keys.begin > block ? keys.begin : block, smaller(keys.end, end)};
}

// Where the keys of a block lie, each with the groups of the strip one after the other: in the
// cache, or packed, where there is one group.
template <typename T>
struct CachedKeys {
  using Element = T;
  static constexpr bool kHasScales = sizeof(T) == sizeof(int8_t);
  const DecodeAttentionArgs<T>& args;
  int64_t first_group;
  int64_t k_dim() const { return args.head_dim; }
  int64_t v_dim() const { return args.v_dim; }
  int64_t row(int64_t j) const { return args.rows ? args.rows[j] : j; }
  const T* k(int64_t j) const { return args.k + row(j) * args.ldk + first_group * args.head_dim; }
  const T* v(int64_t j) const { return args.v + row(j) * args.ldv + first_group * args.v_dim; }
  // Of each group of the strip.
  const float* k_scales(int64_t j) const { return args.k_scales + first_scale(j); }
  const float* v_scales(int64_t j) const { return args.v_scales + first_scale(j); }
  int64_t first_scale(int64_t j) const { return row(j) * args.ld_scales + first_group; }
};

// Codes are packed as floats; their scales stay in the cache.
template <typename T>
struct PackedKeys {
  using Element = float;
  static constexpr bool kHasScales = CachedKeys<T>::kHasScales;
  const CachedKeys<T>& cached;
  const DecodeScratch& at;
  int64_t n_k, n_v, block;
  int64_t k_dim() const { return n_k; }
  int64_t v_dim() const { return n_v; }
  const float* k(int64_t j) const { return at.k + (j - block) * at.ldq; }
  const float* v(int64_t j) const { return at.v + (j - block) * at.ldo; }
  const float* k_scales(int64_t j) const { return cached.k_scales(j); }
  const float* v_scales(int64_t j) const { return cached.v_scales(j); }
};

}  // namespace headlane::kernels::HEADLANE_ISA
