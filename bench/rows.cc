#include "bench/rows.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace headlane::bench {

Buffer::Buffer(int64_t floats) : floats_(static_cast<size_t>(floats) + 16) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(floats_.data());
  data_ = floats_.data() + (64 - address % 64) % 64 / sizeof(float);
}

namespace {

// CPUID, which it asks, costs microseconds where a hypervisor answers.
int64_t pool_floats() {
  static const int64_t n =
      (cold_bytes() + 2 * kMaxOperandBytes) / static_cast<int64_t>(sizeof(float));
  return n;
}

}  // namespace

const float* pool() {
  static const Buffer kPool = [] {
    Buffer buffer(pool_floats());
    uint64_t state = 1;
    for (int64_t i = 0; i < pool_floats(); ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX generator
      buffer.data()[i] = static_cast<float>(static_cast<int32_t>(state >> 32)) * 0x1p-31f;
    }
    return buffer;
  }();
  return kPool.data();
}

const float* bf16_pool() {
  static const Buffer kPool = [] {
    Buffer buffer(pool_floats());
    for (int64_t i = 0; i < pool_floats(); ++i) {
      uint32_t one, other;
      std::memcpy(&one, pool() + i, sizeof one);
      std::memcpy(&other, pool() + (i + 1) % pool_floats(), sizeof other);
      const uint32_t both = (one & 0xffff0000u) | (other >> 16);
      std::memcpy(buffer.data() + i, &both, sizeof both);
    }
    return buffer;
  }();
  return kPool.data();
}

Operand::Operand(int64_t floats, bool cold, const float* from)
    : from_(from), stride_((floats + 15) / 16 * 16), count_(1) {
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

std::vector<const kernels::Table*> tables_with_own(Slot slot) {
  std::vector<const kernels::Table*> tables;
  for (const kernels::Table* table : kernels::supported()) {
    const auto has_it = [&](const kernels::Table* lower) { return slot(*lower) == slot(*table); };
    if (slot(*table) != 0 && std::none_of(tables.begin(), tables.end(), has_it)) {
      tables.push_back(table);
    }
  }
  return tables;
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
