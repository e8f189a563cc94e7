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
#pragma once

#include "kernels/loops-inl.h"
#include "kernels/math-inl.h"
#include "kernels/pack-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// How a type of product reads its panels.
struct Bf16Panels {
  static constexpr int64_t kPerGroup = 2, kHeaderRows = 1;
};
struct U8Panels {
  static constexpr int64_t kPerGroup = 4, kHeaderRows = 3;
};

template <typename Tile, typename Panels>
inline int64_t groups_of(int64_t k) {
  return round_up((k + Panels::kPerGroup - 1) / Panels::kPerGroup, Tile::kStep);
}

template <typename Tile, typename Panels>
inline int64_t narrow_panel_bytes(int64_t, int64_t k) {
  return (Panels::kHeaderRows + groups_of<Tile, Panels>(k)) * Tile::kNR * 4;
}

template <typename Tile>
inline void pack_bf16_panel(const PanelArgs& args) {
  float* out = static_cast<float*>(args.panel);
  for (int64_t j = 0; j < Tile::kNR; ++j) out[j] = 0.0f;
  // Not one loop with a choice in it: vectorised, that may name no lane of a null pointer's vector,
  // which emulators read all the same.
  if (args.bias) __builtin_memcpy(out, args.bias, static_cast<size_t>(args.rows) * sizeof(float));
  pack_groups<Tile::kNR>(args.w, args.rows, args.k, 2, groups_of<Tile, Bf16Panels>(args.k),
                         out + Tile::kNR);
}

template <typename Tile>
inline void pack_u8_panel(const PanelArgs& args) {
  float* out = static_cast<float*>(args.panel);
  const int8_t* q = static_cast<const int8_t*>(args.w);
  for (int64_t j = 0; j < Tile::kNR; ++j) {
    const bool inside = j < args.rows;
    int32_t sum = 0;
    for (int64_t i = 0; inside && i < args.k; ++i) sum += q[j * args.k + i];
    out[j] = inside && args.bias ? args.bias[j] : 0.0f;
    out[Tile::kNR + j] = inside ? args.scale[j] : 0.0f;
    __builtin_memcpy(out + 2 * Tile::kNR + j, &sum, sizeof(sum));
  }
  pack_groups<Tile::kNR>(args.w, args.rows, args.k, 1, groups_of<Tile, U8Panels>(args.k),
                         out + 3 * Tile::kNR);
}

// It turns the sums of a panel's columns into elements of C.
struct Bf16Finish {
  explicit Bf16Finish(const float*) {}
  void row(const ProductArgs&, int64_t) {}
  F32 element(const float* sums, int64_t) const { return load(sums); }
};

template <int64_t NR>
struct U8Finish {
  explicit U8Finish(const float* panel) : panel_(panel) {}
  void row(const ProductArgs& args, int64_t r) {
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
    const Groups of_zero = multiply_32(zero_, groups(panel_ + 2 * NR + j));
    const F32 sum = to_float(subtract_32(groups(sums), of_zero));
    return fma(sum, scale_ * load(panel_ + NR + j), load(panel_ + j));
  }

 private:
  const float* panel_;
  F32 scale_;
  Groups zero_;
};

// body(f), where f is what an activation does to a vector: chosen once for many of them.
template <typename Body>
inline void with_activation(Activation activation, Body body) {
  switch (activation) {
    case Activation::kNone:
      return body([](F32 x) { return x; });
    case Activation::kGelu:
      return body([](F32 x) { return gelu_narrow(x); });
    default:
      return body([=](F32 x) { return activate(activation, x); });
  }
}

// A strip's sums on their way to C. They may be taken there in parts, while the next strip's
// products are made.
template <typename Finish, int64_t NR>
struct PendingTile {
  Finish finish;
  int64_t m0, rows, column, vectors;
  const float* tile;

  void write(const ProductArgs& args) { write(args, 0, rows); }

  // Rows begin .. end.
  void write(const ProductArgs& args, int64_t begin, int64_t end) {
    if (begin >= end) return;
    with_activation(args.activation, [&](auto activation) {
      if (args.c_element == Element::kBf16) {
        write_rows<Bf16>(args, begin, end, activation);
      } else {
        write_rows<float>(args, begin, end, activation);
      }
    });
  }

 private:
  static constexpr int64_t kWhole = NR / kWidth;
  static void put(float* to, F32 x) { store(to, x); }
  static void put(Bf16* to, F32 x) { store_bf16(to, x); }

  template <typename T, typename F>
  void write_rows(const ProductArgs& args, int64_t begin, int64_t end, F activation) const {
    if (vectors == kWhole) {
      write_vectors<T>(args, begin, end, activation, [] { return kWhole; });
    } else {
      write_vectors<T>(args, begin, end, activation, [n = vectors] { return n; });
    }
  }

  // What it reads again and again is local: nothing that it stores can change that.
  template <typename T, typename F, typename N>
  void write_vectors(const ProductArgs& args, int64_t begin, int64_t end, F activation, N n) const {
    Finish own = finish;
    const float* sums = tile + begin * NR;
    float* c = static_cast<float*>(args.c) + (m0 + begin) * args.ldc;
    for (int64_t r = begin; r < end; ++r, c += args.ldc, sums += NR) {
      own.row(args, m0 + r);
      T* to = reinterpret_cast<T*>(c) + column;
      for (int64_t v = 0; v < n(); ++v) {
        put(to + v * kWidth, activation(own.element(sums + v * kWidth, v * kWidth)));
      }
    }
  }
};

// Fills what a row of bf16 has beyond its last vector, up to 64 bytes.
inline void fill_row_ends(const ProductArgs& args, int64_t column) {
  const int64_t end = round_up(args.n, 32);
  for (int64_t r = 0; column < end && r < args.m; ++r) {
    Bf16* row = reinterpret_cast<Bf16*>(static_cast<float*>(args.c) + r * args.ldc);
    for (int64_t j = column; j < end; j += kWidth) store_bf16(row + j, broadcast(0.0f));
  }
}

template <typename Tile, typename Panels, typename Finish>
inline void gemm_narrow_run(const ProductArgs& args) {
  assert(args.m >= 0 && args.k >= 1 && args.ldc % kRowAlign == 0);
  constexpr int64_t kMR = Tile::kMR, kNR = Tile::kNR;
  const int64_t groups = groups_of<Tile, Panels>(args.k);
  const int64_t panel_floats = narrow_panel_bytes<Tile, Panels>(kNR, args.k) / 4;
  const uint32_t* a = static_cast<const uint32_t*>(args.a);
  alignas(64) float tile[kMR * kNR];
  const auto strips = Tile::strips(args.m);
  for (int64_t p = args.panel_begin; p < args.panel_end; ++p) {
    const float* panel = static_cast<const float*>(args.packed) + p * panel_floats;
    const float* b = panel + Panels::kHeaderRows * kNR;
    const bool last = p + 1 == args.panel_end;
    const int64_t column = p * kNR;
    const typename Tile::Panel product = {
        .strips = strips,
        .groups = groups,
        .panel = reinterpret_cast<const uint32_t*>(b),
        .next = last ? nullptr : reinterpret_cast<const uint32_t*>(b + panel_floats),
        .init = Panels::kHeaderRows == 1 ? panel : kZeroRow,
        .vectors = (smaller(kNR, args.n - column) + kWidth - 1) / kWidth,
    };
    for (int64_t i = 0; i < strips.count(); ++i) {
      const int64_t m0 = strips.begin(i);
      product.multiply(i, a + m0 * args.lda, args.lda, tile);
      PendingTile<Finish, kNR> done = {Finish(panel),   m0,  strips.rows(i), column,
                                       product.vectors, tile};
      done.write(args);
    }
    const bool ends_row = column + kNR >= args.n;
    if (ends_row && args.c_element == Element::kBf16) {
      fill_row_ends(args, column + product.vectors * kWidth);
    }
  }
}

template <typename Tile>
constexpr Product make_bf16_product(
    const char* name, bool native,
    void (*run)(const ProductArgs& args) = gemm_narrow_run<Tile, Bf16Panels, Bf16Finish>) {
  return {.name = name,
          .layout = "lanes",
          .native = native,
          .mr = Tile::kMR,
          .nr = Tile::kNR,
          .panel_bytes = narrow_panel_bytes<Tile, Bf16Panels>,
          .pack_panel = pack_bf16_panel<Tile>,
          .run = run};
}

template <typename Tile>
constexpr Product make_int8_product(
    const char* name, bool native,
    void (*run)(const ProductArgs& args) = gemm_narrow_run<Tile, U8Panels, U8Finish<Tile::kNR>>) {
  return {.name = name,
          .layout = "lanes",
          .native = native,
          .mr = Tile::kMR,
          .nr = Tile::kNR,
          .panel_bytes = narrow_panel_bytes<Tile, U8Panels>,
          .pack_panel = pack_u8_panel<Tile>,
          .run = run};
}

}  // namespace headlane::kernels::HEADLANE_ISA
