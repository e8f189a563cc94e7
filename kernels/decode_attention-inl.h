// o = softmax(cap(scale * q K^T) + biases) V over keys that lie as rows of a cache, for one query
// of each head or for many.
//
// Keys are cut into blocks of kDecodeBlock, the first from key 0 on. Of each block that a query
// sees it has a maximum m, a sum of weights l and a sum of weighted values, which know nothing of
// other blocks; they are joined in the order of the blocks. So a query's bits are the same wherever
// the calls begin and end that the queries of a prompt are cut into, and the blocks of a long
// context could be computed by several threads.
//
// Few queries are bound by reading K and V, each of which is used once, mostly from memory: nothing
// is packed, and all heads of some keys go before the next keys. Head after head, each over all
// keys, took 1.2 to 2 times as long from memory. Heads that share keys are rows of a tile, which
// reads them once. Many queries are rows of a tile too. They have each block of keys copied first,
// one group of heads at a time: as floats, next to each other. Both compute the same sums in the
// same order.
//
// Scores have columns in lanes, not keys, since then no key has to be transposed: for one query,
// that would be half of the work.
#pragma once

#include "kernels/decode_block-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

inline float weight_beside(float m, float largest) {
  return m == largest ? 1.0f : exp2(broadcast((m - largest) * kLog2E)).get(0);
}

// Joins row r's block, of maximum m and sum l, with those before; `first`: there are none.
template <typename T>
inline void join_block(const DecodeStrip<T>& strip, int64_t r, float m, float l, bool first) {
  float* o = strip.o + r * strip.ldo;
  const float* sums = strip.sums + r * strip.ldo;
  if (first) {
    for (int64_t c = 0; c < strip.ldo; c += kWidth) store(o + c, load(sums + c));
    strip.m[r] = m;
    strip.l[r] = l;
    return;
  }
  const float largest = m > strip.m[r] ? m : strip.m[r];
  const float before = weight_beside(strip.m[r], largest), own = weight_beside(m, largest);
  for (int64_t c = 0; c < strip.ldo; c += kWidth) {
    const F32 scaled = load(o + c) * broadcast(before);
    store(o + c, fma(load(sums + c), broadcast(own), scaled));
  }
  strip.m[r] = largest;
  strip.l[r] = strip.l[r] * before + l * own;
}

template <typename Keys, typename T>
inline void attend_block(const DecodeStrip<T>& strip, const Keys& keys, int64_t block) {
  const KeyRange seen = in_block(strip.seen(), block);
  if (seen.begin >= seen.end) return;
  score_block(strip, keys, block, seen);
  // Where it is the first block of all rows there is nothing to join it with.
  const int64_t first = strip.row[0].seen.begin, last = strip.row[strip.rows - 1].seen.begin;
  const bool is_first = first >= block && last < block + kDecodeBlock;
  float own_m[kStripRows], own_l[kStripRows];
  float *m = is_first ? strip.m : own_m, *l = is_first ? strip.l : own_l;
  for (int64_t r = 0; r < strip.n_rows(); ++r) {
    const KeyRange own = in_block(strip.row[r].seen, block);
    float* scores = strip.scores + r * kDecodeBlock;
    m[r] = weigh_scores(strip.args, strip.row[r], block, own, scores, &l[r]);
  }
  weigh_block(strip, keys, block, seen, is_first ? strip.o : strip.sums);
  for (int64_t r = 0; !is_first && r < strip.n_rows(); ++r) {
    const KeyRange own = in_block(strip.row[r].seen, block);
    if (own.begin >= own.end) continue;
    join_block(strip, r, m[r], l[r], strip.row[r].seen.begin >= block);
  }
}

// Columns of queries come to lie as those of keys do.
template <typename T>
inline void begin_rows(const DecodeStrip<T>& strip) {
  using Row = DecodeRow<T>;
  const DecodeAttentionArgs<T>& args = strip.args;
  for (int64_t r = 0; r < strip.n_rows(); ++r) {
    const int64_t q = strip.row[r].query * args.ldq + strip.row[r].head * args.head_dim;
    float* to = strip.q + r * strip.ldq;
    for (int64_t c = 0; c < args.head_dim; c += Row::kStep) {
      F32 x[Row::kParts];
      for (int part = 0; part < Row::kParts; ++part) {
        const int64_t first = c + part * kWidth, left = args.head_dim - first;
        x[part] = left > 0 ? load_columns(args.element, args.q, q + first, smaller(kWidth, left))
                           : broadcast(0.0f);
      }
      Row::arrange(x);
      for (int part = 0; part < Row::kParts; ++part) store(to + c + part * kWidth, x[part]);
    }
  }
}

// p [kv_len] has scores where the row sees keys.
inline void finish_probabilities(float* p, int64_t kv_len, KeyRange seen, float m, float factor) {
  const F32 largest = broadcast(m);
  for (int64_t j = 0; j < seen.begin; ++j) p[j] = 0.0f;
  for_each_vector(seen.end - seen.begin, [&](int64_t j, int64_t n) {
    float* at = p + seen.begin + j;
    const F32 weight = exp2((load_up_to(at, n) - largest) * broadcast(kLog2E));
    store_up_to(at, weight * broadcast(factor), n);
  });
  for (int64_t j = seen.end; j < kv_len; ++j) p[j] = 0.0f;
}

// Row r's o, divided by its sum, to the caller. Where scores are all -inf, since they are too large
// for a float, 0 / 0 is right. Columns of o lie as those of a Row.
template <typename Row, typename T>
inline void finish_row(const DecodeStrip<T>& strip, int64_t r) {
  const DecodeAttentionArgs<T>& args = strip.args;
  const auto& [i, h, seen] = strip.row[r];
  const bool sees_any = seen.begin < seen.end;
  float factor = 0.0f;
  if (sees_any) {
    const float sink = args.sinks ? args.sinks[h] : -kInfinity, m = strip.m[r];
    const float largest = sink > m ? sink : m, rescale = weight_beside(m, largest);
    float sum = strip.l[r] * rescale;
    if (sink != -kInfinity) sum += weight_beside(sink, largest);
    factor = rescale / sum;
    if (args.p) {
      float* p = args.p + h * args.p_head_stride + i * args.ldp;
      finish_probabilities(p, args.kv_len, seen, largest, 1.0f / sum);
    }
  }
  const int64_t to = i * args.ldo + h * args.v_dim;
  for (int64_t c = 0; c < args.v_dim; c += Row::kStep) {
    F32 x[Row::kParts];
    for (int part = 0; part < Row::kParts; ++part) {
      const float* o = strip.o + r * strip.ldo + c + part * kWidth;
      x[part] = sees_any ? load(o) * broadcast(factor) : broadcast(0.0f);
    }
    Row::put_back(x);
    for (int part = 0; part < Row::kParts; ++part) {
      const int64_t first = c + part * kWidth, left = args.v_dim - first;
      if (left > 0) {
        store_columns(args.element, args.o, to + first, x[part], smaller(kWidth, left));
      }
    }
  }
}

template <typename T>
inline void finish_rows(const DecodeStrip<T>& strip) {
  for (int64_t r = 0; r < strip.n_rows(); ++r) finish_row<DecodeRow<T>>(strip, r);
}

// Calls block(first key) for each block that has some of `keys`.
template <typename Block>
inline void for_each_decode_block(KeyRange keys, Block block) {
  for (int64_t j = keys.begin / kDecodeBlock * kDecodeBlock; j < keys.end; j += kDecodeBlock) {
    block(j);
  }
}

// All rows of some groups, over keys where they lie.
template <typename T>
inline void attend_few(const DecodeStrip<T>& strip) {
  begin_rows(strip);
  for_each_decode_block(strip.seen(), [&](int64_t block) {
    attend_block(strip, CachedKeys<T>{strip.args, strip.first_group}, block);
  });
  finish_rows(strip);
}

// Rows first .. first + rows of one group, kDecodeRows at most, over keys that are packed.
template <typename T>
inline void attend_many(const DecodeAttentionArgs<T>& args, const DecodeScratch& at, int64_t group,
                        int64_t first, int64_t rows) {
  constexpr int64_t kRows = kStripRows / kDecodeTile * kDecodeTile;
  constexpr int64_t kStep = DecodeRow<T>::kStep;
  const CachedKeys<T> cached = {args, group};
  const int64_t n_k = round_up(args.head_dim, kStep), n_v = round_up(args.v_dim, kStep);
  const auto for_each_strip = [&](auto body) {
    for (int64_t r = 0; r < rows; r += kRows) {
      body(DecodeStrip<T>(args, at, group, 1, first + r, smaller(kRows, rows - r), r));
    }
  };
  const KeyRange seen = {keys_seen(args, first / args.kv_sharing).begin,
                         keys_seen(args, (first + rows - 1) / args.kv_sharing).end};
  for_each_strip([](const DecodeStrip<T>& strip) { begin_rows(strip); });
  for_each_decode_block(seen, [&](int64_t block) {
    const KeyRange packed = in_block(seen, block);
    for (int64_t j = packed.begin; j < packed.end; ++j) {
      widen_row(cached.k(j), args.head_dim, at.k + (j - block) * at.ldq);
      widen_row(cached.v(j), args.v_dim, at.v + (j - block) * at.ldo);
    }
    for_each_strip([&](const DecodeStrip<T>& strip) {
      attend_block(strip, PackedKeys<T>{cached, at, n_k, n_v, block}, block);
    });
  });
  for_each_strip([](const DecodeStrip<T>& strip) { finish_rows(strip); });
}

template <typename T>
inline void decode_attention(const DecodeAttentionArgs<T>& args) {
  assert(args.q_len >= 1 && args.kv_sharing >= 1 && args.n_heads % args.kv_sharing == 0);
  assert(args.kv_len >= 0 && args.scale > 0 && args.head_dim >= 1 && args.v_dim >= 1);
  assert(!args.causal || args.q_offset + args.q_len <= args.kv_len);
  const DecodeScratch at = decode_layout(args.scratch, args.head_dim, args.v_dim);
  const int64_t groups = args.n_heads / args.kv_sharing, rows = args.q_len * args.kv_sharing;
  if (rows <= kStripRows) {
    const int64_t together = kStripRows / rows;
    for (int64_t g = 0; g < groups; g += together) {
      attend_few(DecodeStrip<T>(args, at, g, smaller(together, groups - g), 0, rows, 0));
    }
    return;
  }
  for (int64_t g = 0; g < groups; ++g) {
    for (int64_t r = 0; r < rows; r += kDecodeRows) {
      attend_many(args, at, g, r, smaller(kDecodeRows, rows - r));
    }
  }
}

}  // namespace headlane::kernels::HEADLANE_ISA
