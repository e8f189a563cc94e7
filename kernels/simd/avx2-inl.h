// The vector primitives of AVX2 with FMA: all that the algorithms in *-inl.h need beyond xsimd's
// batch. simd/avx512-inl.h is its twin.
#include <immintrin.h>

#include <cstdint>
#include <xsimd/xsimd.hpp>

namespace headlane::kernels::avx2 {

using F32 = xsimd::batch<float, xsimd::fma3<xsimd::avx2>>;
constexpr int kWidth = 8;

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

}  // namespace headlane::kernels::avx2
