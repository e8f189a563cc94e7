// Rotary positions: pairs of a row's first rotary_dims columns turn by the row's position (Su et
// al. 2021, "RoFormer"). An element is one product and one fused step, whatever its vector.
#pragma once

#include "kernels/loops-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

inline void store_rounded(float* y, F32 x, int64_t n) { store_up_to(y, x, n); }
inline void store_rounded(Bf16* y, F32 x, int64_t n) {
  n == kWidth ? store_bf16(y, x) : store_bf16_n(y, x, n);
}

// y[0, dims) is x's turned, where columns c and c + dims / 2 are a pair.
template <typename Y>
inline void turn_halves(int64_t dims, const float* cosines, const float* x, Y* y) {
  const int64_t half = dims / 2;
  const float* sines = cosines + half;
  for_each_vector(half, [&](int64_t c, int64_t width) {
    const F32 a = load_up_to(x + c, width), b = load_up_to(x + half + c, width);
    const F32 cosine = load_up_to(cosines + c, width), sine = load_up_to(sines + c, width);
    store_rounded(y + c, fnma(b, sine, a * cosine), width);
    store_rounded(y + half + c, fma(a, sine, b * cosine), width);
  });
}

alignas(64) constexpr float kPairSigns[16] = {-1, 1, -1, 1, -1, 1, -1, 1,
                                              -1, 1, -1, 1, -1, 1, -1, 1};

// The same, where columns 2 c and 2 c + 1 are a pair.
template <typename Y>
inline void turn_pairs(int64_t dims, const float* cosines, const float* x, Y* y) {
  const float* sines = cosines + dims / 2;
  for_each_vector(dims, [&](int64_t c, int64_t width) {
    const F32 cosine = spread_pairs(load_n(cosines + c / 2, width / 2));
    const F32 sine = spread_pairs(load_n(sines + c / 2, width / 2)) * load(kPairSigns);
    const F32 own = load_up_to(x + c, width);
    store_rounded(y + c, fma(swap_pairs(own), sine, own * cosine), width);
  });
}

// y[head_dim] is x, its first `dims` columns turned.
template <typename Y>
inline void turn_head(int64_t dims, bool interleaved, const float* cosines, int64_t head_dim,
                      const float* x, Y* y) {
  if (interleaved) {
    turn_pairs(dims, cosines, x, y);
  } else {
    turn_halves(dims, cosines, x, y);
  }
  for_each_vector(head_dim - dims, [&](int64_t c, int64_t width) {
    store_rounded(y + dims + c, load_up_to(x + dims + c, width), width);
  });
}

// y[head_dim] is the row x of Q or K, turned by the table's row `position`.
template <typename T>
inline void turn_row(const AttentionArgs<T>& args, int64_t position, const float* x, float* y) {
  turn_head(args.rotary_dims, args.rotary_interleaved, args.rotary + position * args.rotary_dims,
            args.head_dim, x, y);
}

template <typename Y>
inline void rotate_to(const RotateArgs& args, Y* y) {
  for (int64_t h = 0; h < args.n_heads; ++h) {
    turn_head(args.rotary_dims, args.interleaved, args.rotary, args.head_dim,
              args.x + h * args.head_dim, y + h * args.head_dim);
  }
}

inline void rotate(const RotateArgs& args) {
  assert(args.rotary_dims % 2 == 0 && args.rotary_dims <= args.head_dim);
  if (args.element == Element::kBf16) {
    rotate_to(args, static_cast<Bf16*>(args.y));
  } else {
    rotate_to(args, static_cast<float*>(args.y));
  }
}

}  // namespace headlane::kernels::HEADLANE_ISA
