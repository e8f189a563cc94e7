// Products in bf16 and in bytes on vectors without instructions for them: operands are widened
// first.
#pragma once

#include "kernels/gemm_dots-inl.h"
#include "kernels/gemm_narrow-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// bf16 without instructions for it: two floats a group.
struct WidenedBf16 : F32Sums {
  using Group = uint32_t;
  struct Pair {
    F32 first, second;
  };
  static Pair widen(Groups x) { return {first_bf16(x), second_bf16(x)}; }
  static Pair a(const uint32_t* p) { return widen(broadcast_group(p)); }
  static Pair b(const uint32_t* p) { return widen(load_groups(p)); }
  static Acc step(Acc sum, const Pair& a, const Pair& b) {
    return fma(a.second, b.second, fma(a.first, b.first, sum));
  }
};

// u8 times s8 likewise: four products, as 16-bit integers, since the instruction that multiplies
// bytes pairwise saturates its sums.
struct WidenedU8 : S32Sums {
  using Group = uint32_t;
  struct Pair {
    Groups even, odd;
  };
  static Pair a(const uint32_t* p) {
    const Groups x = broadcast_group(p);
    return {even_u8(x), odd_u8(x)};
  }
  static Pair b(const uint32_t* p) {
    const Groups x = load_groups(p);
    return {even_s8(x), odd_s8(x)};
  }
  static Acc step(Acc sum, const Pair& a, const Pair& b) {
    return add_products_16(add_products_16(sum, a.even, b.even), a.odd, b.odd);
  }
};

constexpr void fill_widened_products(const char* isa, Table* table) {
  table->product(Precision::kBf16) = make_bf16_product<DotTile<WidenedBf16>>(isa, false);
  table->product(Precision::kInt8) = make_int8_product<DotTile<WidenedU8>>(isa, false);
}

}  // namespace headlane::kernels::HEADLANE_ISA
