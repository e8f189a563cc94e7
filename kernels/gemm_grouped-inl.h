// Products of weights in groups along K, of 8 or of 4 bits, and activations in groups of s8.
//
//   a panel:   bias [NR] f32, then, for each 32 columns of W:
//              scales [NR] f16, of 4 bits also minimums [NR] f16,
//              codes [8 or 4, NR] in groups of 4 bytes: a lane has 4 columns of W, or of 4 bits 8:
//              4 in the low halves of its bytes, and in the high ones those 16 columns further
//
// zeros beyond N and K. So a panel is read from front to back, and one row of A is bound by memory.
// Many rows have loops of their own (gemm_grouped_many-inl.h), and so have CPUs that multiply four
// bytes at once (gemm_grouped_dots-inl.h). A sum over a group is exact, and
// groups are added in their order, so an element's bits depend on its row and its column alone, and
// are those of every table (product.h).
#pragma once

#include "kernels/gemm_narrow-inl.h"
#include "kernels/register_tile-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// How the codes of a format are multiplied: a vector of codes has kParts operands, each of which
// meets a group of A of its own, kApart groups behind the one before. Tables of words are in these
// formats too, and are read as weights.
//
// 4 bits: products of two are 3810 at most, and 8 of those fit 16 bits.
struct U4Codes {
  using Row = U4Group;
  static constexpr Format kFormat = Format::kU4Groups;
  static constexpr bool kHasMin = true;
  static constexpr int kVectors = 4, kParts = 2, kApart = 4;
  static constexpr uint32_t kFlipped = 0;  // bits of each four codes, as they are packed
  static Groups part(Groups codes, int i) {
    return i == 0 ? low_halves(codes) : high_halves(codes);
  }
  static Groups step(Groups sum, Groups codes, Groups a) { return add_pairs_8(sum, codes, a); }
  static F32 finish(Groups sum) { return to_float(join_pairs(sum)); }
  static F32 weights(const Row& group, int64_t first, int64_t) {
    alignas(64) float codes[kWidth];
    for (int64_t i = 0; i < kWidth; ++i) codes[i] = static_cast<float>(group.code(first + i));
    return load(codes) * broadcast(widen_f16(group.scale)) - broadcast(widen_f16(group.min));
  }
};

// 8 bits: the magnitudes of codes are the unsigned operand, and A takes their signs: products of
// two are 2 * 128 * 127 at most, which fits.
struct S8Codes {
  using Row = S8Group;
  static constexpr Format kFormat = Format::kS8Groups;
  static constexpr bool kHasMin = false;
  static constexpr int kVectors = 8, kParts = 1, kApart = 0;
  static constexpr uint32_t kFlipped = 0;
  static Groups part(Groups codes, int) { return codes; }
  static Groups step(Groups sum, Groups codes, Groups a) {
    const Groups signed_a = with_signs_8(a, codes);
    return add_32(sum, join_pairs(add_pairs_8(zero_groups(), magnitudes_8(codes), signed_a)));
  }
  static F32 finish(Groups sum) { return to_float(sum); }
  static F32 weights(const Row& group, int64_t first, int64_t n) {
    return load_s8_n(group.codes + first, n) * broadcast(widen_f16(group.scale));
  }
};

// has_groups without its table, which the files of all instruction sets would hold a copy of.
inline bool are_in_groups(Format format) {
  return format == S8Codes::kFormat || format == U4Codes::kFormat;
}
// Weights from `first` to first + n of a group, n <= kWidth.
inline F32 load_weights(Format format, const void* row, int64_t group, int64_t first, int64_t n) {
  if (format == U4Codes::kFormat) {
    return U4Codes::weights(static_cast<const U4Group*>(row)[group], first, n);
  }
  return S8Codes::weights(static_cast<const S8Group*>(row)[group], first, n);
}

// Bytes of a group's scales, and minimums, in a panel, and of all of it.
template <typename Codes>
constexpr int64_t kGroupHeader = kNR*(Codes::kHasMin ? 4 : 2);
template <typename Codes>
constexpr int64_t kGroupBytes = kGroupHeader<Codes> + Codes::kVectors* kNR * 4;

template <typename Codes>
inline int64_t grouped_panel_bytes(int64_t, int64_t k) {
  return round_up(kNR * 4 + groups_in(k) * kGroupBytes<Codes>, 64);
}

template <typename Codes>
inline void pack_grouped_panel(const PanelArgs& args) {
  using Row = typename Codes::Row;
  const int64_t groups = groups_in(args.k);
  char* out = static_cast<char*>(args.panel);
  __builtin_memset(out, 0, static_cast<size_t>(grouped_panel_bytes<Codes>(kNR, args.k)));
  if (args.bias) __builtin_memcpy(out, args.bias, static_cast<size_t>(args.rows) * sizeof(float));
  out += kNR * 4;
  for (int64_t g = 0; g < groups; ++g, out += kGroupBytes<Codes>) {
    for (int64_t j = 0; j < args.rows; ++j) {
      const Row& row = static_cast<const Row*>(args.w)[j * groups + g];
      __builtin_memcpy(out + j * 2, &row.scale, 2);
      if constexpr (Codes::kHasMin) __builtin_memcpy(out + (kNR + j) * 2, &row.min, 2);
      for (int64_t i = 0; i < Codes::kVectors; ++i) {
        uint32_t codes;
        __builtin_memcpy(&codes, row.codes + i * 4, 4);
        codes ^= Codes::kFlipped;
        __builtin_memcpy(out + kGroupHeader<Codes> + (i * kNR + j) * 4, &codes, 4);
      }
    }
  }
}

// Rows of A: codes, scales and sums of the first; the others are `ld` bytes apart.
struct GroupedRows {
  const char *codes, *scales, *sums;
  int64_t ld;

  GroupedRows(const ProductArgs& args, int64_t first)
      : codes(static_cast<const char*>(args.a) + first * args.lda * 4),
        scales(codes + group_scales_offset(args.k)),
        sums(codes + group_sums_offset(args.k)),
        ld(args.lda * 4) {}

  F32 scale(int64_t r, int64_t g) const { return number(scales + r * ld + g * 4); }
  F32 sum(int64_t r, int64_t g) const { return number(sums + r * ld + g * 4); }

 private:
  static F32 number(const char* at) {
    float x;
    __builtin_memcpy(&x, at, sizeof(x));
    return broadcast(x);
  }
};

// The exact sums of a group: those of MR rows by a panel's columns.
template <typename Codes, int MR>
inline void multiply_group(const GroupedRows& a, int64_t g, const char* codes,
                           Groups (&sums)[MR][kNV]) {
  HEADLANE_UNROLL
  for (int r = 0; r < MR; ++r) {
    HEADLANE_UNROLL
    for (int v = 0; v < kNV; ++v) sums[r][v] = zero_groups();
  }
  const char* a_codes = a.codes + g * kGroupSize;
  HEADLANE_UNROLL
  for (int i = 0; i < Codes::kVectors; ++i) {
    const uint32_t* at = reinterpret_cast<const uint32_t*>(codes) + i * kNR;
    HEADLANE_UNROLL
    for (int part = 0; part < Codes::kParts; ++part) {
      Groups w[kNV];
      HEADLANE_UNROLL
      for (int v = 0; v < kNV; ++v) w[v] = Codes::part(load_groups(at + v * kWidth), part);
      HEADLANE_UNROLL
      for (int r = 0; r < MR; ++r) {
        const Groups a_r = broadcast_group(a_codes + r * a.ld + (i + part * Codes::kApart) * 4);
        HEADLANE_UNROLL
        for (int v = 0; v < kNV; ++v) sums[r][v] = in_order(Codes::step(sums[r][v], w[v], a_r));
      }
    }
  }
}

// tile[MR, NR] = bias + A * panel, and what comes `ahead` bytes behind what is read is fetched.
// More sums than kInRegisters wait in the tile for their next group.
template <typename Codes, int MR>
inline void grouped_kernel(const GroupedRows& a, int64_t groups, const char* panel, float* tile) {
  constexpr bool kInRegisters = MR <= 2;
  constexpr int64_t kAhead = 3072;
  F32 kept[MR][kNV];
  HEADLANE_UNROLL
  for (int r = 0; r < MR; ++r) {
    HEADLANE_UNROLL
    for (int v = 0; v < kNV; ++v) {
      const F32 bias = load(reinterpret_cast<const float*>(panel) + v * kWidth);
      if (kInRegisters)
        kept[r][v] = bias;
      else
        store(tile + r * kNR + v * kWidth, bias);
    }
  }
  const char* at = panel + kNR * 4;
  for (int64_t g = 0; g < groups; ++g, at += kGroupBytes<Codes>) {
    HEADLANE_UNROLL
    for (int64_t i = 0; i < kGroupBytes<Codes>; i += 64) __builtin_prefetch(at + kAhead + i);
    Groups sums[MR][kNV];
    multiply_group<Codes, MR>(a, g, at + kGroupHeader<Codes>, sums);
    HEADLANE_UNROLL
    for (int v = 0; v < kNV; ++v) {
      const uint16_t* header = reinterpret_cast<const uint16_t*>(at) + v * kWidth;
      const F32 scale = load_f16(header);
      HEADLANE_UNROLL
      for (int r = 0; r < MR; ++r) {
        float* to = tile + r * kNR + v * kWidth;
        F32 sum = kInRegisters ? kept[r][v] : load(to);
        sum = fma(Codes::finish(sums[r][v]), scale * a.scale(r, g), sum);
        if constexpr (Codes::kHasMin) sum = fnma(load_f16(header + kNR), a.sum(r, g), sum);
        if (kInRegisters)
          kept[r][v] = sum;
        else
          store(to, sum);
      }
    }
  }
  if (!kInRegisters) return;
  HEADLANE_UNROLL
  for (int r = 0; r < MR; ++r) {
    HEADLANE_UNROLL
    for (int v = 0; v < kNV; ++v) store(tile + r * kNR + v * kWidth, kept[r][v]);
  }
}

// Rows of a strip. Sums of 6 by 2 vectors would leave AVX2 too few registers for codes.
constexpr int kGroupedMR = kNV < 3 ? 4 : kMR;

// The instances of a kernel for 1 to MOST rows, Kernels::kOf<MR>, by [rows - 1]; Kernels::Pointer
// is their type.
template <typename Kernels, int MOST>
struct ByRows {
  typename Kernels::Pointer of[MOST];
};

template <typename Kernels, int MOST, int MR = MOST>
constexpr void fill_by_rows(ByRows<Kernels, MOST>* table) {
  table->of[MR - 1] = Kernels::template kOf<MR>;
  if constexpr (MR > 1) fill_by_rows<Kernels, MOST, MR - 1>(table);
}

template <typename Kernels, int MOST>
constexpr ByRows<Kernels, MOST> kByRows = [] {
  ByRows<Kernels, MOST> table = {};
  fill_by_rows(&table);
  return table;
}();

template <typename Codes>
struct GroupedKernels {
  using Pointer = void (*)(const GroupedRows& a, int64_t groups, const char* panel, float* tile);
  template <int MR>
  static constexpr Pointer kOf = grouped_kernel<Codes, MR>;
};

// Panel p by some rows.
template <typename Codes>
inline void multiply_few(const ProductArgs& args, int64_t p, int64_t first, int64_t n_rows) {
  const int64_t groups = groups_in(args.k), bytes = grouped_panel_bytes<Codes>(kNR, args.k);
  const char* panel = static_cast<const char*>(args.packed) + p * bytes;
  const int64_t column = p * kNR;
  const int64_t vectors = (smaller(kNR, args.n - column) + kWidth - 1) / kWidth;
  alignas(64) float tile[kGroupedMR * kNR];
  const Strips strips(n_rows, kGroupedMR);
  for (int64_t i = 0; i < strips.count(); ++i) {
    const int64_t m0 = first + strips.begin(i), rows = strips.rows(i);
    kByRows<GroupedKernels<Codes>, kGroupedMR>.of[rows - 1](GroupedRows(args, m0), groups, panel,
                                                            tile);
    PendingTile<Bf16Finish, kNR> done = {Bf16Finish(nullptr), m0, rows, column, vectors, tile};
    done.write(args);
  }
}

// A product ends its rows once its last panel is done.
inline void end_rows(const ProductArgs& args) {
  if (args.panel_end * kNR >= args.n && args.c_element == Element::kBf16) {
    fill_row_ends(args, round_up(args.n, kWidth));
  }
}

template <typename Codes>
constexpr Product make_grouped_product(const char* name, int64_t mr,
                                       void (*run)(const ProductArgs& args)) {
  return {.name = name,
          .native = true,
          .mr = mr,
          .nr = kNR,
          .panel_bytes = grouped_panel_bytes<Codes>,
          .pack_panel = pack_grouped_panel<Codes>,
          .run = run};
}

}  // namespace headlane::kernels::HEADLANE_ISA
