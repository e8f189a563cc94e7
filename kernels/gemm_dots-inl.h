// Tiles of products in bf16 or 8-bit integers, in vector registers: what gemm_narrow-inl.h and
// attention in bf16 multiply with. gemm_tiles-inl.h is its twin.
//
// Both work on groups of 32 bits along K: two bf16 or four bytes. A is rows of groups; B is rows of
// groups too, one a step of K, each lane a column. What multiplies a group of A by a vector of
// groups of B is a Dot of the instruction set.
#pragma once

#include "kernels/register_tile-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// How products are multiplied in vector registers, by one Dot.
template <typename Dot>
struct DotTile {
  static constexpr int kMR = HEADLANE_ISA::kMR;
  static constexpr int64_t kNR = HEADLANE_ISA::kNR;
  static constexpr int64_t kStep = 1;  // groups that K is rounded up to
  struct Unit {};                      // what products of attention need set up: nothing

  static Strips strips(int64_t rows) { return {rows, kMR}; }

  // The strips of a product by one panel: tile[rows, vectors * kWidth] (stride kNR) = init + A *
  // panel. The first ones fetch the next panel, as in gemm-inl.h.
  struct Panel {
    Strips strips;
    int64_t groups;
    const uint32_t* panel;  // [groups, kNR]
    const uint32_t* next;   // of the panel that comes after, or null
    const float* init;
    int64_t vectors;

    void multiply(int64_t strip, const uint32_t* a, int64_t lda, float* tile) const {
      const Fetch<uint32_t> fetch(strips, groups, next, groups * kNR);
      multiply_strip<Dot>(strips, strip, vectors, groups, a, lda, panel, init, tile, kNR, fetch);
    }
  };

  // tile[rows, n] = (init or tile) + A[rows, groups] * B[groups, n], B in rows of stride ldb, n a
  // multiple of kWidth.
  static void multiply(Unit*, int64_t rows, int64_t n, int64_t groups, const uint32_t* a,
                       int64_t lda, const uint32_t* b, int64_t ldb, const float* init, float* tile,
                       int64_t ld) {
    for (int64_t j = 0; j < n; j += kNR) {
      const int64_t vectors = smaller(kNV, (n - j) / kWidth);
      kMicroKernels<Dot>.of[rows - 1][vectors - 1](groups, a, lda, b + j, ldb, init, tile + j, ld);
    }
  }
};

}  // namespace headlane::kernels::HEADLANE_ISA
