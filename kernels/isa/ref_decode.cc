// The kernels of decoding in plain C++: one key after another, one column after another.
#include "kernels/isa/ref_decode.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdint>

namespace headlane::kernels::ref {

void top_k(const TopKF32Args& args) {
  assert(args.rows >= 0 && args.n >= 0 && args.k >= 1);
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* x = args.x + r * args.ldx;
    Candidate* best = args.best + r * args.ld_best;
    TopK& top = args.top[r * args.ld_top];
    if (args.begin) {
      std::fill(best, best + args.k, Candidate{-INFINITY, -1});
      top = {-INFINITY, 0.0f};
    }
    float largest = top.largest;
    for (int64_t i = 0; i < args.n; ++i) {
      if (x[i] > largest) largest = x[i];
      const auto at = std::find_if(best, best + args.k,
                                   [&](const Candidate& other) { return x[i] > other.logit; });
      if (at == best + args.k) continue;
      std::move_backward(at, best + args.k - 1, best + args.k);
      *at = {x[i], static_cast<int32_t>(args.first_id + i)};
    }
    const double offset = largest == -INFINITY ? 0.0 : largest;
    double sum = top.sum * std::exp(top.largest - offset);
    for (int64_t i = 0; i < args.n; ++i) sum += std::exp(x[i] - offset);
    top = {largest, static_cast<float>(sum)};
  }
}

}  // namespace headlane::kernels::ref
