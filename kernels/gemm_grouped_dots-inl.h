// Products of weights in groups where an instruction multiplies four bytes and adds them up
// (VPDPBUSD), with as many rows as there are.
//
// It takes unsigned codes by signed ones. So codes of 8 bits are packed 128 above what they are,
// and those of 6 bits are 32 above it; each sum begins with what takes that off: -128 or -32 times
// the sum of the row's codes. All of that is exact in integers, so the bits are those of every
// table (product.h). Codes of fewer bits are widened to bytes once where many rows need them.
#pragma once

#include "kernels/gemm_grouped-inl.h"
#include "kernels/gemm_grouped_strips-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// -128 times the sum of a group's codes.
struct Offset128 {
  static uint32_t of(const int8_t* codes, int s) {
    int32_t sum = 0;
    for (int64_t i = 0; i < kGroupSize && s == 0; ++i) sum += codes[i];
    return static_cast<uint32_t>(-128 * sum);
  }
};
// -32 times the sum of each half's.
struct Offset32 {
  static uint32_t of(const int8_t* codes, int s) {
    int32_t sum = 0;
    for (int64_t i = 0; i < kGroupSize / 2; ++i) sum += codes[s * (kGroupSize / 2) + i];
    return static_cast<uint32_t>(-kS6Offset * sum);
  }
};

struct U4Dots : U4Codes {
  using Offset = NoOffset;
  static Groups first_sum(const uint32_t*) { return zero_groups(); }
};
struct U5Dots : U5Codes {
  using Offset = NoOffset;
  static Groups first_sum(const uint32_t*) { return zero_groups(); }
};
struct S6Dots : S6Codes {
  using Offset = Offset32;
  static Groups first_sum(const uint32_t* offset) { return broadcast_group(offset); }
};
struct S8Dots : S8Codes {
  using Offset = Offset128;
  static constexpr uint32_t kFlipped = 0x80808080;
  static Groups first_sum(const uint32_t* offset) { return broadcast_group(offset); }
};

// The exact sums of what shares scale number s of a group: those of a strip's MR rows by a panel's
// columns.
template <typename Codes, int MR>
inline void dot_group(const StripGroup<MR>& a, const uint32_t* codes, int s,
                      Groups (&sums)[MR][kNV]) {
  constexpr int kScaleParts = Codes::kParts / Codes::kScales, kPartSteps = kSteps / Codes::kParts;
  HEADLANE_UNROLL
  for (int r = 0; r < MR; ++r) {
    HEADLANE_UNROLL
    for (int v = 0; v < kNV; ++v) sums[r][v] = Codes::first_sum(a.offsets[s] + r);
  }
  HEADLANE_UNROLL
  for (int part = s * kScaleParts; part < (s + 1) * kScaleParts; ++part) {
    HEADLANE_UNROLL
    for (int i = 0; i < kPartSteps; ++i) {
      Groups w[kNV];
      HEADLANE_UNROLL
      for (int v = 0; v < kNV; ++v) w[v] = Codes::codes(codes + v * kWidth, i, part);
      HEADLANE_UNROLL
      for (int r = 0; r < MR; ++r) {
        const Groups a_r = broadcast_group(&a.codes[i + part * kPartSteps][r]);
        HEADLANE_UNROLL
        for (int v = 0; v < kNV; ++v) sums[r][v] = add_dots_8(sums[r][v], w[v], a_r);
      }
    }
  }
}

// Rows of a strip: as many as leave the sums of all groups so far in registers, beside those of the
// group at hand. Twice as many, whose sums wait in memory meanwhile, are slower
// (docs/experiments.md).
constexpr int kDotMR = kNV < 3 ? 3 : 4;

// tile[MR, NR] = first row + A * some groups of a panel; without a first row it goes on from what
// it holds. On the way, bytes of the panel are fetched kAhead bytes before they are read.
template <typename Codes, int MR>
inline void dot_kernel(const void* strip, int64_t groups, const char* at, const float* first,
                       float* tile) {
  constexpr int64_t kAhead = 3072;
  const auto* a = static_cast<const StripGroup<MR>*>(strip);
  F32 kept[MR][kNV];
  HEADLANE_UNROLL
  for (int r = 0; r < MR; ++r) {
    HEADLANE_UNROLL
    for (int v = 0; v < kNV; ++v) {
      kept[r][v] = load((first ? first : tile + r * kNR) + v * kWidth);
    }
  }
  for (int64_t g = 0; g < groups; ++g, ++a, at += kGroupBytes<Codes>) {
    HEADLANE_UNROLL
    for (int64_t i = 0; i < kGroupBytes<Codes>; i += 64) __builtin_prefetch(at + kAhead + i);
    const uint16_t* numbers = reinterpret_cast<const uint16_t*>(at);
    const uint32_t* codes = reinterpret_cast<const uint32_t*>(at + kGroupHeader<Codes>);
    HEADLANE_UNROLL
    for (int s = 0; s < Codes::kScales; ++s) {
      Groups sums[MR][kNV];
      dot_group<Codes, MR>(*a, codes, s, sums);
      HEADLANE_UNROLL
      for (int v = 0; v < kNV; ++v) {
        const F32 scale = load_f16(numbers + s * kNR + v * kWidth);
        HEADLANE_UNROLL
        for (int r = 0; r < MR; ++r) {
          const F32 both = scale * broadcast(a->scales[r]);
          kept[r][v] = fma(to_float(sums[r][v]), both, kept[r][v]);
          if constexpr (Codes::kHasMin) {
            const F32 min = load_f16(numbers + kNR + v * kWidth);
            kept[r][v] = fnma(min, broadcast(a->sums[r]), kept[r][v]);
          }
        }
      }
    }
  }
  HEADLANE_UNROLL
  for (int r = 0; r < MR; ++r) {
    HEADLANE_UNROLL
    for (int v = 0; v < kNV; ++v) store(tile + r * kNR + v * kWidth, kept[r][v]);
  }
}

template <typename Codes>
struct DotKernels {
  using Pointer = void (*)(const void* strip, int64_t groups, const char* at, const float* first,
                           float* tile);
  template <int MR>
  static constexpr Pointer kOf = dot_kernel<Codes, MR>;
};

// Codes of fewer bits that were widened to bytes, which all strips of a block of rows share.
template <typename Codes>
struct ByteCodes : Codes {
  static constexpr int kVectors = kSteps;
  static Groups codes(const uint32_t* at, int i, int part) {
    return load_groups(at + (i + part * (kSteps / Codes::kParts)) * kNR);
  }
};

template <typename Codes>
inline void widen_group(const char* from, char* to) {
  __builtin_memcpy(to, from, kGroupHeader<Codes>);
  const auto* codes = reinterpret_cast<const uint32_t*>(from + kGroupHeader<Codes>);
  auto* bytes = reinterpret_cast<uint32_t*>(to + kGroupHeader<Codes>);
  constexpr int kPartSteps = kSteps / Codes::kParts;
  HEADLANE_UNROLL
  for (int step = 0; step < kSteps; ++step) {
    HEADLANE_UNROLL
    for (int v = 0; v < kNV; ++v) {
      store_groups(bytes + step * kNR + v * kWidth,
                   Codes::codes(codes + v * kWidth, step % kPartSteps, step / kPartSteps));
    }
  }
}

template <typename Codes>
class DotProduct {
 public:
  explicit DotProduct(const ProductArgs& args)
      : args_(args),
        groups_(groups_in(args.k)),
        panel_bytes_(grouped_panel_bytes<Codes>(kNR, args.k)) {}

  // Blocks of strips of as many rows as there is room for. Where there is none for one row, its
  // groups are gathered in parts, for each panel anew.
  void run() {
    const int64_t fitting = kStripBytes / (groups_ * kStripRowBytes);
    const int64_t height = fitting < 1 ? 1 : smaller(kDotMR, fitting);
    const Strips blocks(args_.m, fitting < 1 ? 1 : smaller(kRows, fitting / height * height));
    for (int64_t i = 0; i < blocks.count(); ++i) {
      const Strips strips(blocks.rows(i), height);
      m0_ = blocks.begin(i);
      for (int64_t s = 0; fitting > 0 && s < strips.count(); ++s) {
        gather(strips.begin(s), strips.rows(s), 0, groups_);
      }
      for (int64_t p = args_.panel_begin; p < args_.panel_end; ++p) {
        if (kWidens && fitting > 0 && strips.count() >= kLeastWideStrips) {
          multiply_wide(p, strips);
          write(p, 0, blocks.rows(i));
          continue;
        }
        for (int64_t s = 0; s < strips.count(); ++s) {
          if (fitting > 0)
            multiply(p, strips.begin(s), strips.rows(s), 0, groups_);
          else
            multiply_long(p);
          write(p, strips.begin(s), strips.rows(s));
        }
      }
    }
  }

 private:
  using Wide = ByteCodes<Codes>;
  static constexpr int64_t kRows = 96;
  static constexpr bool kWidens = Codes::kVectors < kSteps;
  // Where a panel serves fewer strips, widening costs more than it saves (docs/experiments.md).
  static constexpr int64_t kLeastWideStrips = 3;
  static constexpr int64_t kWideGroups = 8;  // 14 KB, beside which strips' groups stay in L1

  // The strip that begins with row r of the block.
  char* strip(int64_t r) { return strips_ + r * groups_ * kStripRowBytes; }

  // Some groups of a strip.
  void gather(int64_t r, int64_t rows, int64_t g, int64_t n) {
    gather_rows<typename Codes::Offset, kDotMR>(rows, GroupedRows(args_, m0_ + r), g, n, strip(r));
  }
  void multiply(int64_t p, int64_t r, int64_t rows, int64_t g, int64_t n) {
    const char* panel = static_cast<const char*>(args_.packed) + p * panel_bytes_;
    const float* bias = reinterpret_cast<const float*>(panel);
    kByRows<DotKernels<Codes>, kDotMR>.of[rows - 1](
        strip(r), n, panel + kNR * 4 + g * kGroupBytes<Codes>, g == 0 ? bias : nullptr, tile_);
  }

  // Panel p by all strips: some of its groups are widened, and the strips pass by.
  void multiply_wide(int64_t p, const Strips& strips) {
    const char* panel = static_cast<const char*>(args_.packed) + p * panel_bytes_;
    const float* bias = reinterpret_cast<const float*>(panel);
    const Strips blocks(groups_, kWideGroups);
    for (int64_t b = 0; b < blocks.count(); ++b) {
      const int64_t g = blocks.begin(b), n = blocks.rows(b);
      const char* from = panel + kNR * 4 + g * kGroupBytes<Codes>;
      for (int64_t i = 0; i < n; ++i) {
        widen_group<Codes>(from + i * kGroupBytes<Codes>, wide_ + i * kGroupBytes<Wide>);
      }
      for (int64_t s = 0; s < strips.count(); ++s) {
        const int64_t r = strips.begin(s), rows = strips.rows(s);
        kByRows<DotKernels<Wide>, kDotMR>.of[rows - 1](strip(r) + g * rows * kStripRowBytes, n,
                                                       wide_, g == 0 ? bias : nullptr,
                                                       tile_ + r * kNR);
      }
    }
  }

  void multiply_long(int64_t p) {
    const Strips parts(groups_, kStripBytes / kStripRowBytes);
    for (int64_t i = 0; i < parts.count(); ++i) {
      gather(0, 1, parts.begin(i), parts.rows(i));
      multiply(p, 0, 1, parts.begin(i), parts.rows(i));
    }
  }

  void write(int64_t p, int64_t r, int64_t rows) {
    const int64_t column = p * kNR;
    const int64_t vectors = (smaller(kNR, args_.n - column) + kWidth - 1) / kWidth;
    PendingTile<Bf16Finish, kNR> done = {
        Bf16Finish(nullptr), m0_ + r, rows, column, vectors, tile_};
    done.write(args_);
  }

  const ProductArgs& args_;
  int64_t groups_, panel_bytes_;
  int64_t m0_ = 0;  // the first row of the block at hand
  alignas(64) float tile_[(kWidens ? kRows : kDotMR) * kNR];
  alignas(64) char wide_[kWidens ? kWideGroups * kGroupBytes<Wide> : 64];
  alignas(64) char strips_[kStripBytes];
};

template <typename Codes>
inline void gemm_dots_run(const ProductArgs& args) {
  assert(args.m >= 0 && args.k >= 1 && args.ldc % kRowAlign == 0);
  DotProduct<Codes>(args).run();
  end_rows(args);
}

constexpr void fill_dot_products(Table* table, const char* name) {
  table->product(Precision::kInt8Groups) =
      make_grouped_product<S8Dots>(name, kDotMR, gemm_dots_run<S8Dots>);
  table->product(Precision::kInt6) =
      make_grouped_product<S6Dots>(name, kDotMR, gemm_dots_run<S6Dots>);
  table->product(Precision::kInt5) =
      make_grouped_product<U5Dots>(name, kDotMR, gemm_dots_run<U5Dots>);
  table->product(Precision::kInt4) =
      make_grouped_product<U4Dots>(name, kDotMR, gemm_dots_run<U4Dots>);
}

}  // namespace headlane::kernels::HEADLANE_ISA
