// Attention in f32: what the loops of attention_scores-inl.h and attention-inl.h multiply with.
#pragma once

#include "kernels/attention_scores-inl.h"
#include "kernels/gemm-inl.h"
#include "kernels/rotary-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// Keys of a block: a multiple of NR (16, 48) with S strip + panel in L1.
constexpr int64_t kFloatBC = 240;

// tile[rows, n] = sum over c of additive[c] * tanh(q[rows, c] + panel[c, n]), n a multiple of
// kWidth. Out of line, as adjust_scores is: inside score_strip the two cost plain dot products 1 to
// 4 % (bench attention_f32/.../d32).
[[gnu::noinline]] inline void additive_strip(const AttentionF32Args& args, int64_t rows, int64_t n,
                                             const float* q, int64_t ldq, const float* panel,
                                             float* tile) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < n; j += kWidth) {
      F32 sum = broadcast(0.0f);
      for (int64_t c = 0; c < args.head_dim; ++c) {
        const F32 x = broadcast(q[r * ldq + c]) + load(panel + c * kNR + j);
        sum = fma(broadcast(args.additive[c]), tanh(x), sum);
      }
      store(tile + r * kFloatBC + j, sum);
    }
  }
}

template <>
struct AttentionTile<float> {
  static constexpr int64_t kMR = HEADLANE_ISA::kMR, kNR = HEADLANE_ISA::kNR;
  static constexpr int64_t kBC = kFloatBC;
  static constexpr int64_t kGroupRows = 64 * kMR;  // packing is 1 / kGroupRows of multiplying
  static constexpr int64_t kPerGroup = 1, kStep = 1;
  struct Unit {};  // what products need to be set up: nothing

  static Strips strips(int64_t rows) { return {rows, kMR}; }
  static int64_t groups(int64_t dim) { return dim; }
  static bool copies(const AttentionArgs<float>& args) { return args.rotary; }
  static void copy_row(const AttentionArgs<float>& args, int64_t position, const float* x, float*,
                       float* y) {
    turn_row(args, position, x, y);
  }
  static F32 exp2(F32 x) { return HEADLANE_ISA::exp2(x); }
  static void store_p(float* p, F32 x) { store(p, x); }
  static void store_o(float* o, F32 x, int64_t n) { store_up_to(o, x, n); }

  // Row j of V, or zeros where seen[j] is 0, to row j of the block; adds what tells whether it is
  // finite.
  static void pack_values(const float* v, int64_t ldv, int64_t n, int64_t v_dim,
                          const uint8_t* seen, float* to, int64_t ld, F32* differences) {
    for (int64_t j = 0; j < n; ++j) {
      const bool zeros = seen && seen[j] == 0;
      for_each_vector(v_dim, [&](int64_t c, int64_t width) {
        const F32 x = zeros ? broadcast(0.0f) : load_up_to(v + j * ldv + c, width);
        *differences = *differences + (x - x);
        store(to + j * ld + c, x);
      });
    }
  }

  // tile[rows, n] = (init or tile) + A[rows, k] * B[k, n], B in rows of stride ldb, n a multiple of
  // kWidth.
  static void multiply(Unit*, int64_t rows, int64_t n, int64_t k, const float* a, int64_t lda,
                       const float* b, int64_t ldb, const float* init, float* tile, int64_t ld) {
    for (int64_t j = 0; j < n; j += kNR) {
      const int64_t vectors = smaller(kNV, (n - j) / kWidth);
      kMicroKernels<F32Dot>.of[rows - 1][vectors - 1](k, a, lda, b + j, ldb, init, tile + j, ld);
    }
  }
  static void add_tanh(const AttentionF32Args& args, int64_t rows, int64_t n, const float* q,
                       int64_t ldq, const float* panel, float* tile) {
    additive_strip(args, rows, n, q, ldq, panel, tile);
  }
};

}  // namespace headlane::kernels::HEADLANE_ISA
