// oneDNN's matrix product in the same rows as the library's own.
#pragma once

#include "bench/rows.h"

namespace headlane::bench {

struct GemmShape {
  int64_t n, k;
};

Work gemm_work(const GemmShape& shape, int64_t m, int64_t packed_bytes, bool cold,
               const Limits& limits, std::string_view precision);

// The row fails if oneDNN and the fastest own kernel do not agree.
void run_gemm_onednn(benchmark::State& state, const GemmShape& shape, int64_t m, bool cold);

}  // namespace headlane::bench
