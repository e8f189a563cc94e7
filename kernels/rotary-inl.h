// Rotary positions: pairs of a row's first rotary_dims columns turn by the row's position (Su et
// al. 2021, "RoFormer"). An element is one product and one fused step, whatever its vector.
#pragma once

#include "kernels/loops-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

inline F32 load_row(const float* x, int64_t n) { return load_up_to(x, n); }
inline F32 load_row(const Bf16* x, int64_t n) {
  return n == kWidth ? load_bf16(x) : load_bf16_n(x, n);
}

// Calls put(c, columns c .. c + n, n) for all of [0, dims) of x turned, where columns c and
// c + dims / 2 are a pair.
template <typename X, typename Put>
inline void turn_halves(int64_t dims, const float* cosines, const X* x, Put put) {
  const int64_t half = dims / 2;
  const float* sines = cosines + half;
  for_each_vector(half, [&](int64_t c, int64_t width) {
    const F32 a = load_row(x + c, width), b = load_row(x + half + c, width);
    const F32 cosine = load_up_to(cosines + c, width), sine = load_up_to(sines + c, width);
    put(c, fnma(b, sine, a * cosine), width);
    put(half + c, fma(a, sine, b * cosine), width);
  });
}

alignas(64) constexpr float kPairSigns[16] = {-1, 1, -1, 1, -1, 1, -1, 1,
                                              -1, 1, -1, 1, -1, 1, -1, 1};

// The same, where columns 2 c and 2 c + 1 are a pair.
template <typename X, typename Put>
inline void turn_pairs(int64_t dims, const float* cosines, const X* x, Put put) {
  const float* sines = cosines + dims / 2;
  for_each_vector(dims, [&](int64_t c, int64_t width) {
    const F32 cosine = spread_pairs(load_n(cosines + c / 2, width / 2));
    const F32 sine = spread_pairs(load_n(sines + c / 2, width / 2)) * load(kPairSigns);
    const F32 own = load_row(x + c, width);
    put(c, fma(swap_pairs(own), sine, own * cosine), width);
  });
}

// The same of x [head_dim], its first `dims` columns turned.
template <typename X, typename Put>
inline void turn_head(int64_t dims, bool interleaved, const float* cosines, int64_t head_dim,
                      const X* x, Put put) {
  if (interleaved) {
    turn_pairs(dims, cosines, x, put);
  } else {
    turn_halves(dims, cosines, x, put);
  }
  for_each_vector(head_dim - dims, [&](int64_t c, int64_t width) {
    put(dims + c, load_row(x + dims + c, width), width);
  });
}

// y[head_dim] is the row x of Q or K, turned by the table's row `position`.
template <typename T>
inline void turn_row(const AttentionArgs<T>& args, int64_t position, const float* x, float* y) {
  turn_head(args.rotary_dims, args.rotary_interleaved, args.rotary + position * args.rotary_dims,
            args.head_dim, x,
            [&](int64_t c, F32 turned, int64_t n) { store_up_to(y + c, turned, n); });
}

// A head as codes and their scale. It is turned twice: for the scale, and for the codes.
template <typename Turn>
inline void turn_to_s8(Turn turn, int8_t* y, float* scale) {
  F32 most = broadcast(0.0f), wrong = broadcast(0.0f);
  turn([&](int64_t, F32 x, int64_t n) {
    const F32 live = keep_n(x, n, 0.0f);
    most = max(most, abs(live));
    wrong = wrong + (live - live);
  });
  const float largest = reduce_max(most), fault = reduce_add(wrong);
  const F32 inverse = broadcast(fault == 0.0f && largest > kLeastRange ? 127.0f / largest : 0.0f);
  const F32 bound = broadcast(127.0f);
  *scale = largest / 127.0f + fault;
  turn([&](int64_t c, F32 x, int64_t n) {
    store_bytes_n(y + c, max(broadcast(-127.0f), min(bound, x * inverse)), n);
  });
}

template <typename X>
inline void rotate_from(const RotateArgs& args) {
  for (int64_t h = 0; h < args.n_heads; ++h) {
    const int64_t first = h * args.head_dim;
    const auto turn = [&](auto put) {
      turn_head(args.rotary_dims, args.interleaved, args.rotary, args.head_dim,
                static_cast<const X*>(args.x) + first, put);
    };
    if (args.format == Format::kS8) {
      turn_to_s8(turn, static_cast<int8_t*>(args.y) + first, args.scales + h);
    } else if (args.format == Format::kBf16) {
      Bf16* y = static_cast<Bf16*>(args.y) + first;
      turn([&](int64_t c, F32 x, int64_t n) {
        n == kWidth ? store_bf16(y + c, x) : store_bf16_n(y + c, x, n);
      });
    } else {
      float* y = static_cast<float*>(args.y) + first;
      turn([&](int64_t c, F32 x, int64_t n) { store_up_to(y + c, x, n); });
    }
  }
}

inline void rotate(const RotateArgs& args) {
  assert(args.rotary_dims % 2 == 0 && args.rotary_dims <= args.head_dim);
  assert(args.format != Format::kS8 || args.scales != nullptr);
  if (args.element == Element::kBf16) {
    rotate_from<Bf16>(args);
  } else {
    rotate_from<float>(args);
  }
}

}  // namespace headlane::kernels::HEADLANE_ISA
