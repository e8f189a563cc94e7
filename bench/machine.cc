// Loops in assembly, because they must do what they say: a compiler that spills an accumulator or
// drops a load whose value nobody uses would measure something else. No compile flags are needed;
// which loops may run is the caller's to know.
#include "bench/machine.h"

#include <cpuid.h>
#include <time.h>

#include <algorithm>
#include <barrier>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace headlane::bench {
namespace {

#define HEADLANE_CLOBBERS                                                                    \
  "xmm0", "xmm1", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", \
      "xmm13", "xmm14", "xmm15", "cc", "memory"

// One instruction a line:
// clang-format off

// n steps of twelve instructions in twelve chains: two units with four or five cycles' latency need
// eight or ten to be busy. seed: 16 floats to multiply by, 16 to add, 16 to begin with.
#define HEADLANE_ARITHMETIC_LOOP(name, mov, reg, first_six, second_six, end) \
  void name(int64_t n, const float* seed) {                                  \
    __asm__ volatile(                                                        \
        mov " (%1), %%" reg "0\n"                                            \
        mov " 64(%1), %%" reg "1\n"                                          \
        ".irp i,4,5,6,7,8,9,10,11,12,13,14,15\n"                             \
        mov " 128(%1), %%" reg "\\i\n"                                       \
        ".endr\n"                                                            \
        "1:\n"                                                               \
        ".irp i,4,5,6,7,8,9\n" first_six "\n.endr\n"                         \
        ".irp i,10,11,12,13,14,15\n" second_six "\n.endr\n"                  \
        "dec %0\n"                                                           \
        "jnz 1b\n" end                                                       \
        : "+r"(n)                                                            \
        : "r"(seed)                                                          \
        : HEADLANE_CLOBBERS);                                                \
  }

// n steps of sixteen vectors: at each of four offsets, one from each of four streams that begin
// `apart` bytes from another.
#define HEADLANE_READ_LOOP(name, mov, reg, offsets, end)                     \
  void name(int64_t n, const char* p, int64_t apart, int64_t step) {         \
    __asm__ volatile(                                                        \
        "1:\n"                                                               \
        ".irp offset," offsets "\n"                                          \
        mov " \\offset(%1), %%" reg "4\n"                                    \
        mov " \\offset(%1,%2), %%" reg "5\n"                                 \
        mov " \\offset(%1,%2,2), %%" reg "6\n"                               \
        mov " \\offset(%1,%3), %%" reg "7\n"                                 \
        ".endr\n"                                                            \
        "add %4, %1\n"                                                       \
        "dec %0\n"                                                           \
        "jnz 1b\n" end                                                       \
        : "+r"(n), "+r"(p)                                                   \
        : "r"(apart), "r"(3 * apart), "r"(step)                              \
        : HEADLANE_CLOBBERS);                                                \
  }

// clang-format on

// Without FMA a multiplication and an addition at once are the most that a CPU does.
HEADLANE_ARITHMETIC_LOOP(mul_add_sse2, "movups", "xmm", "mulps %%xmm0, %%xmm\\i",
                         "addps %%xmm1, %%xmm\\i", "")
HEADLANE_ARITHMETIC_LOOP(fma_avx2, "vmovups", "ymm", "vfmadd213ps %%ymm1, %%ymm0, %%ymm\\i",
                         "vfmadd213ps %%ymm1, %%ymm0, %%ymm\\i", "vzeroupper\n")
HEADLANE_ARITHMETIC_LOOP(fma_avx512, "vmovups", "zmm", "vfmadd213ps %%zmm1, %%zmm0, %%zmm\\i",
                         "vfmadd213ps %%zmm1, %%zmm0, %%zmm\\i", "vzeroupper\n")
HEADLANE_READ_LOOP(read_sse2, "movups", "xmm", "0,16,32,48", "")
HEADLANE_READ_LOOP(read_avx2, "vmovups", "ymm", "0,32,64,96", "vzeroupper\n")
HEADLANE_READ_LOOP(read_avx512, "vmovups", "zmm", "0,64,128,192", "vzeroupper\n")

struct Loops {
  const char* isa;
  int64_t vector_bytes;
  double flops_per_step;
  void (*arithmetic)(int64_t n, const float* seed);
  void (*read)(int64_t n, const char* p, int64_t apart, int64_t step);
};
constexpr Loops kLoops[] = {{"ref", 16, 12 * 4, mul_add_sse2, read_sse2},
                            {"avx2", 32, 12 * 8 * 2, fma_avx2, read_avx2},
                            {"avx512", 64, 12 * 16 * 2, fma_avx512, read_avx512}};

// Random floats in (-1, 1), 64-byte aligned: cold_bytes() of them.
const float* operands() {
  static const std::vector<float> values = [] {
    std::mt19937 random(1);
    std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
    std::vector<float> filled(static_cast<size_t>(cold_bytes()) / sizeof(float) + 16);
    for (float& value : filled) value = uniform(random);
    return filled;
  }();
  return values.data() + (64 - reinterpret_cast<uintptr_t>(values.data()) % 64) / sizeof(float);
}

// The median of `work` a second over some fifty milliseconds, after as long to warm up: a clock
// that was low rises within them.
template <typename Run>
double median_rate(double work, Run run) {
  constexpr double kSeconds = 0.05;
  const auto run_for = [&](double seconds) {
    std::vector<double> times;
    for (double sum = 0; sum < seconds; sum += times.back()) {
      const double start = thread_seconds();
      run();
      times.push_back(thread_seconds() - start);
    }
    return times;
  };
  run_for(kSeconds);
  std::vector<double> seconds = run_for(kSeconds);
  const auto middle = seconds.begin() + static_cast<ptrdiff_t>(seconds.size() / 2);
  std::nth_element(seconds.begin(), middle, seconds.end());
  return work / *middle;
}

double arithmetic_rate(const Loops& loops) {
  // acc = 0.5 - acc for ever: finite, and bits that change as those of data do.
  std::vector<float> seed(48, -1.0f);
  for (size_t i = 0; i < 16; ++i) {
    seed[16 + i] = 0.5f;
    seed[32 + i] = operands()[i];
  }
  constexpr int64_t kSteps = 1000000;
  return median_rate(kSteps * loops.flops_per_step, [&] { loops.arithmetic(kSteps, seed.data()); });
}

// Hardware prefetchers follow one stream each, so streams a quarter apart may be faster or slower
// than adjacent ones.
double read_rate(const Loops& loops, const void* buffer, int64_t bytes) {
  const char* p = static_cast<const char*>(buffer);
  constexpr int64_t kBytesPerRun = 1 << 27;
  const int64_t step_bytes = 16 * loops.vector_bytes;
  const int64_t n = bytes / step_bytes;
  const int64_t passes = std::max<int64_t>(1, kBytesPerRun / bytes);
  const double work = static_cast<double>(passes * n * step_bytes);
  const auto rate = [&](int64_t apart, int64_t step) {
    return median_rate(work, [&] {
      for (int64_t i = 0; i < passes; ++i) loops.read(n, p, apart, step);
    });
  };
  return std::max(rate(4 * loops.vector_bytes, step_bytes),
                  rate(n * step_bytes / 4, 4 * loops.vector_bytes));
}

// Leaf 4 of Intel, 0x8000001d of AMD: one sub-leaf a cache, of the same form.
int64_t cache_bytes_of_leaf(uint32_t leaf, uint32_t level) {
  uint32_t a, b, c, d;
  for (uint32_t i = 0; __get_cpuid_count(leaf, i, &a, &b, &c, &d) && (a & 31u) != 0; ++i) {
    const bool instructions = (a & 31u) == 2;
    if (instructions || ((a >> 5) & 7u) != level) continue;
    const int64_t ways = (b >> 22) + 1, parts = ((b >> 12) & 1023u) + 1, line = (b & 4095u) + 1;
    return ways * parts * line * (int64_t{c} + 1);
  }
  return 0;
}

// Twice the L3, within bounds of time.
size_t memory_bytes() {
  return static_cast<size_t>(std::clamp<int64_t>(2 * cache_bytes(3), 64 << 20, 256 << 20));
}

// `together` is called before each rate, so that all threads measure the same one at a time.
template <typename Together>
Limits limits_of_this_thread(std::string_view isa, Together together) {
  Limits limits;
  const std::vector<char> memory(memory_bytes(), 1);
  for (const Loops& loops : kLoops) {
    if (loops.isa != isa) continue;
    together();
    limits.flops = arithmetic_rate(loops);
    together();
    limits.read_l1 = read_rate(loops, operands(), cache_bytes(1) / 2);
    together();
    limits.read_l2 = read_rate(loops, operands(), cache_bytes(2) / 2);
    together();
    limits.read_l3 = read_rate(loops, operands(), cold_bytes());
    together();
    limits.read_memory = read_rate(loops, memory.data(), static_cast<int64_t>(memory.size()));
  }
  return limits;
}

}  // namespace

double thread_seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

int64_t cache_bytes(int level) {
  const uint32_t wanted = static_cast<uint32_t>(level);
  int64_t bytes = cache_bytes_of_leaf(0x8000001d, wanted);
  if (bytes == 0) bytes = cache_bytes_of_leaf(4, wanted);
  constexpr int64_t kUsual[] = {32 << 10, 1 << 20, 16 << 20};  // where a hypervisor hides the leaf
  return bytes > 0 ? bytes : kUsual[level - 1];
}

int64_t cold_bytes() {
  constexpr int64_t kMost = 64 << 20;  // an L3 of hundreds of MB would only cost time
  return std::max(2 * cache_bytes(2), std::min(cache_bytes(3) / 2, kMost));
}

double Limits::read(int64_t bytes) const {
  if (bytes <= cache_bytes(1)) return read_l1;
  if (bytes <= cache_bytes(2)) return read_l2;
  return bytes <= std::max(cache_bytes(3), cold_bytes()) ? read_l3 : read_memory;
}

const Limits& limits(std::string_view isa, int n_threads) {
  static std::map<std::pair<std::string, int>, Limits> measured;
  const auto [place, is_new] = measured.try_emplace({std::string(isa), n_threads});
  if (!is_new) return place->second;
  operands();  // made before threads share them
  std::barrier all(n_threads);
  std::vector<Limits> of_thread(static_cast<size_t>(n_threads));
  {
    std::vector<std::jthread> threads;
    threads.reserve(of_thread.size());
    for (Limits& mine : of_thread) {
      threads.emplace_back(
          [&] { mine = limits_of_this_thread(isa, [&] { all.arrive_and_wait(); }); });
    }
  }
  Limits& mean = place->second;
  for (const auto rate : {&Limits::flops, &Limits::read_l1, &Limits::read_l2, &Limits::read_l3,
                          &Limits::read_memory}) {
    for (const Limits& mine : of_thread) mean.*rate += mine.*rate / n_threads;
  }
  return mean;
}

}  // namespace headlane::bench
