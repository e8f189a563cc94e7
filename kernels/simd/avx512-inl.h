// The vector primitives of AVX-512 (F, BW, DQ, VL): all that the algorithms in *-inl.h need beyond
// xsimd's batch. simd/avx2-inl.h is its twin.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <xsimd/xsimd.hpp>

#include "kernels/prologue-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

using F32 = xsimd::batch<float, xsimd::avx512bw>;
constexpr int kWidth = 16;

constexpr int kMR = 8, kNV = 3;  // 24 accumulators + 3 of B + 1 of A of 32 registers
constexpr int64_t kKC = 384;     // chosen by bench gemm

// The mask of lanes 0 .. n-1, 0 <= n <= kWidth.
inline __mmask16 first_lanes(int64_t n) { return static_cast<__mmask16>((1u << n) - 1u); }

inline F32 load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, F32 x) { _mm512_storeu_ps(p, x); }
// The first n elements, zeros beyond; no byte beyond them is touched.
inline F32 load_n(const float* p, int64_t n) { return _mm512_maskz_loadu_ps(first_lanes(n), p); }
inline void store_n(float* p, F32 x, int64_t n) { _mm512_mask_storeu_ps(p, first_lanes(n), x); }

inline F32 broadcast(float x) { return _mm512_set1_ps(x); }
inline F32 fma(F32 a, F32 b, F32 c) { return _mm512_fmadd_ps(a, b, c); }    // a b + c
inline F32 fnma(F32 a, F32 b, F32 c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a b
inline F32 abs(F32 x) { return _mm512_abs_ps(x); }
// The larger of the two; b where either is NaN.
inline F32 max(F32 a, F32 b) { return _mm512_max_ps(a, b); }
inline F32 min(F32 a, F32 b) { return _mm512_min_ps(a, b); }
inline F32 round_even(F32 x) { return _mm512_roundscale_ps(x, 0); }
// p * 2^n for whole n from -127 to 127; 2^-127 counts as zero.
inline F32 scale_by_power(F32 p, F32 n) {
  const __mmask16 normal = _mm512_cmp_ps_mask(n, _mm512_set1_ps(-126.0f), _CMP_NLT_UQ);
  return _mm512_maskz_scalef_ps(normal, p, n);
}
// The first n lanes of x, `fill` beyond.
inline F32 keep_n(F32 x, int64_t n, float fill) {
  if (n == kWidth) return x;  // folded away where n is known
  return _mm512_mask_blend_ps(first_lanes(n), _mm512_set1_ps(fill), x);
}
// x where seen[lane] is not 0, `fill` elsewhere and from lane n on; no byte beyond n is touched.
inline F32 keep_seen(F32 x, const uint8_t* seen, int64_t n, F32 fill) {
  const __m128i bytes = _mm_maskz_loadu_epi8(first_lanes(n), seen);
  return _mm512_mask_blend_ps(_mm_test_epi8_mask(bytes, bytes), fill, x);
}
inline float reduce_add(F32 x) { return _mm512_reduce_add_ps(x); }
inline float reduce_max(F32 x) { return _mm512_reduce_max_ps(x); }
// Bit i is set where lane i of x is above that of y; not where either is NaN.
inline uint32_t lanes_above(F32 x, F32 y) { return _mm512_cmp_ps_mask(x, y, _CMP_GT_OQ); }
// Lanes 1 0 3 2 ...
inline F32 swap_pairs(F32 x) { return _mm512_permute_ps(x, 0xb1); }
// Lanes 0 0 1 1 2 2 ...
inline F32 spread_pairs(F32 x) {
  return _mm512_permutexvar_ps(_mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7),
                               x);
}

// Transposes the 16 x 16 block r in place: 4 x 4 within 128-bit lanes, then the lanes.
inline void transpose(F32 (&r)[kWidth]) {
  __m512 t[kWidth];
  for (int i = 0; i < 16; i += 4) {
    const __m512 ab_lo = _mm512_unpacklo_ps(r[i], r[i + 1]);
    const __m512 ab_hi = _mm512_unpackhi_ps(r[i], r[i + 1]);
    const __m512 cd_lo = _mm512_unpacklo_ps(r[i + 2], r[i + 3]);
    const __m512 cd_hi = _mm512_unpackhi_ps(r[i + 2], r[i + 3]);
    t[i] = _mm512_shuffle_ps(ab_lo, cd_lo, 0x44);
    t[i + 1] = _mm512_shuffle_ps(ab_lo, cd_lo, 0xee);
    t[i + 2] = _mm512_shuffle_ps(ab_hi, cd_hi, 0x44);
    t[i + 3] = _mm512_shuffle_ps(ab_hi, cd_hi, 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    const __m512 even_01 = _mm512_shuffle_f32x4(t[i], t[i + 4], 0x88);
    const __m512 odd_01 = _mm512_shuffle_f32x4(t[i], t[i + 4], 0xdd);
    const __m512 even_23 = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0x88);
    const __m512 odd_23 = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0xdd);
    r[i] = _mm512_shuffle_f32x4(even_01, even_23, 0x88);
    r[i + 4] = _mm512_shuffle_f32x4(odd_01, odd_23, 0x88);
    r[i + 8] = _mm512_shuffle_f32x4(even_01, even_23, 0xdd);
    r[i + 12] = _mm512_shuffle_f32x4(odd_01, odd_23, 0xdd);
  }
}

// Lanes a0 b0 a1 b1 ...: the first half of them, and the second.
inline void interleave(F32 a, F32 b, F32* first, F32* second) {
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
  *first = _mm512_permutex2var_ps(a, low, b);
  *second = _mm512_permutex2var_ps(a, high, b);
}
// The inverse of interleave: every other lane of both, from lane 0 on, and from lane 1 on.
inline void deinterleave(F32 first, F32 second, F32* even, F32* odd) {
  const __m512i at = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  *even = _mm512_permutex2var_ps(first, at, second);
  *odd = _mm512_permutex2var_ps(first, _mm512_add_epi32(at, _mm512_set1_epi32(1)), second);
}
// Sums of the lanes of kWidth vectors, one a lane, in two steps: four vectors become a quad, in
// each 128 bits of which lane i is what is left to sum of vector i; kWidth / 4 quads become one.
inline F32 sum_quad(F32 a, F32 b, F32 c, F32 d) {
  const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
  const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
  return _mm512_add_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
}
inline F32 join_quads(const F32 (&quads)[kWidth / 4]) {
  const __m512 q0 = quads[0], q1 = quads[1], q2 = quads[2], q3 = quads[3];
  const __m512 q01 =
      _mm512_add_ps(_mm512_shuffle_f32x4(q0, q1, 0x44), _mm512_shuffle_f32x4(q0, q1, 0xee));
  const __m512 q23 =
      _mm512_add_ps(_mm512_shuffle_f32x4(q2, q3, 0x44), _mm512_shuffle_f32x4(q2, q3, 0xee));
  return _mm512_add_ps(_mm512_shuffle_f32x4(q01, q23, 0x88), _mm512_shuffle_f32x4(q01, q23, 0xdd));
}

// A vector of groups: 32 bits each, which are two bf16 or four bytes along K.
using Groups = __m512i;
inline Groups load_groups(const uint32_t* p) { return _mm512_loadu_si512(p); }
inline Groups broadcast_group(const void* p) {
  int32_t group;
  __builtin_memcpy(&group, p, sizeof(group));
  return _mm512_set1_epi32(group);
}
inline Groups zero_groups() { return _mm512_setzero_si512(); }
inline void store_groups(uint32_t* p, Groups x) { _mm512_storeu_si512(p, x); }
// The first and the second bf16 of each group, as floats.
inline F32 first_bf16(Groups x) { return _mm512_castsi512_ps(_mm512_slli_epi32(x, 16)); }
inline F32 second_bf16(Groups x) {
  return _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32(-65536)));
}
// kWidth pairs of bf16; and the pairs of n < 2 kWidth bf16, zeros beyond, where no byte is touched.
inline Groups load_pairs(const uint16_t* p) { return _mm512_loadu_si512(p); }
inline Groups load_pairs_n(const uint16_t* p, int64_t n) {
  return _mm512_maskz_loadu_epi16((1u << n) - 1u, p);
}
// Bytes 0 and 2, and 1 and 3, of each group, as 16-bit integers.
inline Groups even_u8(Groups x) { return _mm512_and_si512(x, _mm512_set1_epi32(0x00ff00ff)); }
inline Groups odd_u8(Groups x) { return _mm512_srli_epi16(x, 8); }
inline Groups even_s8(Groups x) { return _mm512_srai_epi16(_mm512_slli_epi16(x, 8), 8); }
inline Groups odd_s8(Groups x) { return _mm512_srai_epi16(x, 8); }
// sum + the products of both 16-bit integers of each group; exact.
inline Groups add_products_16(Groups sum, Groups a, Groups b) {
  return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
}
inline Groups add_32(Groups a, Groups b) { return _mm512_add_epi32(a, b); }
inline Groups multiply_32(Groups a, Groups b) { return _mm512_mullo_epi32(a, b); }
inline Groups subtract_32(Groups a, Groups b) { return _mm512_sub_epi32(a, b); }
inline Groups broadcast_32(int32_t x) { return _mm512_set1_epi32(x); }
inline F32 to_float(Groups x) { return _mm512_cvtepi32_ps(x); }

// The comments of these functions are in avx2-inl.h.
inline Groups low_halves(Groups x) { return _mm512_and_si512(x, _mm512_set1_epi8(15)); }
inline Groups high_halves(Groups x) { return low_halves(_mm512_srli_epi16(x, 4)); }
inline Groups shift_left(Groups x, int n) {
  const auto lanes = reinterpret_cast<__v16su>(x);
  return reinterpret_cast<Groups>(n < 0 ? lanes >> -n : lanes << n);
}
inline Groups with_bits(Groups x, Groups more, int32_t mask) {
  return _mm512_ternarylogic_epi32(x, more, broadcast_32(mask), 0xf8);  // x | (more & mask)
}
inline Groups flip_bits(Groups x, int32_t mask) { return _mm512_xor_si512(x, broadcast_32(mask)); }
inline Groups subtract_8(Groups a, Groups b) { return _mm512_sub_epi8(a, b); }
inline Groups add_pairs_8(Groups sum, Groups a, Groups b) {
  return _mm512_add_epi16(sum, _mm512_maddubs_epi16(a, b));
}
inline Groups join_pairs(Groups sum) { return _mm512_madd_epi16(sum, _mm512_set1_epi16(1)); }
inline Groups magnitudes_8(Groups x) { return _mm512_abs_epi8(x); }
inline Groups with_signs_8(Groups a, Groups b) {
  return _mm512_mask_sub_epi8(a, _mm512_movepi8_mask(b), _mm512_setzero_si512(), a);
}
#if defined(__AVX512VNNI__)
// Returns sum + the products of the four bytes of each group; exact. `a` is unsigned, `b` signed.
inline Groups add_dots_8(Groups sum, Groups a, Groups b) { return _mm512_dpbusd_epi32(sum, a, b); }
#endif
inline Groups flip_signs_8(Groups x) { return _mm512_xor_si512(x, _mm512_set1_epi8(-128)); }
inline Groups in_order(Groups x) {
  __asm__("" : "+v"(x));
  return x;
}
inline F32 load_f16(const uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}

// Floats of kWidth bf16, and back, to the nearest, ties to even; NaN stays NaN.
inline F32 load_bf16(const uint16_t* p) {
  const __m512i x = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
}
inline F32 load_bf16_n(const uint16_t* p, int64_t n) {
  const __m512i x = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(first_lanes(n), p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
}
inline __m256i round_to_bf16(F32 x) {
#if defined(__AVX512BF16__)
  return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x));
#else
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i up = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_mask_blend_epi32(nan, up, quiet), 16));
#endif
}
inline void store_bf16(uint16_t* p, F32 x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), round_to_bf16(x));
}
inline void store_bf16_n(uint16_t* p, F32 x, int64_t n) {
  _mm256_mask_storeu_epi16(p, first_lanes(n), round_to_bf16(x));
}
// Floats of kWidth signed bytes.
inline F32 load_s8_n(const int8_t* p, int64_t n) {
  const __m128i bytes = n == kWidth ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(p))
                                    : _mm_maskz_loadu_epi8(first_lanes(n), p);
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
}
// The nearest whole numbers, ties to even, as bytes; x is from -128 to 255.
inline void store_bytes_n(void* p, F32 x, int64_t n) {
  const __m128i bytes = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x));
  if (n == kWidth) {  // masked stores of bytes are slow
    _mm_storeu_si128(static_cast<__m128i*>(p), bytes);
  } else {
    _mm_mask_storeu_epi8(p, first_lanes(n), bytes);
  }
}
inline float reduce_min(F32 x) { return _mm512_reduce_min_ps(x); }

// Groups of two bf16 from vectors of bf16 that were widened.
inline Groups join_bf16(F32 first, F32 second) {
  return _mm512_or_si512(_mm512_srli_epi32(_mm512_castps_si512(first), 16),
                         _mm512_castps_si512(second));
}
// x - floor(x), and p * 2^floor(x); of -infinity: 0, and 0.
inline F32 fraction(F32 x) {
  return _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
inline F32 scale_by_floor(F32 p, F32 x) { return _mm512_scalef_ps(p, x); }

}  // namespace headlane::kernels::HEADLANE_ISA
