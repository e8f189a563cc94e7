// C[M, N] = activation(A[M, K] * W[N, K]^T + bias), W packed into panels of NR columns.
//
//   packed panel p:   bias  [NR]          columns p NR .. p NR + NR, zeros beyond N
//                     row 0 [NR]          k = 0
//                     ...
//                     row K-1 [NR]
//
// Loops, outermost first: panels of NR columns; blocks of KC rows of the panel; strips of MR rows
// of A. So a block of a panel (KC x NR floats) stays in L1 or L2 while all of A passes by, and each
// panel is read from farther away once per call: callers give it as many rows of A as their L2
// holds. Each element of C is a sum over blocks of KC, each block a chain of fused multiply-adds
// (the first begins at the bias): short chains keep errors small (0.3 to 0.5 at K = 3072). That
// order is the same in every register tile, so its bits depend on its row of A and its column of W
// alone.
#pragma once

#include "kernels/math-inl.h"
#include "kernels/pack-inl.h"
#include "kernels/register_tile-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// A float is a group of its own.
struct F32Dot : F32Sums {
  using Group = float;
  static F32 a(const float* p) { return broadcast(*p); }
  static F32 b(const float* p) { return load(p); }
  static Acc step(Acc sum, F32 a, F32 b) { return fma(a, b, sum); }
};

inline int64_t f32_panel_bytes(int64_t, int64_t k) { return kNR * (k + 1) * 4; }

inline void pack_f32_panel(const PanelArgs& args) {
  float* panel = static_cast<float*>(args.panel);
  for (int64_t j = 0; j < kNR; ++j) panel[j] = args.bias && j < args.rows ? args.bias[j] : 0.0f;
  pack_panel<kNR>(static_cast<const float*>(args.w), args.rows, args.k, args.k, panel + kNR);
}

// activation over a tile of C that was just computed, so that it is read from L1.
inline void activate_tile(Activation activation, int64_t rows, int64_t vectors, float* c,
                          int64_t ldc) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t v = 0; v < vectors; ++v) {
      float* p = c + r * ldc + v * kWidth;
      store(p, activate(activation, load(p)));
    }
  }
}

inline int64_t vectors_of_panel(const ProductArgs& args, int64_t p) {
  return (smaller(kNR, args.n - p * kNR) + kWidth - 1) / kWidth;
}

// All rows by panel p. The first strips of a block fetch the block that follows it, which otherwise
// arrives in step with its own first strip, from L3 or memory.
inline void multiply_f32_panel(const ProductArgs& args, const Strips& strips, int64_t p) {
  const float* panel = static_cast<const float*>(args.packed) + p * kNR * (args.k + 1);
  const int64_t vectors = vectors_of_panel(args, p);
  for (int64_t k0 = 0; k0 < args.k; k0 += kKC) {
    const int64_t kc = smaller(kKC, args.k - k0);
    const float* init = k0 == 0 ? panel : nullptr;
    const float* b = panel + kNR * (1 + k0);
    const bool ends = k0 + kc == args.k;
    const bool last = ends && p + 1 == args.panel_end;
    const int64_t next_rows = ends ? 1 + smaller(kKC, args.k) : smaller(kKC, args.k - k0 - kc);
    const Fetch<float> fetch(strips, kc, last ? nullptr : b + kNR * kc, kNR * next_rows);
    for (int64_t i = 0; i < strips.count(); ++i) {
      const int64_t m0 = strips.begin(i);
      const float* a = static_cast<const float*>(args.a) + m0 * args.lda + k0;
      float* c = static_cast<float*>(args.c) + m0 * args.ldc + p * kNR;
      multiply_strip<F32Dot>(strips, i, vectors, kc, a, args.lda, b, init, c, args.ldc, fetch);
      if (args.activation != Activation::kNone && ends) {
        activate_tile(args.activation, strips.rows(i), vectors, c, args.ldc);
      }
    }
  }
}

// A few rows by some panels from p on.
inline void multiply_f32_beside(const ProductArgs& args, int64_t p) {
  const int64_t apart = kNR * (args.k + 1);
  const float* panel = static_cast<const float*>(args.packed) + p * apart;
  float* c = static_cast<float*>(args.c) + p * kNR;
  for (int64_t k0 = 0; k0 < args.k; k0 += kKC) {
    kKernelsBeside<F32Dot>[args.m - 1](
        smaller(kKC, args.k - k0), static_cast<const float*>(args.a) + k0, args.lda,
        panel + kNR * (1 + k0), apart, k0 == 0 ? panel : nullptr, c, args.ldc);
  }
  if (args.activation != Activation::kNone) {
    activate_tile(args.activation, args.m, panels_at_once(args.m) * kNV, c, args.ldc);
  }
}

inline void run_f32(const ProductArgs& args) {
  assert(args.m >= 0 && args.k >= 1 && args.ldc % kRowAlign == 0 && args.lda >= args.k);
  assert(args.c_element == Element::kF32);
  const Strips strips(args.m, kMR);
  const int64_t beside = args.m == 0 ? 1 : panels_at_once(args.m);
  for (int64_t p = args.panel_begin; p < args.panel_end;) {
    const int64_t last = p + beside - 1;
    if (beside > 1 && last < args.panel_end && vectors_of_panel(args, last) == kNV) {
      multiply_f32_beside(args, p);
      p += beside;
    } else {
      multiply_f32_panel(args, strips, p);
      ++p;
    }
  }
}

constexpr Product make_f32_product(const char* name) {
  return {.name = name,
          .layout = "columns",
          .native = true,
          .mr = kMR,
          .nr = kNR,
          .panel_bytes = f32_panel_bytes,
          .pack_panel = pack_f32_panel,
          .run = run_f32};
}

}  // namespace headlane::kernels::HEADLANE_ISA
