// Attention over the rows of a cache in bf16, for queries in bf16, by the tiles of AMX: what
// decode_attention-inl.h computes, by the same blocks of keys, whose maxima and sums are joined in
// the same way.
//
// Of each block, the keys and values of a group of heads are put together for all queries at hand:
// up to six slots of 16 rows, of one group that has many queries, or of some groups that have few.
//   - Scores are keys times queries, not queries times keys: then it is the queries that lie in
//     pairs along the columns, once for all keys, and keys stay as the cache has them.
//   - A weight is cut into three numbers of bf16 whose sum it is, bit for bit, so that products
//     with values are those of floats.
//   - Values lie in pairs along the keys, a key's beside those of the one 16 on, in the order of
//     columns in which one instruction brings them together. Where one is not finite, 0 is put in
//     its place, since 0 x infinity is NaN, and rows that see it are computed again by vectors.
// A query has the same bits alone and beside others: a tile's sums go on from step to step of its
// own row and column, and steps of keys that it does not see add zeros.
#pragma once

#include "kernels/decode_tiles-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

class TiledAttention {
 public:
  explicit TiledAttention(const DecodeAttentionArgs<Bf16>& args)
      : args_(args), at_(args.scratch, args.head_dim, args.v_dim) {
    unit_.configure(kTileRows);
  }

  void run() {
    const int64_t groups = args_.n_heads / args_.kv_sharing;
    const int64_t rows = args_.q_len * args_.kv_sharing;
    const bool few = rows <= kTileRows;
    for (int64_t g = 0; g < groups; g += few ? kDecodeSlots : 1) {
      for (int64_t r = 0; r < rows; r += kDecodeRows) {
        n_slots_ = few ? smaller(kDecodeSlots, groups - g)
                       : (smaller(kDecodeRows, rows - r) + kTileRows - 1) / kTileRows;
        for (int64_t i = 0; i < n_slots_; ++i) {
          const int64_t first = few ? 0 : r + i * kTileRows;
          slots_[i] = {few ? g + i : g, first, smaller(kTileRows, rows - first)};
        }
        attend();
      }
    }
  }

 private:
  using Strip = DecodeStrip<Bf16>;
  struct Slot {
    int64_t group, first_row, rows;
  };

  Strip strip(int64_t i) const {
    const Slot& slot = slots_[i];
    return {args_, at_.rows, slot.group, 1, slot.first_row, slot.rows, i * kTileRows};
  }

  void attend() {
    for (int64_t i = 0; i < n_slots_; ++i) put_queries(i);
    const KeyRange seen = {strip(0).seen().begin, strip(n_slots_ - 1).seen().end};
    for_each_decode_block(seen, [&](int64_t block) {
      for (int64_t i = 0; i < n_slots_; ++i) {
        if (i == 0 || slots_[i].group != slots_[i - 1].group) {
          take_keys({args_, slots_[i].group}, block, in_block(seen, block));
          has_values_ = false;
          const bool in_next_block = i + 1 == n_slots_ || slots_[i + 1].group == slots_[i].group;
          const int64_t next = in_next_block ? block + kDecodeBlock : block;
          ahead_ = {slots_[in_next_block ? 0 : i + 1].group, in_block(seen, next)};
        }
        attend_block(i, block, in_block(seen, block));
      }
    });
    for (int64_t i = 0; i < n_slots_; ++i) {
      const Strip rows = strip(i);
      for (int64_t r = 0; r < rows.n_rows(); ++r) finish_row<TiledColumns>(rows, r);
    }
  }

  // Pairs of columns of the slot's queries, one pair of all rows after the other.
  void put_queries(int64_t i) {
    const Strip rows = strip(i);
    const int64_t dim = args_.head_dim;
    uint32_t* to = at_.q + i * at_.ldk * kTileRows;
    for (int64_t c = 0; c < dim; c += 2 * kWidth, to += kTileGroups * kTileRows) {
      F32 pairs[kWidth];
      for (int64_t r = 0; r < kTileRows; ++r) {
        pairs[r] = broadcast(0.0f);
        if (r >= rows.n_rows()) continue;
        const auto& row = rows.row[r];
        const Bf16* q = static_cast<const Bf16*>(args_.q) + row.query * args_.ldq + row.head * dim;
        pairs[r] = _mm512_castsi512_ps(load_pairs_up_to(q + c, dim - c));
      }
      transpose(pairs);
      for (int64_t p = 0; p < kTileGroups; ++p) {
        store_groups(to + p * kTileRows, _mm512_castps_si512(pairs[p]));
      }
    }
  }

  // Keys that several slots share are put next to each other, and those that do not lie as a tile
  // reads them; others stay where they are.
  void take_keys(const CachedKeys<Bf16>& keys, int64_t block, KeyRange seen) {
    const bool is_shared = n_slots_ > 1 && slots_[0].group == slots_[1].group;
    const KeyRange whole = whole_steps(seen, kTileRows);
    for (int64_t j = whole.begin; j < whole.end; j += kTileRows) {
      KeyTile* tile = &tiles_[(j - block) / kTileRows];
      const bool is_whole = j >= seen.begin && j + kTileRows <= seen.end;
      if (is_whole && !is_shared && lie_together(keys, j)) {
        *tile = {keys.k(j), args_.ldk * int64_t{sizeof(Bf16)}};
      } else {
        uint32_t* to = at_.k + (j - block) * at_.ldk;
        *tile = {to, at_.ldk * 4};
        pack_keys(keys, j, seen, to);
      }
    }
  }

  bool lie_together(const CachedKeys<Bf16>& keys, int64_t j) const {
    if (args_.head_dim % (2 * kTileGroups) != 0) return false;
    const int64_t first = keys.row(j);
    bool found = true;
    for (int64_t u = 1; u < kTileRows; ++u) found = found && keys.row(j + u) == first + u;
    return found;
  }

  // A tile's keys, from j on: zeros for those that are not in `seen`.
  void pack_keys(const CachedKeys<Bf16>& keys, int64_t j, KeyRange seen, uint32_t* to) {
    const int64_t dim = args_.head_dim, end = j + kTileRows;
    for (; j < end; ++j, to += at_.ldk) {
      const bool is_there = j >= seen.begin && j < seen.end;
      const Bf16* k = is_there ? keys.k(j) : nullptr;
      for (int64_t c = 0; c < dim; c += 2 * kWidth) {
        store_groups(to + c / 2, k ? load_pairs_up_to(k + c, dim - c) : zero_groups());
      }
    }
  }

  void pack_values(const CachedKeys<Bf16>& keys, int64_t block, KeyRange seen) {
    const int64_t dim = args_.v_dim, ld = at_.rows.ldo;
    const KeyRange whole = whole_steps(seen, kStepKeys);
    const auto value = [&](int64_t j) {
      return j >= seen.begin && j < seen.end ? keys.v(j) : nullptr;
    };
    Groups largest = zero_groups();
    uint32_t* to = at_.v + (whole.begin - block) / 2 * ld;
    for (int64_t step = whole.begin; step < whole.end; step += kStepKeys) {
      for (int64_t j = step; j < step + kStepKeys / 2; ++j, to += ld) {
        fetch_ahead(1);
        const Bf16 *first = value(j), *second = value(j + kStepKeys / 2);
        for (int64_t c = 0; c < dim; c += TiledColumns::kStep) {
          const Groups x = first ? load_pairs_up_to(first + c, dim - c) : zero_groups();
          const Groups y = second ? load_pairs_up_to(second + c, dim - c) : zero_groups();
          largest = largest_bf16(largest_bf16(largest, x), y);
          Groups pairs[2];
          TiledColumns::join(x, y, pairs);
          store_groups(to + c, pairs[0]);
          store_groups(to + c + kWidth, pairs[1]);
        }
      }
    }
    has_values_ = true;
    all_finite_ = all_finite(largest);
    if (!all_finite_) hide_others(keys, block, seen);
  }

  // Notes which values are not finite, and puts zeros in their place.
  void hide_others(const CachedKeys<Bf16>& keys, int64_t block, KeyRange seen) {
    for (int64_t j = seen.begin; j < seen.end; ++j) {
      const int64_t i = j - block, place = i % kStepKeys;
      const __m512i kept = _mm512_set1_epi32(place < kTileGroups ? -65536 : 65535);
      uint32_t* packed = at_.v + (i / kStepKeys * kTileGroups + place % kTileGroups) * at_.rows.ldo;
      Groups largest = zero_groups();
      for_each_value(keys.v(j), [&](int64_t c, Groups x) {
        largest = largest_bf16(largest, x);
        for (int64_t half = c; half < c + TiledColumns::kStep; half += kWidth) {
          const Groups pairs = load_groups(packed + half);
          const __mmask32 is_finite = _mm512_cmplt_epu16_mask(
              _mm512_and_si512(pairs, _mm512_set1_epi16(0x7fff)), _mm512_set1_epi16(0x7f80));
          const Groups finite = _mm512_maskz_mov_epi16(is_finite, pairs);
          store_groups(packed + half, _mm512_or_si512(_mm512_and_si512(kept, pairs),
                                                      _mm512_andnot_si512(kept, finite)));
        }
      });
      is_finite_[i] = all_finite(largest);
    }
  }

  // Asks for the rows of so many keys that are to come.
  void fetch_ahead(int64_t n) {
    const CachedKeys<Bf16> keys = {args_, ahead_.group};
    const int64_t end = smaller(ahead_.rows.begin + n, ahead_.rows.end);
    for (int64_t& j = ahead_.rows.begin; j < end; ++j) {
      fetch_row(keys.k(j), args_.head_dim);
      fetch_row(keys.v(j), args_.v_dim);
    }
  }

  // Calls body(c, columns c .. c + 32) for a row of values.
  template <typename Body>
  void for_each_value(const Bf16* v, Body body) const {
    for (int64_t c = 0; c < args_.v_dim; c += TiledColumns::kStep) {
      body(c, load_pairs_up_to(v + c, args_.v_dim - c));
    }
  }

  // `of_all`: the keys of the block that any slot sees.
  void attend_block(int64_t i, int64_t block, KeyRange of_all) {
    const Strip rows = strip(i);
    const KeyRange seen = in_block(rows.seen(), block);
    if (seen.begin >= seen.end) return;
    score(rows, i, block, seen);
    const int64_t first = rows.row[0].seen.begin, last = rows.row[rows.rows - 1].seen.begin;
    const bool is_first = first >= block && last < block + kDecodeBlock;
    float own_m[kStripRows], own_l[kStripRows];
    float *m = is_first ? rows.m : own_m, *l = is_first ? rows.l : own_l;
    for (int64_t r = 0; r < rows.n_rows(); ++r) {
      const KeyRange own = in_block(rows.row[r].seen, block);
      float* scores = rows.scores + r * kDecodeBlock;
      m[r] = weigh_scores(args_, rows.row[r], block, own, scores, &l[r]);
      cut_weights(r, scores, block, own, seen);
      fetch_ahead(kDecodeBlock / 4 / rows.n_rows());
    }
    if (!has_values_) pack_values({args_, slots_[i].group}, block, of_all);
    weigh(rows, block, seen, is_first ? rows.o : rows.sums);
    for (int64_t r = 0; !is_first && r < rows.n_rows(); ++r) {
      const KeyRange own = in_block(rows.row[r].seen, block);
      if (own.begin >= own.end) continue;
      join_block(rows, r, m[r], l[r], rows.row[r].seen.begin >= block);
    }
  }

  void score(const Strip& rows, int64_t i, int64_t block, KeyRange seen) {
    const KeyRange whole = whole_steps(seen, kTileRows);
    const uint32_t* q = at_.q + i * at_.ldk * kTileRows;
    for (int64_t j = whole.begin - block; j < whole.end - block;) {
      const bool four = j + 4 * kTileRows <= whole.end - block;
      const auto multiply = four ? multiply_keys<4> : multiply_keys<1>;
      multiply(&tiles_[j / kTileRows], q, at_.ldk / kTileGroups, at_.products + j * kTileRows);
      j += (four ? 4 : 1) * kTileRows;
    }
    for (int64_t j = whole.begin - block; j < whole.end - block; j += kTileRows) {
      fetch_ahead(4);
      rows.n_rows() <= 4 ? put_scores<4>(rows, j) : put_scores<kTileRows>(rows, j);
    }
  }

  // The products of 16 keys, from the block's key j on, become parts of the rows' scores.
  template <int64_t ROWS>
  void put_scores(const Strip& rows, int64_t j) {
    const float* products = at_.products + j * kTileRows;
    F32 x[ROWS];
    if constexpr (ROWS == 4) {
      transpose_four(products, x);
    } else {
      for (int64_t r = 0; r < kTileRows; ++r) x[r] = load(products + r * kTileRows);
      transpose(x);
    }
    for (int64_t r = 0; r < rows.n_rows(); ++r) store(rows.scores + r * kDecodeBlock + j, x[r]);
  }

  // Row r's weights, which its vectors of keys `own` have, as parts, zeros beyond.
  void cut_weights(int64_t r, const float* weights, int64_t block, KeyRange own, KeyRange seen) {
    const KeyRange whole = whole_steps(seen, kStepKeys), has = whole_steps(own, kWidth);
    const auto weights_at = [&](int64_t j) {
      const bool is_there = own.begin < own.end && j >= has.begin && j < has.end;
      return is_there ? load(weights + j - block) : broadcast(0.0f);
    };
    uint32_t* to = at_.weights + r * (kDecodeBlock / 2) + (whole.begin - block) / 2;
    for (int64_t j = whole.begin; j < whole.end; j += kStepKeys, to += kTileGroups) {
      F32 x = weights_at(j), y = weights_at(j + kWidth);
      for (int64_t part = 0; part < kWeightParts; ++part) {
        const F32 x_part = second_bf16(_mm512_castps_si512(x));  // the 8 highest bits that are left
        const F32 y_part = second_bf16(_mm512_castps_si512(y));
        store_groups(to + part * kPartGroups, join_bf16(x_part, y_part));
        x = x - x_part;
        y = y - y_part;
      }
    }
  }

  // The weighted values of the keys `seen`.
  void weigh(const Strip& rows, int64_t block, KeyRange seen, float* sums) {
    const int64_t ld = at_.rows.ldo;
    const KeyRange whole = whole_steps(seen, kStepKeys);
    const int64_t first = (whole.begin - block) / 2;
    for (int64_t c = 0; c < ld;) {
      const bool four = c + 4 * kWidth <= ld;
      const auto multiply = four ? multiply_values<4> : multiply_values<1>;
      multiply(at_.weights + first, (whole.end - whole.begin) / kStepKeys, at_.v + first * ld + c,
               ld, sums + c, ld);
      c += four ? 4 * kWidth : kWidth;
    }
    for (int64_t r = 0; !all_finite_ && r < rows.n_rows(); ++r) {
      const KeyRange own = in_block(rows.row[r].seen, block);
      bool finite = true;
      for (int64_t j = own.begin; j < own.end; ++j) finite = finite && is_finite_[j - block];
      if (!finite) weigh_by_vectors(rows, r, block, own, sums + r * ld);
    }
  }

  void weigh_by_vectors(const Strip& rows, int64_t r, int64_t block, KeyRange own, float* sums) {
    const CachedKeys<Bf16> keys = {args_, rows.first_group};
    const float* weights = rows.scores + r * kDecodeBlock;
    for (int64_t c = 0; c < at_.rows.ldo; c += kWidth) store(sums + c, broadcast(0.0f));
    for (int64_t j = own.begin; j < own.end; ++j) {
      const F32 weight = broadcast(weights[j - block]);
      for_each_value(keys.v(j), [&](int64_t c, Groups x) {
        Groups pairs[2];
        TiledColumns::join(x, zero_groups(), pairs);
        for (int64_t part = 0; part < TiledColumns::kParts; ++part) {
          float* sum = sums + c + part * kWidth;
          store(sum, fma(weight, first_bf16(pairs[part]), load(sum)));
        }
      });
    }
  }

  const DecodeAttentionArgs<Bf16>& args_;
  TiledScratch at_;
  TileUnit unit_;
  int64_t n_slots_ = 0;
  Slot slots_[kDecodeSlots];
  KeyTile tiles_[kDecodeBlock / kTileRows];  // of the block at hand
  // The rows of the next block that are still to be asked for, some at a time, so that what comes
  // from memory comes beside arithmetic.
  struct {
    int64_t group;
    KeyRange rows;
  } ahead_ = {};
  bool has_values_ = false;       // the block's are put together
  bool all_finite_ = true;        // the block's values
  bool is_finite_[kDecodeBlock];  // each of them, where they are not all
};

// Of tiles that few heads share, most rows are empty: with one row of 16, vectors take half the
// time that tiles do.
constexpr int64_t kLeastTiledSharing = 4;

inline void tiled_decode_attention(const DecodeAttentionArgs<Bf16>& args) {
  const int64_t sharing = args.layer_sharing > 0 ? args.layer_sharing : args.kv_sharing;
  if (args.element != Element::kBf16 || sharing < kLeastTiledSharing) return decode_attention(args);
  assert(args.q_len >= 1 && args.kv_sharing >= 1 && args.n_heads % args.kv_sharing == 0);
  assert(args.kv_len >= 0 && args.scale > 0 && args.head_dim >= 1 && args.v_dim >= 1);
  assert(!args.causal || args.q_offset + args.q_len <= args.kv_len);
  TiledAttention(args).run();
}

}  // namespace headlane::kernels::HEADLANE_ISA
