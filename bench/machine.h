// The limits of the machine that the benchmarks run on, measured in the same process: what the
// column limit% is a percentage of. A limit is measured with the vectors of one instruction set,
// since that is what its kernels can reach.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace headlane::bench {

// CPU seconds of this thread: other processes on a shared machine do not count.
double thread_seconds();

// Returns the size of the cache of level 1, 2 or 3, as CPUID tells. (sysconf adds up every L3 of a
// package of chiplets.)
int64_t cache_bytes(int level);

// Cold rows cycle their operands through so many bytes: more than L2 and half of L3, so they come
// from L3.
int64_t cold_bytes();

// Products of operands shorter than float, by one instruction or a pair.
struct ProductLimit {
  std::string_view precision;    // of the operands: "bf16" or "int8"
  std::string_view instruction;  // "vdpbf16ps zmm"
  double ops = 0;                // per second, one core: multiplications and additions
};

// Operands of up to so many bytes are taken to be read from level 1, 2 or 3 again and again.
int64_t level_bytes(int level);

struct Limits {
  double flops = 0;    // per second, one core: fused multiply-adds, without FMA mul + add
  double read_l1 = 0;  // bytes per second, one core
  double read_l2 = 0;
  double read_l3 = 0;  // over cold_bytes()
  double read_memory = 0;
  std::vector<ProductLimit> products;  // of the instructions that the isa's kernels have

  // Multiplications and additions a second of products of a kind (kernels/product.h), by the
  // fastest instruction for them: "f32", "bf16", "int8", which those with groups are multiplied as
  // too. Where there is none, operands are widened and it is that of floats.
  double ops(std::string_view precision) const;
  // The bandwidth of the nearest level that holds `bytes`.
  double read(int64_t bytes) const;
};

// Returns the limits of each core, where n_threads of them work at once, with an instruction set
// that kernels have a table for ("ref", "avx2", "avx512_bf16", ...) and that the machine must have:
// memory and the outer caches are shared. Measured at the first call, each limit for so many CPU
// seconds after as long to warm up: a clock that was low rises within them. That takes a second or
// two in all; with none each limit is measured once, for those who want no figures.
constexpr double kLimitSeconds = 0.05;
const Limits& limits(std::string_view isa, int n_threads = 1, double seconds = kLimitSeconds);

}  // namespace headlane::bench
