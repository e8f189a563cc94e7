#include "bench/rows.h"

#include <cassert>

namespace headlane::bench {

Buffer::Buffer(int64_t floats) : floats_(static_cast<size_t>(floats) + 16) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(floats_.data());
  data_ = floats_.data() + (64 - address % 64) % 64 / sizeof(float);
}

const float* pool() {
  static const Buffer kPool = [] {
    const int64_t n = (cold_bytes() + 2 * kMaxOperandBytes) / static_cast<int64_t>(sizeof(float));
    Buffer buffer(n);
    uint64_t state = 1;
    for (int64_t i = 0; i < n; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX generator
      buffer.data()[i] = static_cast<float>(static_cast<int32_t>(state >> 32)) * 0x1p-31f;
    }
    return buffer;
  }();
  return kPool.data();
}

Operand::Operand(int64_t floats, bool cold) : stride_((floats + 15) / 16 * 16), count_(1) {
  const int64_t bytes = stride_ * static_cast<int64_t>(sizeof(float));
  assert(bytes <= kMaxOperandBytes);
  if (cold) count_ = cold_bytes() / bytes + 1;
}

std::string row_name(const char* kernel, const char* isa, std::initializer_list<Extent> shape,
                     bool cold) {
  std::string name = std::string(kernel) + "/" + isa;
  char separator = '/';
  for (const Extent& extent : shape) {
    name += separator;
    name += extent.name;
    name += std::to_string(extent.value);
    separator = '_';
  }
  return name + (cold ? "/cold" : "/hot");
}

void set_counters(benchmark::State& state, const Work& work, double seconds) {
  const double per_second = static_cast<double>(state.iterations()) / seconds;
  if (work.flops > 0) {
    state.counters["GFLOP/s"] = 1e-9 * work.flops * per_second;
    state.counters["limit%"] = 100 * work.flops * per_second / work.flops_limit;
  }
  if (work.bytes > 0) {
    state.counters["GB/s"] = 1e-9 * work.bytes * per_second;
    const double percent = 100 * work.bytes * per_second / work.bytes_limit;
    state.counters[work.flops > 0 ? "read%" : "limit%"] = percent;
  }
}

}  // namespace headlane::bench
