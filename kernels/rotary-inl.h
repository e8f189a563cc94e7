// Rotary positions: pairs of a row's first rotary_dims columns turn by the row's position (Su et
// al. 2021, "RoFormer"). An element is one product and one fused step, whatever its vector.
#pragma once

#include "kernels/loops-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

// y[0, dims) is x's turned, where columns c and c + dims / 2 are a pair.
inline void turn_halves(int64_t dims, const float* cosines, const float* x, float* y) {
  const int64_t half = dims / 2;
  const float* sines = cosines + half;
  for_each_vector(half, [&](int64_t c, int64_t width) {
    const F32 a = load_up_to(x + c, width), b = load_up_to(x + half + c, width);
    const F32 cosine = load_up_to(cosines + c, width), sine = load_up_to(sines + c, width);
    store_up_to(y + c, fnma(b, sine, a * cosine), width);
    store_up_to(y + half + c, fma(a, sine, b * cosine), width);
  });
}

alignas(64) constexpr float kPairSigns[16] = {-1, 1, -1, 1, -1, 1, -1, 1,
                                              -1, 1, -1, 1, -1, 1, -1, 1};

// The same, where columns 2 c and 2 c + 1 are a pair.
inline void turn_pairs(int64_t dims, const float* cosines, const float* x, float* y) {
  const float* sines = cosines + dims / 2;
  for_each_vector(dims, [&](int64_t c, int64_t width) {
    const F32 cosine = spread_pairs(load_n(cosines + c / 2, width / 2));
    const F32 sine = spread_pairs(load_n(sines + c / 2, width / 2)) * load(kPairSigns);
    const F32 own = load_up_to(x + c, width);
    store_up_to(y + c, fma(swap_pairs(own), sine, own * cosine), width);
  });
}

// y[head_dim] is the row x of Q or K, turned by the table's row `position`.
template <typename T>
inline void turn_row(const AttentionArgs<T>& args, int64_t position, const float* x, float* y) {
  const float* cosines = args.rotary + position * args.rotary_dims;
  if (args.rotary_interleaved) {
    turn_pairs(args.rotary_dims, cosines, x, y);
  } else {
    turn_halves(args.rotary_dims, cosines, x, y);
  }
  for_each_vector(args.head_dim - args.rotary_dims, [&](int64_t c, int64_t width) {
    const int64_t column = args.rotary_dims + c;
    store_up_to(y + column, load_up_to(x + column, width), width);
  });
}

}  // namespace headlane::kernels::HEADLANE_ISA
