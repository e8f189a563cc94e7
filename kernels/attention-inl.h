// O = softmax(scale * Q K^T) V for one head of one sequence.
//
// K is packed once into panels as GEMM packs weights ([head_dim, NR keys] each), V into rows of
// whole vectors. Then strips of MR queries, each with its full rows of scores: exact maximum, no
// rescaling. A strip's scores, MR x kv_len floats, stay in L1 up to kv_len 1000 or so; K and V
// stream from L2, 16 to 24 bytes a cycle. Each query's result is made by one fixed order of
// operations, whatever its strip.
//
//   scratch:  K panels  [kv_len up to NR] x [head_dim]
//             V rows    [kv_len] x [head_dim up to kRowAlign]
//             S strip   [MR] x [kv_len, padded]
//             O strip   [MR] x [head_dim up to kRowAlign]

namespace headlane::kernels::HEADLANE_ISA {

struct AttentionScratch {
  int64_t ldv, lds;
  int64_t v_offset, s_offset, o_offset, floats;
};

inline AttentionScratch attention_layout(int64_t kv_len, int64_t head_dim) {
  AttentionScratch layout;
  layout.ldv = round_up(head_dim, kRowAlign);
  layout.lds = padded_stride(kv_len);
  layout.v_offset = round_up(kv_len, kNR) * head_dim;
  layout.v_offset = round_up(layout.v_offset, kRowAlign);
  layout.s_offset = layout.v_offset + kv_len * layout.ldv;
  layout.o_offset = layout.s_offset + kMR * layout.lds;
  layout.floats = layout.o_offset + kMR * layout.ldv;
  return layout;
}

inline int64_t attention_scratch_floats(int64_t kv_len, int64_t head_dim) {
  return attention_layout(kv_len, head_dim).floats;
}

// tile[rows, n] = A[rows, k] * B[k, n], B in rows of stride ldb, n a multiple of kWidth.
inline void multiply_strip(int64_t rows, int64_t n, int64_t k, const float* a, int64_t lda,
                           const float* b, int64_t ldb, float* tile, int64_t ld) {
  alignas(64) static constexpr float kZeros[kNR] = {};
  for (int64_t j = 0; j < n; j += kNR) {
    const int64_t vectors = smaller(kNV, (n - j) / kWidth);
    kMicroKernels.of[rows - 1][vectors - 1](k, a, lda, b + j, ldb, kZeros, tile + j, ld);
  }
}

// Turns a row of scores into 2^(factor * (score - max)); returns 1 / sum.
inline float softmax_row(float* s, int64_t kv_len, float factor) {
  const float infinity = __builtin_inff();
  F32 largest = broadcast(-infinity);
  for_each_vector(kv_len, [&](int64_t i, int64_t n) {
    largest = max(largest, keep_n(load(s + i), n, -infinity));
  });
  const F32 offset = broadcast(reduce_max(largest) * factor);
  F32 sum = broadcast(0.0f);
  for_each_vector(kv_len, [&](int64_t i, int64_t n) {
    const F32 p = keep_n(exp2(load(s + i) * broadcast(factor) - offset), n, 0.0f);
    store(s + i, p);
    sum = sum + p;
  });
  return 1.0f / reduce_add(sum);
}

inline void attention_f32(const AttentionF32Args& args) {
  assert(args.kv_len >= 1 && args.head_dim >= 1 && args.scale > 0);
  constexpr float kLog2E = 1.4426950408889634f;
  const int64_t d = args.head_dim;
  const AttentionScratch layout = attention_layout(args.kv_len, d);
  float* k_panels = args.scratch;
  float* v_rows = args.scratch + layout.v_offset;
  float* s = args.scratch + layout.s_offset;
  float* o = args.scratch + layout.o_offset;
  for (int64_t j = 0; j < args.kv_len; j += kNR) {
    pack_panel(args.k + j * args.ldk, smaller(kNR, args.kv_len - j), d, args.ldk, k_panels + j * d);
  }
  for (int64_t j = 0; j < args.kv_len; ++j) {
    for_each_vector(d, [&](int64_t i, int64_t n) {
      store(v_rows + j * layout.ldv + i, load_up_to(args.v + j * args.ldv + i, n));
    });
  }
  for (int64_t i = 0; i < args.q_len; i += kMR) {
    const int64_t rows = smaller(kMR, args.q_len - i);
    for (int64_t j = 0; j < args.kv_len; j += kNR) {
      const int64_t keys = round_up(smaller(kNR, args.kv_len - j), kWidth);
      multiply_strip(rows, keys, d, args.q + i * args.ldq, args.ldq, k_panels + j * d, kNR, s + j,
                     layout.lds);
    }
    float inverse_sum[kMR];
    for (int64_t r = 0; r < rows; ++r) {
      inverse_sum[r] = softmax_row(s + r * layout.lds, args.kv_len, args.scale * kLog2E);
    }
    multiply_strip(rows, round_up(d, kWidth), args.kv_len, s, layout.lds, v_rows, layout.ldv, o,
                   layout.ldv);
    for (int64_t r = 0; r < rows; ++r) {
      for_each_vector(d, [&](int64_t c, int64_t n) {
        store_up_to(args.o + (i + r) * args.ldo + c,
                    load(o + r * layout.ldv + c) * broadcast(inverse_sum[r]), n);
      });
    }
  }
}

}  // namespace headlane::kernels::HEADLANE_ISA
