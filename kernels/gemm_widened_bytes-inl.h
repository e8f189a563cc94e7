// Products of bytes on vectors without instructions for them, of sets with many registers: widened
// as gemm_widened-inl.h widens bf16. gemm_pairs-inl.h is what sets with few have.
#pragma once

#include "kernels/gemm_widened-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// u8 times s8: four products of a group, as 16-bit integers, since the instruction that multiplies
// bytes pairwise saturates its sums. They are exact in any order.
struct WidenedU8 : S32Sums {
  using Group = uint32_t;
  struct Pair {
    Groups even, odd;
  };
  static Pair widen_u8(Groups x) { return {even_u8(x), odd_u8(x)}; }
  static Pair widen_s8(Groups x) { return {even_s8(x), odd_s8(x)}; }
  static Pair a(const uint32_t* p) { return widen_u8(broadcast_group(p)); }
  static Pair b(const uint32_t* p) { return widen_s8(load_groups(p)); }
  static Acc step(Acc sum, const Pair& a, const Pair& b) {
    return add_products_16(add_products_16(sum, a.even, b.even), a.odd, b.odd);
  }

  struct Wide : S32Sums {
    using Group = uint32_t;
    static constexpr bool kGoesOn = true;
    static Groups a(const uint32_t* p) { return broadcast_group(p); }
    static Groups b(const uint32_t* p) { return load_groups(p); }
    static Acc step(Acc sum, Groups a, Groups b) { return add_products_16(sum, a, b); }
  };
  static constexpr bool kAhead = true;
  static constexpr int64_t kApart = kWidth;
  static void widen_a(const uint32_t* a, uint32_t* to) {
    const Pair x = widen_u8(load_groups(a));
    store_groups(to, x.even);
    store_groups(to + kWidth, x.odd);
  }
  static void widen_b(const uint32_t* b, uint32_t* even, uint32_t* odd) {
    const Pair x = widen_s8(load_groups(b));
    store_groups(even, x.even);
    store_groups(odd, x.odd);
  }
};

constexpr Product make_widened_int8_product(const char* isa) {
  Product product = make_int8_product<DotTile<WidenedU8>>(isa, false);
  product.run = gemm_widened_run<WidenedU8, U8Panels, U8Finish<kNR>>;
  return product;
}

}  // namespace headlane::kernels::HEADLANE_ISA
