// The tile of sums in vector registers, kMR x kNV vectors (simd/*-inl.h), that all products but
// those of AMX are made of.
#pragma once

#include "kernels/loops-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

constexpr int64_t kNR = int64_t{kNV} * kWidth;
static_assert(kNR <= static_cast<int64_t>(sizeof(kZeroRow) / sizeof(float)));

constexpr int64_t kLine = 64 / sizeof(float);  // of a cache
constexpr int kMostParts = kNR / kLine;        // a line each with every step of k
static_assert(1 <= kMostParts && kMostParts <= 3);

// Sums of floats, and of integers.
struct F32Sums {
  using Acc = F32;
  static Acc zero() { return broadcast(0.0f); }
  static Acc load_acc(const float* p) { return load(p); }
  static void store_acc(float* p, Acc x) { store(p, x); }
  static Acc add(Acc x, Acc y) { return x + y; }
};
struct S32Sums {
  using Acc = Groups;
  static Acc zero() { return broadcast_32(0); }
  static Acc load_acc(const float* p) { return load_groups(reinterpret_cast<const uint32_t*>(p)); }
  static void store_acc(float* p, Acc x) { store_groups(reinterpret_cast<uint32_t*>(p), x); }
  static Acc add(Acc x, Acc y) { return add_32(x, y); }
};

// The register tile: C[MR, NV vectors] = init + A[MR, k] * B[k, NV vectors], in the groups of a
// Dot, which multiplies a group of A by a vector of groups of B. `init` is one row that every row
// starts from; null adds the product to what C holds. Accumulators MR x NV, plus NV of B and 1 of
// A. On the way k times `step` groups from `ahead` on are fetched into the caches, LINES of them
// (64 bytes each) with every step.
template <typename Dot, int MR, int NV, int LINES>
inline void micro_kernel_ahead(int64_t k, const typename Dot::Group* a, int64_t lda,
                               const typename Dot::Group* b, int64_t ldb, const float* init,
                               float* c, int64_t ldc, const typename Dot::Group* ahead,
                               int64_t step) {
  typename Dot::Acc acc[MR][NV];
  HEADLANE_UNROLL
  for (int r = 0; r < MR; ++r) {
    HEADLANE_UNROLL
    for (int v = 0; v < NV; ++v) acc[r][v] = init ? Dot::load_acc(init + v * kWidth) : Dot::zero();
  }
  for (int64_t kk = 0; kk < k; ++kk, b += ldb) {
    HEADLANE_UNROLL
    for (int i = 0; i < LINES; ++i) __builtin_prefetch(ahead + kk * step + i * kLine);
    decltype(Dot::b(b)) row[NV];
    HEADLANE_UNROLL
    for (int v = 0; v < NV; ++v) row[v] = Dot::b(b + v * kWidth);
    HEADLANE_UNROLL
    for (int r = 0; r < MR; ++r) {
      const auto a_r = Dot::a(a + r * lda + kk);
      HEADLANE_UNROLL
      for (int v = 0; v < NV; ++v) acc[r][v] = Dot::step(acc[r][v], a_r, row[v]);
    }
  }
  HEADLANE_UNROLL
  for (int r = 0; r < MR; ++r) {
    HEADLANE_UNROLL
    for (int v = 0; v < NV; ++v) {
      float* at = c + r * ldc + v * kWidth;
      Dot::store_acc(at, init ? acc[r][v] : Dot::add(Dot::load_acc(at), acc[r][v]));
    }
  }
}

template <typename Dot, int MR, int NV>
inline void micro_kernel(int64_t k, const typename Dot::Group* a, int64_t lda,
                         const typename Dot::Group* b, int64_t ldb, const float* init, float* c,
                         int64_t ldc) {
  micro_kernel_ahead<Dot, MR, NV, 0>(k, a, lda, b, ldb, init, c, ldc, nullptr, 0);
}

// micro_kernel for every tile up to kMR x kNV, by [rows - 1][vectors - 1].
template <typename Dot>
struct MicroKernels {
  using Group = typename Dot::Group;
  void (*of[kMR][kNV])(int64_t k, const Group* a, int64_t lda, const Group* b, int64_t ldb,
                       const float* init, float* c, int64_t ldc);
};

template <typename Dot, int MR, int NV>
constexpr void fill_micro_kernels(MicroKernels<Dot>* table) {
  table->of[MR - 1][NV - 1] = micro_kernel<Dot, MR, NV>;
  if constexpr (NV > 1) fill_micro_kernels<Dot, MR, NV - 1>(table);
  if constexpr (NV == kNV && MR > 1) fill_micro_kernels<Dot, MR - 1, NV>(table);
}

template <typename Dot>
constexpr MicroKernels<Dot> make_micro_kernels() {
  MicroKernels<Dot> table = {};
  fill_micro_kernels<Dot, kMR, kNV>(&table);
  return table;
}

template <typename Dot>
constexpr MicroKernels<Dot> kMicroKernels = make_micro_kernels<Dot>();

// Fewer rows than these have only strips that are a product's only one.
constexpr int kLeastOfSome = (kMR + 1) / 2;

// One of several strips, which fetches its part, one of PARTS, of the [k, NR] at `next`.
template <typename Dot, int PARTS, int MR>
inline void micro_kernel_fetching(int64_t part, int64_t k, const typename Dot::Group* a,
                                  int64_t lda, const typename Dot::Group* b, const float* init,
                                  float* c, int64_t ldc, const typename Dot::Group* next) {
  constexpr int64_t kStep = kNR / PARTS;
  constexpr int kLines = static_cast<int>((kStep + kLine - 1) / kLine);
  micro_kernel_ahead<Dot, MR, kNV, kLines>(k, a, lda, b, kNR, init, c, ldc, next + part * k * kStep,
                                           kStep);
}

// By [parts - 1][rows - kLeastOfSome].
template <typename Dot>
struct FetchingKernels {
  decltype(&micro_kernel_fetching<Dot, 1, kMR>) of[kMostParts][kMR - kLeastOfSome + 1];
};

template <typename Dot, int PARTS, int MR>
constexpr void fill_fetching_kernels(FetchingKernels<Dot>* table) {
  table->of[PARTS - 1][MR - kLeastOfSome] = micro_kernel_fetching<Dot, PARTS, MR>;
  if constexpr (PARTS > 1) fill_fetching_kernels<Dot, PARTS - 1, MR>(table);
  if constexpr (PARTS == kMostParts && MR > kLeastOfSome) {
    fill_fetching_kernels<Dot, PARTS, MR - 1>(table);
  }
}

template <typename Dot>
constexpr FetchingKernels<Dot> make_fetching_kernels() {
  FetchingKernels<Dot> table = {};
  fill_fetching_kernels<Dot, kMostParts, kMR>(&table);
  return table;
}

template <typename Dot>
constexpr FetchingKernels<Dot> kFetchingKernels = make_fetching_kernels<Dot>();

// How many strips of a block of `strips` share the fetching of the next. One strip alone gains
// nothing over the CPU's own prefetcher and is 10 to 20 % slower so (bench gemm_f32/.../cold).
inline int64_t fetching_parts(const Strips& strips) {
  return strips.count() > 1 ? smaller(kMostParts, strips.count()) : 0;
}

// Strip i of a product by a panel of kNR columns, which fetches its part of `next` where it has
// one: null where nothing comes after.
template <typename Dot>
inline void multiply_strip(const Strips& strips, int64_t i, int64_t vectors, int64_t k,
                           const typename Dot::Group* a, int64_t lda, const typename Dot::Group* b,
                           const float* init, float* c, int64_t ldc,
                           const typename Dot::Group* next) {
  const int64_t rows = strips.rows(i), parts = fetching_parts(strips);
  if (next && i < parts && vectors == kNV) {
    kFetchingKernels<Dot>.of[parts - 1][rows - kLeastOfSome](i, k, a, lda, b, init, c, ldc, next);
  } else {
    kMicroKernels<Dot>.of[rows - 1][vectors - 1](k, a, lda, b, kNR, init, c, ldc);
  }
}

}  // namespace headlane::kernels::HEADLANE_ISA
