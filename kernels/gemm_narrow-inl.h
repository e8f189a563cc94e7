// Products in bf16 and in 8-bit integers: C = activation(A * W^T + bias).
//
//   a panel of bf16:   bias   [NR]  f32       of 8-bit integers:   bias   [NR]  f32
//                      groups [K/2, NR]                            scale  [NR]  f32
//                                                                  sums   [NR]  s32, of W over K
//                                                                  groups [K/4, NR]
//
// zeros beyond N, and beyond K up to a whole step of the tile. A strip's tile goes to L1 as sums,
// and from there, scaled, with its activation, to C. Sums are not cut along K: a panel of 48
// columns and 1536 rows of bf16 is what half of one of 384 rows of floats is.

namespace headlane::kernels::HEADLANE_ISA {

// x/2 (1 + erf(x/sqrt 2)) = x (1/2 + t P(t^2)), t = x within +-4.2, to 8.5e-5: a fiftieth of what
// rounding 1 to bf16 costs. Beyond, where the bracket is 1 or 0, it is so to 2.3e-6.
inline F32 gelu_narrow(F32 x) {
  constexpr float kP[] = {0.398465872f,    -0.0655281991f,   0.00929822866f,  -0.000950657472f,
                          6.68906869e-05f, -3.03793126e-06f, 7.94133825e-08f, -9.01753006e-10f};
  const F32 t = max(broadcast(-4.2f), min(broadcast(4.2f), x));
  return x * fma(t, polynomial(t * t, kP), broadcast(0.5f));
}

inline F32 activate_narrow(Activation activation, F32 x) {
  return activation == Activation::kGelu ? gelu_narrow(x) : activate(activation, x);
}

// How a type of product reads its panels.
struct Bf16Panels {
  static constexpr int64_t kPerGroup = 2, kHeaderRows = 1;
};
struct U8Panels {
  static constexpr int64_t kPerGroup = 4, kHeaderRows = 3;
};

template <typename Panels>
inline int64_t groups_of(int64_t k) {
  return round_up((k + Panels::kPerGroup - 1) / Panels::kPerGroup, kDotStep);
}

template <typename Panels>
inline int64_t narrow_panel_bytes(int64_t k) {
  return (Panels::kHeaderRows + groups_of<Panels>(k)) * kDotNR * 4;
}

// groups[K, NR] of rows w [n, k] of `size` bytes an element.
inline void pack_groups(const void* w, int64_t n, int64_t k, int64_t size, int64_t groups,
                        float* out) {
  const int64_t whole = k * size / 4;  // groups that rows have all of
  const char* rows = static_cast<const char*>(w);
  for (int64_t g = 0; g < groups; g += kWidth) {
    for (int64_t j = 0; j < kDotNR; j += kWidth) {
      F32 block[kWidth];
      for (int64_t i = 0; i < kWidth; ++i) {
        block[i] = broadcast(0.0f);
        if (j + i >= n) continue;
        const char* row = rows + (j + i) * k * size;
        const int64_t depth = smaller(kWidth, whole - g);
        alignas(64) float lanes[kWidth] = {};
        const int64_t left = smaller(kWidth * 4, k * size - g * 4);
        if (depth == kWidth) {
          block[i] = load(reinterpret_cast<const float*>(row) + g);
        } else if (left > 0) {
          __builtin_memcpy(lanes, row + g * 4, static_cast<size_t>(left));
          block[i] = load(lanes);
        }
      }
      transpose(block);
      const int64_t depth = smaller(kWidth, groups - g);
      for (int64_t i = 0; i < depth; ++i) store(out + (g + i) * kDotNR + j, block[i]);
    }
  }
}

inline void pack_bf16_panel(const void* w, const float*, const float* bias, int64_t rows, int64_t k,
                            void* panel) {
  float* out = static_cast<float*>(panel);
  for (int64_t j = 0; j < kDotNR; ++j) out[j] = 0.0f;
  // Not one loop with a choice in it: vectorised, that may name no lane of a null pointer's vector,
  // which emulators read all the same.
  if (bias) __builtin_memcpy(out, bias, static_cast<size_t>(rows) * sizeof(float));
  pack_groups(w, rows, k, 2, groups_of<Bf16Panels>(k), out + kDotNR);
}

inline void pack_u8_panel(const void* w, const float* scale, const float* bias, int64_t rows,
                          int64_t k, void* panel) {
  float* out = static_cast<float*>(panel);
  const int8_t* q = static_cast<const int8_t*>(w);
  for (int64_t j = 0; j < kDotNR; ++j) {
    const bool inside = j < rows;
    int32_t sum = 0;
    for (int64_t i = 0; inside && i < k; ++i) sum += q[j * k + i];
    out[j] = inside && bias ? bias[j] : 0.0f;
    out[kDotNR + j] = inside ? scale[j] : 0.0f;
    __builtin_memcpy(out + 2 * kDotNR + j, &sum, sizeof(sum));
  }
  pack_groups(w, rows, k, 1, groups_of<U8Panels>(k), out + 3 * kDotNR);
}

// What turns the sums of a panel's columns into elements of C.
struct Bf16Finish {
  explicit Bf16Finish(const float*) {}
  void row(const NarrowGemmArgs&, int64_t) {}
  F32 element(const float* sums, int64_t) const { return load(sums); }
};

struct U8Finish {
  explicit U8Finish(const float* panel) : panel_(panel) {}
  void row(const NarrowGemmArgs& args, int64_t r) {
    RowScale own;
    const char* a = static_cast<const char*>(args.a) + r * args.lda * 4;
    __builtin_memcpy(&own, a + row_scale_offset(args.k), sizeof(own));
    scale_ = broadcast(own.scale);
    zero_ = broadcast_32(own.zero);
  }
  F32 element(const float* sums, int64_t j) const {
    const auto groups = [](const float* p) {
      return load_groups(reinterpret_cast<const uint32_t*>(p));
    };
    const Groups of_zero = multiply_32(zero_, groups(panel_ + 2 * kDotNR + j));
    const F32 sum = to_float(subtract_32(groups(sums), of_zero));
    return fma(sum, scale_ * load(panel_ + kDotNR + j), load(panel_ + j));
  }

 private:
  const float* panel_;
  F32 scale_;
  Groups zero_;
};

// A strip's sums on their way to C. They are taken there in parts, while the next strip's products
// are made.
template <typename Finish>
struct PendingTile {
  Finish finish;
  int64_t m0, rows, column, vectors;
  const float* tile;

  // The i-th of n parts.
  void write(const NarrowGemmArgs& args, int64_t i, int64_t n) {
    for (int64_t r = rows * i / n; r < rows * (i + 1) / n; ++r) {
      finish.row(args, m0 + r);
      float* c = static_cast<float*>(args.c) + (m0 + r) * args.ldc;
      if (args.c_element == Element::kBf16) {
        write_row(args, r, reinterpret_cast<Bf16*>(c) + column);
      } else {
        write_row(args, r, c + column);
      }
    }
  }

 private:
  static void put(float* to, F32 x) { store(to, x); }
  static void put(Bf16* to, F32 x) { store_bf16(to, x); }

  template <typename T>
  void write_row(const NarrowGemmArgs& args, int64_t r, T* to) const {
    for (int64_t j = 0; j < vectors * kWidth; j += kWidth) {
      const F32 x = finish.element(tile + r * kDotNR + j, j);
      put(to + j, activate_narrow(args.activation, x));
    }
  }
};

// What a row of bf16 has beyond its last vector, up to 64 bytes.
inline void fill_row_ends(const NarrowGemmArgs& args, int64_t column) {
  const int64_t end = round_up(args.n, 32);
  for (int64_t r = 0; column < end && r < args.m; ++r) {
    Bf16* row = reinterpret_cast<Bf16*>(static_cast<float*>(args.c) + r * args.ldc);
    for (int64_t j = column; j < end; j += kWidth) store_bf16(row + j, broadcast(0.0f));
  }
}

template <typename Dot, typename Panels, typename Finish>
inline void gemm_narrow_run(const NarrowGemmArgs& args) {
  assert(args.m >= 0 && args.k >= 1 && args.ldc % kRowAlign == 0);
  const int64_t groups = groups_of<Panels>(args.k);
  const int64_t panel_floats = narrow_panel_bytes<Panels>(args.k) / 4;
  const uint32_t* a = static_cast<const uint32_t*>(args.a);
  alignas(64) float tiles[2][kDotMR * kDotNR];
  int which = 0;
  DotUnit unit;
  PendingTile<Finish> pending = {Finish(nullptr), 0, 0, 0, 0, nullptr};
  for (int64_t p = args.panel_begin; p < args.panel_end; ++p) {
    const float* panel = static_cast<const float*>(args.packed) + p * panel_floats;
    const float* b = panel + Panels::kHeaderRows * kDotNR;
    const bool last = p + 1 == args.panel_end;
    const int64_t column = p * kDotNR;
    const DotStrips<Dot> strips = {
        .groups = groups,
        .n_strips = (args.m + kDotMR - 1) / kDotMR,
        .panel = reinterpret_cast<const uint32_t*>(b),
        .next = last ? nullptr : reinterpret_cast<const uint32_t*>(b + panel_floats),
        .init = Panels::kHeaderRows == 1 ? panel : kZeroRow,
        .vectors = (smaller(kDotNR, args.n - column) + kWidth - 1) / kWidth,
    };
    for (int64_t m0 = 0; m0 < args.m; m0 += kDotMR) {
      const int64_t rows = smaller(kDotMR, args.m - m0);
      strips.multiply(&unit, m0 / kDotMR, rows, a + m0 * args.lda, args.lda, tiles[which],
                      [&](int64_t i, int64_t n) { pending.write(args, i, n); });
      pending = {Finish(panel), m0, rows, column, strips.vectors, tiles[which]};
      which ^= 1;
    }
    const bool ends_row = column + kDotNR >= args.n;
    if (ends_row && args.c_element == Element::kBf16) {
      fill_row_ends(args, column + strips.vectors * kWidth);
    }
  }
  pending.write(args, 0, 1);
}

template <typename Dot>
constexpr NarrowGemm make_gemm_bf16(const char* name, bool native) {
  return {.name = name,
          .native = native,
          .nr = kDotNR,
          .panel_bytes = narrow_panel_bytes<Bf16Panels>,
          .pack_panel = pack_bf16_panel,
          .run = gemm_narrow_run<Dot, Bf16Panels, Bf16Finish>};
}

template <typename Dot>
constexpr NarrowGemm make_gemm_u8(const char* name, bool native) {
  return {.name = name,
          .native = native,
          .nr = kDotNR,
          .panel_bytes = narrow_panel_bytes<U8Panels>,
          .pack_panel = pack_u8_panel,
          .run = gemm_narrow_run<Dot, U8Panels, U8Finish>};
}

}  // namespace headlane::kernels::HEADLANE_ISA
