// The vector primitives of AVX2 with FMA and F16C: all that the algorithms in *-inl.h need beyond
// xsimd's batch. simd/avx512-inl.h is its twin.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <xsimd/xsimd.hpp>

#include "kernels/prologue-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

using F32 = xsimd::batch<float, xsimd::fma3<xsimd::avx2>>;
constexpr int kWidth = 8;

constexpr int kMR = 6, kNV = 2;  // 12 accumulators + 2 of B + 1 of A of 16 registers
constexpr int64_t kKC = 256;     // KC x NR floats = 16 KB: half of L1

// All bits set in lanes 0 .. n-1, 0 <= n <= kWidth.
inline __m256i first_lanes(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

inline F32 load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, F32 x) { _mm256_storeu_ps(p, x); }
// The first n elements, zeros beyond; no byte beyond them is touched.
inline F32 load_n(const float* p, int64_t n) { return _mm256_maskload_ps(p, first_lanes(n)); }
inline void store_n(float* p, F32 x, int64_t n) { _mm256_maskstore_ps(p, first_lanes(n), x); }

inline F32 broadcast(float x) { return _mm256_set1_ps(x); }
inline F32 fma(F32 a, F32 b, F32 c) { return _mm256_fmadd_ps(a, b, c); }    // a b + c
inline F32 fnma(F32 a, F32 b, F32 c) { return _mm256_fnmadd_ps(a, b, c); }  // c - a b
inline F32 abs(F32 x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
// The larger of the two; b where either is NaN.
inline F32 max(F32 a, F32 b) { return _mm256_max_ps(a, b); }
inline F32 min(F32 a, F32 b) { return _mm256_min_ps(a, b); }
inline F32 round_even(F32 x) {
  return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// p * 2^n for whole n from -127 to 127; 2^-127 counts as zero.
inline F32 scale_by_power(F32 p, F32 n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
}
// The first n lanes of x, `fill` beyond.
inline F32 keep_n(F32 x, int64_t n, float fill) {
  if (n == kWidth) return x;  // folded away where n is known
  return _mm256_blendv_ps(_mm256_set1_ps(fill), x, _mm256_castsi256_ps(first_lanes(n)));
}
// x where seen[lane] is not 0, `fill` elsewhere and from lane n on; no byte beyond n is touched.
inline F32 keep_seen(F32 x, const uint8_t* seen, int64_t n, F32 fill) {
  uint64_t bytes = 0;
  if (n == kWidth) {
    __builtin_memcpy(&bytes, seen, kWidth);
  } else {
    for (int64_t i = 0; i < n; ++i) bytes |= uint64_t{seen[i]} << (8 * i);
  }
  const __m256i lanes = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<int64_t>(bytes)));
  const __m256i unseen = _mm256_cmpeq_epi32(lanes, _mm256_setzero_si256());
  return _mm256_blendv_ps(x, fill, _mm256_castsi256_ps(unseen));
}
inline float reduce_add(F32 x) {
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
inline float reduce_max(F32 x) {
  __m128 half = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  half = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}
// Bit i is set where lane i of x is above that of y; not where either is NaN.
inline uint32_t lanes_above(F32 x, F32 y) {
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(x, y, _CMP_GT_OQ)));
}
// Lanes 1 0 3 2 ...
inline F32 swap_pairs(F32 x) { return _mm256_permute_ps(x, 0xb1); }
// Lanes 0 0 1 1 2 2 ...
inline F32 spread_pairs(F32 x) {
  return _mm256_permutevar8x32_ps(x, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
}

// Transposes the 8 x 8 block r in place: 4 x 4 within 128-bit lanes, then the lanes.
inline void transpose(F32 (&r)[kWidth]) {
  __m256 t[kWidth];
  for (int i = 0; i < 8; i += 4) {
    const __m256 ab_lo = _mm256_unpacklo_ps(r[i], r[i + 1]);
    const __m256 ab_hi = _mm256_unpackhi_ps(r[i], r[i + 1]);
    const __m256 cd_lo = _mm256_unpacklo_ps(r[i + 2], r[i + 3]);
    const __m256 cd_hi = _mm256_unpackhi_ps(r[i + 2], r[i + 3]);
    t[i] = _mm256_shuffle_ps(ab_lo, cd_lo, 0x44);
    t[i + 1] = _mm256_shuffle_ps(ab_lo, cd_lo, 0xee);
    t[i + 2] = _mm256_shuffle_ps(ab_hi, cd_hi, 0x44);
    t[i + 3] = _mm256_shuffle_ps(ab_hi, cd_hi, 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x20);
    r[i + 4] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x31);
  }
}

// Lanes a0 b0 a1 b1 ...: the first half of them, and the second.
inline void interleave(F32 a, F32 b, F32* first, F32* second) {
  const __m256 low = _mm256_unpacklo_ps(a, b), high = _mm256_unpackhi_ps(a, b);
  *first = _mm256_permute2f128_ps(low, high, 0x20);
  *second = _mm256_permute2f128_ps(low, high, 0x31);
}
// The inverse of interleave: every other lane of both, from lane 0 on, and from lane 1 on.
inline void deinterleave(F32 first, F32 second, F32* even, F32* odd) {
  const __m256d evens = _mm256_castps_pd(_mm256_shuffle_ps(first, second, 0x88));
  const __m256d odds = _mm256_castps_pd(_mm256_shuffle_ps(first, second, 0xdd));
  *even = _mm256_castpd_ps(_mm256_permute4x64_pd(evens, 0xd8));
  *odd = _mm256_castpd_ps(_mm256_permute4x64_pd(odds, 0xd8));
}
// Sums of the lanes of kWidth vectors, one a lane, in two steps: four vectors become a quad, in
// each 128 bits of which lane i is what is left to sum of vector i; kWidth / 4 quads become one.
inline F32 sum_quad(F32 a, F32 b, F32 c, F32 d) {
  return _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
}
inline F32 join_quads(const F32 (&quads)[kWidth / 4]) {
  return _mm256_add_ps(_mm256_permute2f128_ps(quads[0], quads[1], 0x20),
                       _mm256_permute2f128_ps(quads[0], quads[1], 0x31));
}

// A vector of groups: 32 bits each, which are two bf16 or four bytes along K.
using Groups = __m256i;
inline Groups load_groups(const uint32_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
inline Groups broadcast_group(const void* p) {
  int32_t group;
  __builtin_memcpy(&group, p, sizeof(group));
  return _mm256_set1_epi32(group);
}
inline Groups zero_groups() { return _mm256_setzero_si256(); }
inline void store_groups(uint32_t* p, Groups x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x);
}
// The first and the second bf16 of each group, as floats.
inline F32 first_bf16(Groups x) { return _mm256_castsi256_ps(_mm256_slli_epi32(x, 16)); }
inline F32 second_bf16(Groups x) {
  return _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32(-65536)));
}
// kWidth pairs of bf16; and the pairs of n < 2 kWidth bf16, zeros beyond, where no byte is touched.
inline Groups load_pairs(const uint16_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
inline Groups load_pairs_n(const uint16_t* p, int64_t n) {
  alignas(32) uint16_t lanes[2 * kWidth] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return load_pairs(lanes);
}
// 2 kWidth bytes as 16-bit integers.
inline Groups widen_u8(const void* p) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}
inline Groups widen_s8(const void* p) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}
// sum + the products of both 16-bit integers of each group; exact.
inline Groups add_products_16(Groups sum, Groups a, Groups b) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}
inline Groups add_32(Groups a, Groups b) { return _mm256_add_epi32(a, b); }
inline Groups multiply_32(Groups a, Groups b) { return _mm256_mullo_epi32(a, b); }
inline Groups subtract_32(Groups a, Groups b) { return _mm256_sub_epi32(a, b); }
inline Groups broadcast_32(int32_t x) { return _mm256_set1_epi32(x); }
inline F32 to_float(Groups x) { return _mm256_cvtepi32_ps(x); }

// The low and the high half of each byte.
inline Groups low_halves(Groups x) { return _mm256_and_si256(x, _mm256_set1_epi8(15)); }
inline Groups high_halves(Groups x) { return low_halves(_mm256_srli_epi16(x, 4)); }
// Groups moved by n bits, to the right where n is negative.
inline Groups shift_left(Groups x, int n) {
  const auto lanes = reinterpret_cast<__v8su>(x);
  return reinterpret_cast<Groups>(n < 0 ? lanes >> -n : lanes << n);
}
// x, and of `more` those bits that each group's `mask` has.
inline Groups with_bits(Groups x, Groups more, int32_t mask) {
  return _mm256_or_si256(x, _mm256_and_si256(more, broadcast_32(mask)));
}
// x with the bits of each group that `mask` has the other way round.
inline Groups flip_bits(Groups x, int32_t mask) { return _mm256_xor_si256(x, broadcast_32(mask)); }
inline Groups subtract_8(Groups a, Groups b) { return _mm256_sub_epi8(a, b); }
// Returns sum + a0 b0 + a1 b1 and sum + a2 b2 + a3 b3 of each group, as integers of 16 bits. `a` is
// unsigned and `b` signed; the caller keeps them so small that nothing overflows.
inline Groups add_pairs_8(Groups sum, Groups a, Groups b) {
  return _mm256_add_epi16(sum, _mm256_maddubs_epi16(a, b));
}
inline Groups join_pairs(Groups sum) { return _mm256_madd_epi16(sum, _mm256_set1_epi16(1)); }
inline Groups magnitudes_8(Groups x) { return _mm256_abs_epi8(x); }
// Bytes of a, none of them -128, negated where b's are negative. Where those are zeros it may be
// anything.
inline Groups with_signs_8(Groups a, Groups b) { return _mm256_sign_epi8(a, b); }
// gcc takes sums of integers apart to make chains shorter, which takes more registers than there
// are. It does not see what this leaves as it is.
inline Groups in_order(Groups x) {
  __asm__("" : "+x"(x));
  return x;
}
inline F32 load_f16(const uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

// Floats of kWidth bf16, and back, to the nearest, ties to even; NaN stays NaN.
inline F32 load_bf16(const uint16_t* p) {
  const __m256i x = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(x, 16));
}
inline F32 load_bf16_n(const uint16_t* p, int64_t n) {
  alignas(16) uint16_t lanes[kWidth] = {};
  for (int64_t i = 0; i < n; ++i) lanes[i] = p[i];
  return load_bf16(lanes);
}
inline __m128i round_to_bf16(F32 x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i up = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i high = _mm256_srli_epi32(_mm256_blendv_epi8(up, quiet, nan), 16);
  return _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
}
inline void store_bf16(uint16_t* p, F32 x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), round_to_bf16(x));
}
inline void store_bf16_n(uint16_t* p, F32 x, int64_t n) {
  alignas(16) uint16_t lanes[kWidth];
  store_bf16(lanes, x);
  for (int64_t i = 0; i < n; ++i) p[i] = lanes[i];
}
// Floats of kWidth signed bytes.
inline F32 load_s8_n(const int8_t* p, int64_t n) {
  uint64_t bytes = 0;
  if (n == kWidth) {
    __builtin_memcpy(&bytes, p, kWidth);
  } else {
    for (int64_t i = 0; i < n; ++i) bytes |= uint64_t{static_cast<uint8_t>(p[i])} << (8 * i);
  }
  const __m128i packed = _mm_cvtsi64_si128(static_cast<int64_t>(bytes));
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(packed));
}
// The nearest whole numbers, ties to even, as bytes; x is from -128 to 255.
inline void store_bytes_n(void* p, F32 x, int64_t n) {
  const __m256i low_bytes =
      _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 4, 8, 12, -1,
                       -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
  const __m256i packed = _mm256_shuffle_epi8(_mm256_cvtps_epi32(x), low_bytes);
  const uint64_t low = static_cast<uint32_t>(_mm256_extract_epi32(packed, 0));
  const uint64_t bytes =
      low | static_cast<uint64_t>(static_cast<uint32_t>(_mm256_extract_epi32(packed, 4))) << 32;
  if (n == kWidth) {
    __builtin_memcpy(p, &bytes, kWidth);
  } else {
    for (int64_t i = 0; i < n; ++i) static_cast<uint8_t*>(p)[i] = uint8_t(bytes >> (8 * i));
  }
}
inline float reduce_min(F32 x) { return -reduce_max(F32(broadcast(0.0f) - x)); }

}  // namespace headlane::kernels::HEADLANE_ISA
