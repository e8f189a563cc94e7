// Tiles of products in bf16 or 8-bit integers, in vector registers: what gemm_narrow-inl.h and
// attention in bf16 multiply with. gemm_tiles-inl.h is its twin.
//
// Both work on groups of 32 bits along K: two bf16 or four bytes. A is rows of groups; B is rows of
// groups too, one a step of K, each lane a column. What multiplies a group of A by a vector of
// groups of B is a Dot of the instruction set.
#pragma once

#include "kernels/register_tile-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// The sums of dots of bf16, and of bytes.
struct F32Sums {
  using Acc = F32;
  static Acc load_acc(const float* p) { return load(p); }
  static void store_acc(float* p, Acc x) { store(p, x); }
  static Acc add(Acc x, Acc y) { return x + y; }
};
struct S32Sums {
  using Acc = Groups;
  static Acc load_acc(const float* p) { return load_groups(reinterpret_cast<const uint32_t*>(p)); }
  static void store_acc(float* p, Acc x) { store_groups(reinterpret_cast<uint32_t*>(p), x); }
  static Acc add(Acc x, Acc y) { return add_32(x, y); }
};

// The register tile: C[MR, NV vectors] = init + A[MR, groups] * B[groups, NV vectors]; a null
// `init` adds to what C holds. LINES and `step` as in micro_kernel_ahead.
template <typename Dot, int MR, int NV, int LINES>
inline void dot_kernel_ahead(int64_t groups, const uint32_t* a, int64_t lda, const uint32_t* b,
                             int64_t ldb, const float* init, float* c, int64_t ldc,
                             const uint32_t* ahead, int64_t step) {
  typename Dot::Acc acc[MR][NV];
  HEADLANE_UNROLL
  for (int r = 0; r < MR; ++r) {
    HEADLANE_UNROLL
    for (int v = 0; v < NV; ++v) acc[r][v] = Dot::load_acc((init ? init : kZeroRow) + v * kWidth);
  }
  for (int64_t g = 0; g < groups; ++g, b += ldb) {
    HEADLANE_UNROLL
    for (int i = 0; i < LINES; ++i) __builtin_prefetch(ahead + g * step + i * kLine);
    decltype(Dot::b(b)) row[NV];
    HEADLANE_UNROLL
    for (int v = 0; v < NV; ++v) row[v] = Dot::b(b + v * kWidth);
    HEADLANE_UNROLL
    for (int r = 0; r < MR; ++r) {
      const auto a_r = Dot::a(a + r * lda + g);
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
inline void dot_kernel(int64_t groups, const uint32_t* a, int64_t lda, const uint32_t* b,
                       int64_t ldb, const float* init, float* c, int64_t ldc) {
  dot_kernel_ahead<Dot, MR, NV, 0>(groups, a, lda, b, ldb, init, c, ldc, nullptr, 0);
}

using DotKernel = void (*)(int64_t, const uint32_t*, int64_t, const uint32_t*, int64_t,
                           const float*, float*, int64_t);

struct DotKernels {
  DotKernel of[kMR][kNV];  // by [rows - 1][vectors - 1]
};

template <typename Dot, int MR, int NV>
constexpr void fill_dot_kernels(DotKernels* table) {
  table->of[MR - 1][NV - 1] = dot_kernel<Dot, MR, NV>;
  if constexpr (NV > 1) fill_dot_kernels<Dot, MR, NV - 1>(table);
  if constexpr (NV == kNV && MR > 1) fill_dot_kernels<Dot, MR - 1, NV>(table);
}

template <typename Dot>
constexpr DotKernels make_dot_kernels() {
  DotKernels table = {};
  fill_dot_kernels<Dot, kMR, kNV>(&table);
  return table;
}

template <typename Dot>
constexpr DotKernels kDotKernels = make_dot_kernels<Dot>();

// A full strip that fetches its part, one of PARTS, of the [groups, NR] at `next`.
template <typename Dot, int PARTS>
inline void dot_kernel_fetching(int64_t part, int64_t groups, const uint32_t* a, int64_t lda,
                                const uint32_t* b, const float* init, float* c,
                                const uint32_t* next) {
  constexpr int64_t kStep = kNR / PARTS;
  constexpr int kLines = static_cast<int>((kStep + kLine - 1) / kLine);
  dot_kernel_ahead<Dot, kMR, kNV, kLines>(groups, a, lda, b, kNR, init, c, kNR,
                                          next + part * groups * kStep, kStep);
}

// How products are multiplied in vector registers, by one Dot.
template <typename Dot>
struct DotTile {
  static constexpr int kMR = HEADLANE_ISA::kMR;
  static constexpr int64_t kNR = HEADLANE_ISA::kNR;
  static constexpr int64_t kStep = 1;  // groups that K is rounded up to
  struct Unit {};                      // what products need to be set up: nothing

  // tile[rows, vectors * kWidth] (stride kNR) = init + A * panel, for one of the strips of a
  // product. The first strips of a panel fetch the next one, as in gemm-inl.h.
  struct Strips {
    int64_t groups, n_strips;  // strips of any rows
    const uint32_t* panel;     // [groups, kNR]
    const uint32_t* next;      // of the panel that comes after, or null
    const float* init;
    int64_t vectors;

    // between(i, n), i = 0 .. n - 1, is called in the course of it.
    template <typename Between>
    void multiply(Unit*, int64_t strip, int64_t rows, const uint32_t* a, int64_t lda, float* tile,
                  Between between) const {
      between(0, 1);
      const int64_t parts = n_strips > 1 ? smaller(kMostParts, n_strips) : 0;
      if (!next || strip >= parts || rows < kMR || vectors < kNV) {
        kDotKernels<Dot>.of[rows - 1][vectors - 1](groups, a, lda, panel, kNR, init, tile, kNR);
        return;
      }
      using Fetching = void (*)(int64_t, int64_t, const uint32_t*, int64_t, const uint32_t*,
                                const float*, float*, const uint32_t*);
      constexpr Fetching kFetching[] = {dot_kernel_fetching<Dot, 1>,
                                        dot_kernel_fetching<Dot, smaller(2, kMostParts)>,
                                        dot_kernel_fetching<Dot, smaller(3, kMostParts)>};
      kFetching[parts - 1](strip, groups, a, lda, panel, init, tile, next);
    }
  };

  // tile[rows, n] = (init or tile) + A[rows, groups] * B[groups, n], B in rows of stride ldb, n a
  // multiple of kWidth.
  static void multiply(Unit*, int64_t rows, int64_t n, int64_t groups, const uint32_t* a,
                       int64_t lda, const uint32_t* b, int64_t ldb, const float* init, float* tile,
                       int64_t ld) {
    for (int64_t j = 0; j < n; j += kNR) {
      const int64_t vectors = smaller(kNV, (n - j) / kWidth);
      kDotKernels<Dot>.of[rows - 1][vectors - 1](groups, a, lda, b + j, ldb, init, tile + j, ld);
    }
  }
};

}  // namespace headlane::kernels::HEADLANE_ISA
