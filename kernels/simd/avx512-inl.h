// The vector primitives of AVX-512 (F, BW, DQ, VL): all that the algorithms in *-inl.h need beyond
// xsimd's batch. simd/avx2-inl.h is its twin.
#include <immintrin.h>

#include <cstdint>
#include <xsimd/xsimd.hpp>

namespace headlane::kernels::avx512 {

using F32 = xsimd::batch<float, xsimd::avx512bw>;
constexpr int kWidth = 16;

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

}  // namespace headlane::kernels::avx512
