// The tests of kernels share these: one test for each instruction set, buffers that end at a guard
// page, random operands, and the bound of a sum of products.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>

#include "kernels/isa/isas.h"
#include "kernels/kernels.h"
#include "tests/support/amx_emulator.h"
#include "tests/support/isas.h"

namespace headlane::test {

// A test of this fixture runs once for each row of the dispatch table; rows that this machine lacks
// are skipped by name.
class KernelTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    for (const kernels::Table* table : kernels::supported()) {
      if (std::string(table->isa) == GetParam()) table_ = table;
    }
    if (table_ == nullptr) table_ = emulated(GetParam());
    if (table_ == nullptr)
      GTEST_SKIP() << "this machine (or HEADLANE_MAX_ISA) lacks " << GetParam();
  }
  const kernels::Table& kernels() const { return *table_; }

 private:
  // The tiles of AMX can be emulated, instruction by instruction, where all else that their row
  // needs is there.
  static const kernels::Table* emulated(const std::string& isa) {
    if (isa != "amx" || std::string(kernels::supported().back()->isa) != "avx512_bf16") {
      return nullptr;
    }
    install_amx_emulator();
    static const kernels::Table kTable = [] {
      kernels::Table table = *kernels::supported().back();
      kernels::amx::fill(&table);
      return table;
    }();
    return &kTable;
  }

  const kernels::Table* table_ = nullptr;
};

// The same for tests of slots that more instruction sets fill with kernels of their own.
#define HEADLANE_FOR_EACH_NARROW_ISA(Suite)                                        \
  INSTANTIATE_TEST_SUITE_P(Isa, Suite, testing::ValuesIn(::headlane::test::kIsas), \
                           [](auto& info) { return std::string(info.param); })

#define HEADLANE_FOR_EACH_ISA(Suite)                                                    \
  INSTANTIATE_TEST_SUITE_P(Isa, Suite, testing::ValuesIn(::headlane::test::kFloatIsas), \
                           [](auto& info) { return std::string(info.param); })

// n floats (or other elements), the last of which ends at a page that may not be touched; the first
// is preceded by one too. Filled with NaN bytes, so that what is read unwritten shows.
//
// qemu reads all of a vector where vmaskmovps names a part of it, so under HEADLANE_EMULATED the
// page at the end may be touched; it holds NaN, which shows where it is used.
template <typename T>
class Guarded {
 public:
  explicit Guarded(int64_t n) : n_(static_cast<size_t>(n)) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t bytes = n_ * sizeof(T);
    const size_t inner = (bytes + page - 1) / page * page;
    map_bytes_ = inner + 2 * page;
    map_ = static_cast<char*>(
        mmap(nullptr, map_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    const size_t open = inner + (std::getenv("HEADLANE_EMULATED") ? page : 0);
    if (open > 0) mprotect(map_ + page, open, PROT_READ | PROT_WRITE);
    std::memset(map_ + page, 0xff, open);
    data_ = reinterpret_cast<T*>(map_ + page + inner - bytes);
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() { munmap(map_, map_bytes_); }

  T* data() { return data_; }
  T& operator[](int64_t i) { return data_[i]; }
  int64_t size() const { return static_cast<int64_t>(n_); }

 private:
  size_t n_;
  char* map_ = nullptr;
  size_t map_bytes_ = 0;
  T* data_ = nullptr;
};

using GuardedFloats = Guarded<float>;

inline void fill_random(GuardedFloats* buffer, std::mt19937* random, float scale = 1.0f) {
  std::normal_distribution<float> normal(0.0f, scale);
  for (int64_t i = 0; i < buffer->size(); ++i) (*buffer)[i] = normal(*random);
}

constexpr double kEps = std::numeric_limits<float>::epsilon() / 2;  // unit roundoff, 2^-24

// The error that a sum of n products may have in fp32, in any order: (n + 1) eps sum |a||b|, to
// first order (Higham, "Accuracy and Stability of Numerical Algorithms", 3.1).
inline double product_bound(int64_t n, double sum_of_magnitudes) {
  return static_cast<double>(n + 1) * kEps * sum_of_magnitudes * 1.001;
}

}  // namespace headlane::test
