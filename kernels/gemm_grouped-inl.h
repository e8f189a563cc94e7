// Products of weights in groups along K, of 4 to 8 bits, and activations in groups of s8.
//
//   a panel:   bias [NR] f32, then, for each 32 columns of W:
//              numbers [1 or 2, NR] f16: scales, then minimums or the scales of the second half
//              codes [4 to 8, NR] in groups of 4 bytes: a lane has 4 columns of W, or of 4 bits 8:
//              4 in the low halves of its bytes, and in the high ones those 16 columns further. Of
//              5 and 6 bits the rest of all 32 columns comes behind these (format.h)
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

constexpr int kSteps = kGroupSize / 4;  // of 4 columns, of a group

// The four codes of a lane in a part of the halves of a vector: the low halves, or the high ones.
inline Groups half_of(const uint32_t* codes, int part) {
  const Groups both = load_groups(codes);
  return part == 0 ? low_halves(both) : high_halves(both);
}

// How the codes of a format are multiplied. A group has kParts parts, of which each has kSteps /
// kParts steps of 4 columns: codes(at, i, part) are those of step i. kParts / kScales parts share a
// scale, and of kPartsAtOnce the sums of step() are joined at once. Tables of words are in these
// formats too, and are read as weights.
//
// 4 bits: products of two are 3810 at most, and 8 of those fit 16 bits.
struct U4Codes {
  using Row = U4Group;
  static constexpr Format kFormat = Format::kU4Groups;
  static constexpr bool kHasMin = true;
  static constexpr int kScales = 1, kVectors = 4, kParts = 2, kPartsAtOnce = 2;
  static constexpr uint32_t kFlipped = 0;  // bits of each four codes, as they are packed
  static Groups codes(const uint32_t* at, int i, int part) { return half_of(at + i * kNR, part); }
  static Groups step(Groups sum, Groups codes, Groups a) { return add_pairs_8(sum, codes, a); }
  static Groups joined(Groups sum) { return join_pairs(sum); }
  static float weight(const Row& group, int64_t i) {
    return static_cast<float>(group.code(i)) * widen_f16(group.scale) - widen_f16(group.min);
  }
};

// 5 bits: products of two are 7874 at most, and 4 of those fit 16 bits. The fifth bits of all steps
// are one vector.
struct U5Codes {
  using Row = U5Group;
  static constexpr Format kFormat = Format::kU5Groups;
  static constexpr bool kHasMin = true;
  static constexpr int kScales = 1, kVectors = 5, kParts = 2, kPartsAtOnce = 1;
  static constexpr uint32_t kFlipped = 0;
  static Groups codes(const uint32_t* at, int i, int part) {
    const Groups fifth = shift_left(load_groups(at + 4 * kNR), 4 - (i + 4 * part));
    return with_bits(half_of(at + i * kNR, part), fifth, 0x10101010);
  }
  static Groups step(Groups sum, Groups codes, Groups a) { return add_pairs_8(sum, codes, a); }
  static Groups joined(Groups sum) { return join_pairs(sum); }
  static float weight(const Row& group, int64_t i) {
    return static_cast<float>(group.code(i)) * widen_f16(group.scale) - widen_f16(group.min);
  }
};

// 6 bits with a sign: magnitudes of codes are the unsigned operand, as of 8 bits, and 32 at most:
// products of two are 8128, and 4 of those fit 16 bits. The two high bits of a part's steps are one
// vector.
struct S6Codes {
  using Row = S6Group;
  static constexpr Format kFormat = Format::kS6Groups;
  static constexpr bool kHasMin = false;
  static constexpr int kScales = 2, kVectors = 6, kParts = 2, kPartsAtOnce = 1;
  static constexpr uint32_t kFlipped = 0;
  // 32 above what they stand for.
  static Groups codes(const uint32_t* at, int i, int part) {
    const Groups high = shift_left(load_groups(at + (4 + part) * kNR), 4 - 2 * i);
    return with_bits(half_of(at + i * kNR, part), high, 0x30303030);
  }
  static Groups step(Groups sum, Groups codes, Groups a) {
    const Groups w = subtract_8(codes, broadcast_32(kS6Offset * 0x01010101));
    return add_pairs_8(sum, magnitudes_8(w), with_signs_8(a, w));
  }
  static Groups joined(Groups sum) { return join_pairs(sum); }
  static float weight(const Row& group, int64_t i) {
    return static_cast<float>(group.code(i) - kS6Offset) * widen_f16(group.scales[i / 16]);
  }
};

// 8 bits: the magnitudes of codes are the unsigned operand, and A takes their signs: products of
// two are 2 * 128 * 127 at most, which fits.
struct S8Codes {
  using Row = S8Group;
  static constexpr Format kFormat = Format::kS8Groups;
  static constexpr bool kHasMin = false;
  static constexpr int kScales = 1, kVectors = 8, kParts = 1, kPartsAtOnce = 1;
  static constexpr uint32_t kFlipped = 0;
  static Groups codes(const uint32_t* at, int i, int) { return load_groups(at + i * kNR); }
  static Groups step(Groups sum, Groups codes, Groups a) {
    const Groups signed_a = with_signs_8(a, codes);
    return add_32(sum, join_pairs(add_pairs_8(zero_groups(), magnitudes_8(codes), signed_a)));
  }
  static Groups joined(Groups sum) { return sum; }
};

// has_groups without its table, which the files of all instruction sets would hold a copy of.
inline bool are_in_groups(Format format) {
  return format == S8Codes::kFormat || format == S6Codes::kFormat || format == U5Codes::kFormat ||
         format == U4Codes::kFormat;
}
// Weights from `first` to first + n of a group, n <= kWidth.
template <typename Codes>
inline F32 load_weights_of(const void* row, int64_t group, int64_t first, int64_t n) {
  const auto& own = static_cast<const typename Codes::Row*>(row)[group];
  alignas(64) float weights[kWidth] = {};
  for (int64_t i = 0; i < n; ++i) weights[i] = Codes::weight(own, first + i);
  return load(weights);
}
inline F32 load_weights(Format format, const void* row, int64_t group, int64_t first, int64_t n) {
  if (format == U4Codes::kFormat) return load_weights_of<U4Codes>(row, group, first, n);
  if (format == U5Codes::kFormat) return load_weights_of<U5Codes>(row, group, first, n);
  if (format == S6Codes::kFormat) return load_weights_of<S6Codes>(row, group, first, n);
  const S8Group& own = static_cast<const S8Group*>(row)[group];
  return load_s8_n(own.codes + first, n) * broadcast(widen_f16(own.scale));
}

// Numbers of a group, and in a panel their bytes, and those of all of it.
template <typename Codes>
constexpr int kNumbers = Codes::kScales + (Codes::kHasMin ? 1 : 0);
template <typename Codes>
constexpr int64_t kGroupHeader = kNumbers<Codes>* kNR * 2;
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
      for (int64_t i = 0; i < kNumbers<Codes>; ++i) {
        const char* number = reinterpret_cast<const char*>(&row) + i * 2;
        __builtin_memcpy(out + (i * kNR + j) * 2, number, 2);
      }
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

// Sums of some parts of a group, those of MR rows by a panel's columns, as step() leaves them.
template <typename Codes, int MR>
inline void multiply_parts(const GroupedRows& a, int64_t g, const uint32_t* codes, int first,
                           Groups (&sums)[MR][kNV]) {
  constexpr int kPartSteps = kSteps / Codes::kParts;
  HEADLANE_UNROLL
  for (int r = 0; r < MR; ++r) {
    HEADLANE_UNROLL
    for (int v = 0; v < kNV; ++v) sums[r][v] = zero_groups();
  }
  const char* a_codes = a.codes + g * kGroupSize;
  HEADLANE_UNROLL
  for (int i = 0; i < kPartSteps; ++i) {
    HEADLANE_UNROLL
    for (int part = first; part < first + Codes::kPartsAtOnce; ++part) {
      Groups w[kNV];
      HEADLANE_UNROLL
      for (int v = 0; v < kNV; ++v) w[v] = Codes::codes(codes + v * kWidth, i, part);
      HEADLANE_UNROLL
      for (int r = 0; r < MR; ++r) {
        const Groups a_r = broadcast_group(a_codes + r * a.ld + (i + part * kPartSteps) * 4);
        HEADLANE_UNROLL
        for (int v = 0; v < kNV; ++v) sums[r][v] = in_order(Codes::step(sums[r][v], w[v], a_r));
      }
    }
  }
}

// The exact sums of what shares scale number s of a group.
template <typename Codes, int MR>
inline void multiply_group(const GroupedRows& a, int64_t g, const uint32_t* codes, int s,
                           Groups (&sums)[MR][kNV]) {
  constexpr int kScaleParts = Codes::kParts / Codes::kScales;
  HEADLANE_UNROLL
  for (int part = 0; part < kScaleParts; part += Codes::kPartsAtOnce) {
    Groups some[MR][kNV];
    multiply_parts<Codes, MR>(a, g, codes, s * kScaleParts + part, some);
    HEADLANE_UNROLL
    for (int r = 0; r < MR; ++r) {
      HEADLANE_UNROLL
      for (int v = 0; v < kNV; ++v) {
        const Groups joined = Codes::joined(some[r][v]);
        sums[r][v] = part == 0 ? joined : add_32(sums[r][v], joined);
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
    const uint16_t* numbers = reinterpret_cast<const uint16_t*>(at);
    const uint32_t* codes = reinterpret_cast<const uint32_t*>(at + kGroupHeader<Codes>);
    HEADLANE_UNROLL
    for (int s = 0; s < Codes::kScales; ++s) {
      Groups sums[MR][kNV];
      multiply_group<Codes, MR>(a, g, codes, s, sums);
      HEADLANE_UNROLL
      for (int v = 0; v < kNV; ++v) {
        const F32 scale = load_f16(numbers + s * kNR + v * kWidth);
        HEADLANE_UNROLL
        for (int r = 0; r < MR; ++r) {
          float* to = tile + r * kNR + v * kWidth;
          F32 sum = kInRegisters ? kept[r][v] : load(to);
          sum = fma(to_float(sums[r][v]), scale * a.scale(r, g), sum);
          if constexpr (Codes::kHasMin) {
            sum = fnma(load_f16(numbers + kNR + v * kWidth), a.sum(r, g), sum);
          }
          if (kInRegisters)
            kept[r][v] = sum;
          else
            store(to, sum);
        }
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
          .layout = Codes::kFlipped == 0 ? "groups" : "groups128",
          .native = true,
          .mr = mr,
          .nr = kNR,
          .panel_bytes = grouped_panel_bytes<Codes>,
          .pack_panel = pack_grouped_panel<Codes>,
          .run = run};
}

}  // namespace headlane::kernels::HEADLANE_ISA
