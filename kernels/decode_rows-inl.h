// What decode_attention-inl.h computes with: rows of floats and of bf16 as vectors, the heads that
// are computed together and their scratch, and what of the cache is read next.
//
// bf16 are widened in pairs: the first and the second of each become a vector, and q's columns and
// the sums of values lie in that order.
//
//   scratch, of each of kDecodeHeads heads:
//             scores, then weights  [kv_len]
//             q                     [head_dim]  vectors of floats, zeros at the end
//             sums of values        [v_dim]
#pragma once

#include "kernels/loops-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// kStep elements of a row are kParts vectors.
//
// Rows of bf16 are asked for before they are read: from memory, it takes 0.6 to 0.85 of the time;
// from L2 or L3, up to 1.2 of it. That of floats is the same from memory (keys in any order, heads
// of 32 to 128).
template <typename T>
struct DecodeRow;

template <>
struct DecodeRow<float> {
  static constexpr int kParts = 1, kStep = kWidth;
  static constexpr bool kFetches = false;
  static void read(const float* p, int64_t n, F32 (&x)[kParts]) { x[0] = load_up_to(p, n); }
  static void write(float* p, const F32 (&x)[kParts], int64_t n) { store_up_to(p, x[0], n); }
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
  static void write(Bf16* p, const F32 (&x)[kParts], int64_t n) {
    F32 low, high;
    interleave(x[0], x[1], &low, &high);
    n >= kWidth ? store_bf16(p, low) : store_bf16_n(p, low, n);
    if (n == kStep) return store_bf16(p + kWidth, high);
    if (n > kWidth) store_bf16_n(p + kWidth, high, n - kWidth);
  }
};

constexpr int64_t kDecodeHeads = 8;  // that are computed together
constexpr int64_t kValueKeys = 16;
constexpr int64_t kAheadKeys = 8;

// Where head 0 of those that are computed together has its part of the scratch; `step` further on,
// the next.
struct DecodeScratch {
  float *weights, *q, *sums;
  int64_t step;
};

inline DecodeScratch decode_layout(float* base, int64_t kv_len, int64_t head_dim, int64_t v_dim) {
  constexpr int64_t kWhole = DecodeRow<Bf16>::kStep;
  const int64_t n_weights = round_up(kv_len, kRowAlign), n_q = round_up(head_dim, kWhole);
  DecodeScratch at = {base, nullptr, nullptr, n_weights + n_q + round_up(v_dim, kWhole)};
  if (base) at.q = base + n_weights, at.sums = at.q + n_q;
  return at;
}

inline int64_t decode_scratch_floats(int64_t kv_len, int64_t head_dim, int64_t v_dim) {
  return kDecodeHeads * decode_layout(nullptr, kv_len, head_dim, v_dim).step;
}

// Heads first .. first + n of a call, n <= kDecodeHeads.
template <typename T>
struct DecodeHeads {
  const DecodeAttentionArgs<T>& args;
  DecodeScratch at;
  int64_t first, n;
  int64_t groups[kDecodeHeads];  // of K and V, that each head has

  DecodeHeads(const DecodeAttentionArgs<T>& call, const DecodeScratch& scratch, int64_t h)
      : args(call), at(scratch), first(h), n(smaller(kDecodeHeads, call.n_heads - h)) {
    for (int64_t i = 0; i < n; ++i) groups[i] = (first + i) / args.kv_sharing;
  }
  int64_t row(int64_t j) const { return args.rows ? args.rows[j] : j; }
};

// The row that is read a while after K of key j: K of a later key, or one of the first rows of V.
template <typename T>
class RowAhead {
 public:
  RowAhead(const DecodeHeads<T>& heads, int64_t j) {
    const DecodeAttentionArgs<T>& args = heads.args;
    const int64_t key = j + kAheadKeys, value = key - args.kv_len;
    if (key < args.kv_len) {
      row_ = args.k + heads.row(key) * args.ldk;
      dim_ = args.head_dim;
    } else if (value < smaller(kValueKeys, args.kv_len)) {
      row_ = args.v + heads.row(value) * args.ldv;
      dim_ = args.v_dim;
    }
  }
  [[gnu::always_inline]] void fetch(int64_t group) const {
    if (row_) fetch_row(row_ + group * dim_, dim_);
  }

 private:
  const T* row_ = nullptr;
  int64_t dim_ = 0;
};

}  // namespace headlane::kernels::HEADLANE_ISA
