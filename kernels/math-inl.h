// 2^x and the activations over whole vectors. Coefficients and errors: tools/fit_polynomials.py.
#pragma once

#include "kernels/prologue-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

constexpr double kLog2EDouble = 1.4426950408889634;
constexpr float kLog2E = static_cast<float>(kLog2EDouble);
constexpr float kInfinity = __builtin_inff();

// Horner's rule with fused steps: c[0] + x (c[1] + x (c[2] + ...)).
template <int N>
inline F32 polynomial(F32 x, const float (&c)[N]) {
  F32 sum = broadcast(c[N - 1]);
  HEADLANE_UNROLL
  for (int i = N - 2; i >= 0; --i) sum = fma(sum, x, broadcast(c[i]));
  return sum;
}

// 2^x for x <= 127: x = n + f with whole n and |f| <= 1/2; the polynomial is within 7.5e-8 of 2^f,
// relative. Below -126.5 the result is 0 (denormals would cost an assist each); NaN stays NaN.
inline F32 exp2(F32 x) {
  constexpr float kC[] = {1.00000012f,   0.693146944f,   0.240221202f,
                          0.0555071309f, 0.00967554096f, 0.00132764725f};
  x = max(broadcast(-127.0f), x);
  const F32 n = round_even(x);
  return scale_by_power(polynomial(x - n, kC), n);
}

inline F32 relu(F32 x) { return max(broadcast(0.0f), x); }

// x/2 (1 + erf(x/sqrt 2)) = max(x, 0) - a e^(-a^2/2) R(a) with a = |x|, R(a) = e^(a^2/2)
// erfc(a/sqrt 2) / 2. R's polynomial makes an error of 1.9e-8 |x|; beyond a = 5.75, where it ends,
// what is subtracted is under 3e-8 and falling. No division, no cancellation: the subtracted term
// is never over max(x, 0) + 0.17.
inline F32 gelu(F32 x) {
  constexpr float kR[] = {0.49999997f,     -0.398940474f,    0.24997066f,     -0.132795274f,
                          0.0618947968f,   -0.0254257154f,   0.00895932969f,  -0.00256306119f,
                          0.000553327554f, -8.23711016e-05f, 7.39972256e-06f, -2.9868292e-07f};
  constexpr float kHalfLog2E = 0.72134752044f;
  const F32 a = abs(x);
  const F32 tail = exp2(a * a * broadcast(-kHalfLog2E));
  // (x + |x|) / 2 is max(x, 0), but NaN for -infinity, as x/2 (1 + erf) is; and the clamp keeps
  // infinity off the product with tail = 0.
  const F32 positive = fma(broadcast(0.5f), a, broadcast(0.5f) * x);
  const F32 clamped = min(broadcast(5.75f), a);
  return fnma(clamped * tail, polynomial(clamped, kR), positive);
}

// x/2 (1 + tanh u) = x / (1 + e^(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3).
inline F32 gelu_tanh(F32 x) {
  constexpr float kMinus2Log2E = -2.8853900817779268f;
  constexpr float kSqrt2OverPi = 0.7978845608028654f;
  const F32 u = x * fma(x * x, broadcast(0.044715f * kSqrt2OverPi), broadcast(kSqrt2OverPi));
  return x / (broadcast(1.0f) + exp2(min(broadcast(127.0f), u * broadcast(kMinus2Log2E))));
}

// x / (1 + e^-x).
inline F32 silu(F32 x) {
  constexpr float kMinusLog2E = -1.4426950408889634f;
  return x / (broadcast(1.0f) + exp2(min(broadcast(127.0f), x * broadcast(kMinusLog2E))));
}

// tanh u = 1 - 2 / (e^(2u) + 1), which near 0 would lose to the 1 what it must tell: there
// tanh u = u + u z P(z), z = u^2, to 2.8e-9, relative.
inline F32 tanh(F32 u) {
  constexpr float kTwiceLog2E = 2.8853900817779268f;
  constexpr float kP[] = {-0.333332986f, 0.133319244f, -0.0537838303f, 0.0207959712f,
                          -0.00589515828f};
  const F32 z = u * u;
  const F32 small = fma(u * z, polynomial(z, kP), u);
  const F32 e = exp2(min(broadcast(127.0f), u * broadcast(kTwiceLog2E)));
  const F32 large = broadcast(1.0f) - broadcast(2.0f) / (e + broadcast(1.0f));
  return xsimd::select(z <= broadcast(0.36f), small, large);
}

// x/2 (1 + erf(x/sqrt 2)) = x (1/2 + t P(t^2)), t = x within +-4.2, to 8.5e-5: a fiftieth of what
// rounding 1 to bf16 costs. Beyond, where the bracket is 1 or 0, it is so to 2.3e-6.
inline F32 gelu_narrow(F32 x) {
  constexpr float kP[] = {0.398465872f,    -0.0655281991f,   0.00929822866f,  -0.000950657472f,
                          6.68906869e-05f, -3.03793126e-06f, 7.94133825e-08f, -9.01753006e-10f};
  const F32 t = max(broadcast(-4.2f), min(broadcast(4.2f), x));
  return x * fma(t, polynomial(t * t, kP), broadcast(0.5f));
}

inline F32 activate(Activation activation, F32 x) {
  switch (activation) {
    case Activation::kGelu:
      return gelu(x);
    case Activation::kGeluTanh:
      return gelu_tanh(x);
    case Activation::kRelu:
      return relu(x);
    case Activation::kSilu:
      return silu(x);
    case Activation::kTanh:
      return tanh(x);
    case Activation::kNone:
      break;
  }
  return x;
}

inline F32 activate_narrow(Activation activation, F32 x) {
  return activation == Activation::kGelu ? gelu_narrow(x) : activate(activation, x);
}

// y[i] = activation(x[i])
inline void activate_f32(Activation activation, int64_t n, const float* x, float* y) {
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) store(y + i, activate(activation, load(x + i)));
  if (i < n) store_n(y + i, activate(activation, load_n(x + i, n - i)), n - i);
}

}  // namespace headlane::kernels::HEADLANE_ISA
