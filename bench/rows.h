// All rows of the benchmark share this: operands, names, and the figures of a row.
//
// A row is kernel / instruction set / shape / hot or cold. Hot: the same operands again and again,
// so they lie as near as they fit. Cold: the operand that the kernel streams (weights, or its
// input) is another one each time, out of cold_bytes() of them, so it comes from L3.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "bench/machine.h"
#include "kernels/kernels.h"
#include "kernels/slots.h"

namespace headlane::bench {

// Random floats in (-1, 1), 64-byte aligned: cold_bytes() of them and as much as two operands of
// kMaxOperandBytes more. Zeros would not do: some CPUs multiply them at a higher clock.
const float* pool();
// The same, each float two of bf16.
const float* bf16_pool();
inline constexpr int64_t kMaxOperandBytes = 16 << 20;

// `floats` out of a pool, the same or others in each iteration.
class Operand {
 public:
  Operand(int64_t floats, bool cold, const float* from = pool());
  const float* at(int64_t iteration) const { return from_ + iteration % count_ * stride_; }

 private:
  const float* from_;
  int64_t stride_, count_;
};

// A 64-byte aligned buffer of zeros, for results and scratch.
class Buffer {
 public:
  explicit Buffer(int64_t floats);
  float* data() const { return data_; }

 private:
  std::vector<float> floats_;
  float* data_;
};

// The work of one iteration, and its limits. A row with flops is measured against their limit, a
// row without against that of its bytes.
struct Work {
  double flops = 0;
  double bytes = 0;
  double flops_limit = 0, bytes_limit = 0;  // a second
};

// Sets the counters of a row: GFLOP/s and GB/s, limit%, and read% of a row with both.
void set_counters(benchmark::State& state, const Work& work, double seconds);

// A function that says what a table has in a slot, as kernels::address_of() does.
using Slot = uintptr_t (*)(const kernels::Table& table);
using kernels::address_of;
// The supported tables with a kernel of their own in that slot.
std::vector<const kernels::Table*> tables_with_own(Slot slot);

// Runs body(iteration) as often as the benchmark asks.
template <typename Body>
void measure(benchmark::State& state, const Work& work, Body body) {
  int64_t iteration = 0;
  body(iteration);  // first touch of pages, first use of a code path
  const double start = thread_seconds();
  for (auto _ : state) body(iteration++);
  set_counters(state, work, thread_seconds() - start);
}

struct Extent {
  const char* name;
  int64_t value;
};
// "gemm_f32/avx512/m64_n1536_k384/cold"
std::string row_name(const char* kernel, const char* isa, std::initializer_list<Extent> shape,
                     bool cold);

using Body = std::function<void(benchmark::State&)>;
inline void add_row(const std::string& name, const Body& body) {
  benchmark::RegisterBenchmark(name.c_str(), body)->Unit(benchmark::kMicrosecond);
}

void add_gemm_rows();
void add_attention_rows();
void add_decode_rows();
void add_row_kernels();

}  // namespace headlane::bench
