// The tile of sums in vector registers, kMR x kNV vectors (simd/*-inl.h), that all products but
// those of AMX are made of.
#pragma once

#include "kernels/loops-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

constexpr int64_t kNR = int64_t{kNV} * kWidth;
static_assert(kNR <= static_cast<int64_t>(sizeof(kZeroRow) / sizeof(float)));

constexpr int64_t kLine = 64 / sizeof(float);  // of a cache
constexpr int kMostLines = 3;                  // that are fetched with a step of k

// Whereto the next block of K is fetched, as __builtin_prefetch has it: 3 is L1, 2 is L2. In L1 it
// would drive out the block at hand where that fills half of it (AVX2: 16 KB), and where few strips
// of floats fetch two lines or more with each step (docs/experiments.md).
template <typename Group>
constexpr int fetched_to(int lines) {
  constexpr bool kFloats = static_cast<Group>(0.5f) > 0;
  return kNV < 3 || (kFloats && lines > 1) ? 2 : 3;
}

// Sums of floats, and of integers.
struct F32Sums {
  using Acc = F32;
  static Acc zero() { return broadcast(0.0f); }
  static Acc load_acc(const float* p) { return load(p); }
  static void store_acc(float* p, Acc x) { store(p, x); }
  static Acc add(Acc x, Acc y) { return x + y; }
  static constexpr bool kGoesOn = false;
};
struct S32Sums {
  using Acc = Groups;
  static Acc zero() { return broadcast_32(0); }
  static Acc load_acc(const float* p) { return load_groups(reinterpret_cast<const uint32_t*>(p)); }
  static void store_acc(float* p, Acc x) { store_groups(reinterpret_cast<uint32_t*>(p), x); }
  static Acc add(Acc x, Acc y) { return add_32(x, y); }
  static constexpr bool kGoesOn = false;
};

// The type of the elements that a Dot reads from B. Most Dots read groups, as they do from A.
template <typename Vector, typename T>
T element_of(Vector (*)(const T*));
template <typename Dot>
using GroupOfB = decltype(element_of(Dot::b));

// The register tile: C[MR, NV vectors] = init + A[MR, k] * B[k, NV vectors], in the groups of a
// Dot, which multiplies a group of A by a vector of groups of B. `init` is one row that every row
// starts from; null adds the product to what C holds, or, where the Dot says so, lets the chain of
// each sum go on from there. Accumulators MR x NV, plus NV of B and 1 of
// A. On the way k times `step` groups from `ahead` on are fetched into the caches, LINES of them
// (64 bytes each) with every step.
template <typename Dot, int MR, int NV, int LINES>
inline void micro_kernel_ahead(int64_t k, const typename Dot::Group* a, int64_t lda,
                               const GroupOfB<Dot>* b, int64_t ldb, const float* init, float* c,
                               int64_t ldc, const typename Dot::Group* ahead, int64_t step) {
  constexpr int kFetchedTo = fetched_to<typename Dot::Group>(LINES);  // a constant at -O0 too
  typename Dot::Acc acc[MR][NV];
  HEADLANE_UNROLL
  for (int r = 0; r < MR; ++r) {
    HEADLANE_UNROLL
    for (int v = 0; v < NV; ++v) {
      acc[r][v] = init           ? Dot::load_acc(init + v * kWidth)
                  : Dot::kGoesOn ? Dot::load_acc(c + r * ldc + v * kWidth)
                                 : Dot::zero();
    }
  }
  for (int64_t kk = 0; kk < k; ++kk, b += ldb) {
    HEADLANE_UNROLL
    for (int i = 0; i < LINES; ++i) {
      __builtin_prefetch(ahead + kk * step + i * kLine, 0, kFetchedTo);
    }
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
      Dot::store_acc(at, init || Dot::kGoesOn ? acc[r][v] : Dot::add(Dot::load_acc(at), acc[r][v]));
    }
  }
}

template <typename Dot, int MR, int NV>
inline void micro_kernel(int64_t k, const typename Dot::Group* a, int64_t lda,
                         const GroupOfB<Dot>* b, int64_t ldb, const float* init, float* c,
                         int64_t ldc) {
  micro_kernel_ahead<Dot, MR, NV, 0>(k, a, lda, b, ldb, init, c, ldc, nullptr, 0);
}

// How many panels side by side are multiplied at once by strips of so few rows that the sums of one
// panel are chains too few to keep the multipliers busy, or that reads from far away are too few at
// a time. 2 rows by 3 vectors are better off one panel after another (bench gemm_f32/.../m2).
constexpr int panels_at_once(int64_t rows) {
  return rows == 1 ? 4 : rows == 3 || (rows == 2 && kNV < 3) ? 2 : 1;
}

// micro_kernel for that: panel p has its init and its B at p * `apart` from where those of the
// first are. The hardware does not see so many streams coming as well as one: they are asked for a
// page ahead.
template <typename Dot, int MR>
inline void micro_kernel_beside(int64_t k, const typename Dot::Group* a, int64_t lda,
                                const typename Dot::Group* b, int64_t apart, const float* init,
                                float* c, int64_t ldc) {
  constexpr int kPanels = panels_at_once(MR), kVectors = kPanels * kNV;
  constexpr int64_t kAhead = 4096 / (kNR * 4) * kNR;
  constexpr int kLines = kNR / kLine;
  typename Dot::Acc acc[MR][kVectors];
  HEADLANE_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    const auto first =
        init ? Dot::load_acc(init + v / kNV * apart + v % kNV * kWidth) : Dot::zero();
    HEADLANE_UNROLL
    for (int r = 0; r < MR; ++r) acc[r][v] = first;
  }
  for (int64_t kk = 0; kk < k; ++kk, b += kNR) {
    HEADLANE_UNROLL
    for (int i = 0; i < kPanels * kLines; ++i) {
      __builtin_prefetch(b + kAhead + i / kLines * apart + i % kLines * kLine);
    }
    decltype(Dot::a(a)) column[MR];
    HEADLANE_UNROLL
    for (int r = 0; r < MR; ++r) column[r] = Dot::a(a + r * lda + kk);
    HEADLANE_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const auto b_v = Dot::b(b + v / kNV * apart + v % kNV * kWidth);
      HEADLANE_UNROLL
      for (int r = 0; r < MR; ++r) acc[r][v] = Dot::step(acc[r][v], column[r], b_v);
    }
  }
  HEADLANE_UNROLL
  for (int r = 0; r < MR; ++r) {
    HEADLANE_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      float* at = c + r * ldc + v * kWidth;
      Dot::store_acc(at, init ? acc[r][v] : Dot::add(Dot::load_acc(at), acc[r][v]));
    }
  }
}

// By [rows - 1].
template <typename Dot>
constexpr decltype(&micro_kernel_beside<Dot, 1>) kKernelsBeside[] = {
    micro_kernel_beside<Dot, 1>, micro_kernel_beside<Dot, 2>, micro_kernel_beside<Dot, 3>};

// micro_kernel for every tile up to kMR x kNV, by [rows - 1][vectors - 1].
template <typename Dot>
struct MicroKernels {
  using Group = typename Dot::Group;
  void (*of[kMR][kNV])(int64_t k, const Group* a, int64_t lda, const GroupOfB<Dot>* b, int64_t ldb,
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

// By [lines of a step - 1][rows - kLeastOfSome].
template <typename Dot>
struct FetchingKernels {
  decltype(&micro_kernel_ahead<Dot, kMR, kNV, 1>) of[kMostLines][kMR - kLeastOfSome + 1];
};

template <typename Dot, int LINES, int MR>
constexpr void fill_fetching_kernels(FetchingKernels<Dot>* table) {
  table->of[LINES - 1][MR - kLeastOfSome] = micro_kernel_ahead<Dot, MR, kNV, LINES>;
  if constexpr (LINES > 1) fill_fetching_kernels<Dot, LINES - 1, MR>(table);
  if constexpr (LINES == kMostLines && MR > kLeastOfSome) {
    fill_fetching_kernels<Dot, LINES, MR - 1>(table);
  }
}

template <typename Dot>
constexpr FetchingKernels<Dot> make_fetching_kernels() {
  FetchingKernels<Dot> table = {};
  fill_fetching_kernels<Dot, kMostLines, kMR>(&table);
  return table;
}

template <typename Dot>
constexpr FetchingKernels<Dot> kFetchingKernels = make_fetching_kernels<Dot>();

// The `size` groups that come after a block of k steps, null where nothing does, and how the strips
// of the block fetch them: as few strips as can by a line with each step, or all of them; each a
// part, one line after another. Narrow panels, whose next block goes to L2, are fetched by all
// strips: a line takes longer from memory than the few that the CPU keeps on their way at once take
// from L3, and so they are spread over the whole block (docs/experiments.md). One strip alone gains
// nothing over the CPU's own prefetcher and is 10 to 20 % slower so (bench gemm_f32/.../cold).
template <typename Group>
struct Fetch {
  const Group* next;
  int64_t parts, step;  // of strips; groups of a part that go with a step
  int64_t lines;        // of a step

  Fetch(const Strips& strips, int64_t k, const Group* after, int64_t size) : next(after) {
    const auto quotient_up = [](int64_t x, int64_t y) { return (x + y - 1) / y; };
    const int64_t enough = kNV < 3 ? strips.count() : quotient_up(size, k * kLine);
    parts = after && strips.count() > 1 ? smaller(strips.count(), enough) : 0;
    step = parts > 0 ? quotient_up(size, parts * k) : 0;
    lines = smaller(kMostLines, quotient_up(step, kLine));
  }
};

// Strip i of a product by a panel of kNR columns, which fetches its part where it has one.
template <typename Dot>
inline void multiply_strip(const Strips& strips, int64_t i, int64_t vectors, int64_t k,
                           const typename Dot::Group* a, int64_t lda, const GroupOfB<Dot>* b,
                           const float* init, float* c, int64_t ldc,
                           const Fetch<typename Dot::Group>& fetch) {
  const int64_t rows = strips.rows(i);
  if (i < fetch.parts && vectors == kNV) {
    kFetchingKernels<Dot>.of[fetch.lines - 1][rows - kLeastOfSome](
        k, a, lda, b, kNR, init, c, ldc, fetch.next + i * k * fetch.step, fetch.step);
  } else {
    kMicroKernels<Dot>.of[rows - 1][vectors - 1](k, a, lda, b, kNR, init, c, ldc);
  }
}

}  // namespace headlane::kernels::HEADLANE_ISA
