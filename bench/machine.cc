// Loops in assembly, because they must do what they say: a compiler that spills an accumulator or
// drops a load whose value nobody uses would measure something else. No compile flags are needed;
// which loops may run is the caller's to know.
#include "bench/machine.h"

#include <cpuid.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <cassert>
#include <cstring>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/product.h"

namespace headlane::bench {
namespace {

#define HEADLANE_CLOBBERS                                                                  \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
      "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc", "memory"

// One instruction a line:
// clang-format off

// n steps of fourteen instructions in fourteen chains: two units with a latency of six cycles need
// twelve to be busy, and some to spare. seed: 64 bytes of each operand (to multiply by and to add;
// of dot products the two factors), 64 to begin with.
#define HEADLANE_ARITHMETIC_LOOP(name, mov, reg, first_seven, second_seven, end) \
  void name(int64_t n, const void* seed) {                                       \
    __asm__ volatile(                                                            \
        mov " (%1), %%" reg "0\n"                                                \
        mov " 64(%1), %%" reg "1\n"                                              \
        ".irp i,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"                             \
        mov " 128(%1), %%" reg "\\i\n"                                           \
        ".endr\n"                                                                \
        "1:\n"                                                                   \
        ".irp i,2,3,4,5,6,7,8\n" first_seven "\n.endr\n"                         \
        ".irp i,9,10,11,12,13,14,15\n" second_seven "\n.endr\n"                  \
        "dec %0\n"                                                               \
        "jnz 1b\n" end                                                           \
        : "+r"(n)                                                                \
        : "r"(seed)                                                              \
        : HEADLANE_CLOBBERS);                                                    \
  }

// n steps of six products of tiles of 16 rows of 64 bytes, in six chains. seed: 64 bytes, every row
// of both factors.
#define HEADLANE_TILE_LOOP(name, product)                                   \
  void name(int64_t n, const void* seed) {                                  \
    const TileShapes shapes;                                                \
    __asm__ volatile(                                                       \
        "ldtilecfg %2\n"                                                    \
        ".irp i,0,1,2,3,4,5\n"                                              \
        "tilezero %%tmm\\i\n"                                               \
        ".endr\n"                                                           \
        "tileloadd (%1,%3,1), %%tmm6\n"                                     \
        "tileloadd (%1,%3,1), %%tmm7\n"                                     \
        "1:\n"                                                              \
        ".irp i,0,1,2,3,4,5\n" product " %%tmm7, %%tmm6, %%tmm\\i\n.endr\n" \
        "dec %0\n"                                                          \
        "jnz 1b\n"                                                          \
        "tilerelease\n"                                                     \
        : "+r"(n)                                                           \
        : "r"(seed), "m"(shapes), "r"(int64_t{0})                           \
        : "cc", "memory");                                                  \
  }

// n steps of sixteen vectors: at each of four offsets, one from each of four streams that begin
// `apart` bytes from another.
#define HEADLANE_READ_LOOP(name, mov, reg, offsets, end)             \
  void name(int64_t n, const char* p, int64_t apart, int64_t step) { \
    __asm__ volatile(                                                \
        "1:\n"                                                       \
        ".irp offset," offsets "\n"                                  \
        mov " \\offset(%1), %%" reg "4\n"                            \
        mov " \\offset(%1,%2), %%" reg "5\n"                         \
        mov " \\offset(%1,%2,2), %%" reg "6\n"                       \
        mov " \\offset(%1,%3), %%" reg "7\n"                         \
        ".endr\n"                                                    \
        "add %4, %1\n"                                               \
        "dec %0\n"                                                   \
        "jnz 1b\n" end                                               \
        : "+r"(n), "+r"(p)                                           \
        : "r"(apart), "r"(3 * apart), "r"(step)                      \
        : HEADLANE_CLOBBERS);                                        \
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

// Kernels without instructions for bytes do this: pairs of 16-bit integers, and an addition.
HEADLANE_ARITHMETIC_LOOP(pairs_avx2, "vmovups", "ymm", "vpmaddwd %%ymm1, %%ymm0, %%ymm\\i",
                         "vpaddd %%ymm1, %%ymm\\i, %%ymm\\i", "vzeroupper\n")
HEADLANE_ARITHMETIC_LOOP(pairs_avx512, "vmovups", "zmm", "vpmaddwd %%zmm1, %%zmm0, %%zmm\\i",
                         "vpaddd %%zmm1, %%zmm\\i, %%zmm\\i", "vzeroupper\n")

// The braces make the assembler take the VEX form, which needs no AVX-512.
HEADLANE_ARITHMETIC_LOOP(dot_int8_avx2, "vmovups", "ymm",
                         "%{vex%} vpdpbusd %%ymm1, %%ymm0, %%ymm\\i",
                         "%{vex%} vpdpbusd %%ymm1, %%ymm0, %%ymm\\i", "vzeroupper\n")
HEADLANE_ARITHMETIC_LOOP(dot_int8_avx512, "vmovups", "zmm", "vpdpbusd %%zmm1, %%zmm0, %%zmm\\i",
                         "vpdpbusd %%zmm1, %%zmm0, %%zmm\\i", "vzeroupper\n")
HEADLANE_ARITHMETIC_LOOP(dot_bf16_avx512, "vmovups", "zmm", "vdpbf16ps %%zmm1, %%zmm0, %%zmm\\i",
                         "vdpbf16ps %%zmm1, %%zmm0, %%zmm\\i", "vzeroupper\n")

// ldtilecfg takes this: eight tiles of 16 rows of 64 bytes.
struct TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileShapes) == 64);
HEADLANE_TILE_LOOP(tile_bf16, "tdpbf16ps")
HEADLANE_TILE_LOOP(tile_int8, "tdpbssd")

// The loops of f32: tables of one family have the same.
struct Loops {
  std::string_view family;
  int64_t vector_bytes;
  double flops_per_step;
  void (*arithmetic)(int64_t n, const void* seed);
  void (*read)(int64_t n, const char* p, int64_t apart, int64_t step);
};
constexpr Loops kLoops[] = {{"ref", 16, 14 * 4, mul_add_sse2, read_sse2},
                            {"avx2", 32, 14 * 8 * 2, fma_avx2, read_avx2},
                            {"avx512", 64, 14 * 16 * 2, fma_avx512, read_avx512}};

// The family is what a name begins with; AMX is tiles beside the vectors of AVX-512.
const Loops& loops_of(std::string_view isa) {
  const std::string_view family = isa == "amx" ? "avx512" : isa.substr(0, isa.find('_'));
  const auto found = std::find_if(std::begin(kLoops), std::end(kLoops),
                                  [&](const Loops& loops) { return loops.family == family; });
  assert(found != std::end(kLoops));
  return *found;
}

using Isas = std::array<std::string_view, 3>;
constexpr Isas kAvx2 = {"avx2"}, kAvx2Vnni = {"avx2_vnni"}, kAvx512 = {"avx512"};
constexpr Isas kVnni = {"avx512_vnni", "avx512_bf16", "amx"}, kBf16 = {"avx512_bf16", "amx"};
constexpr Isas kAmx = {"amx"};

struct ProductLoop {
  const Isas& isas;  // whose kernels have the instruction
  std::string_view precision, instruction;
  double ops_per_step;
  int64_t steps;  // of some milliseconds
  void (*run)(int64_t n, const void* seed);
};
// A vector of 16 sums takes two products of bf16 to each, or four of int8; so does each of the 256
// sums of a tile, from each of 16 groups. A pair of instructions is seven of each a step.
constexpr ProductLoop kProductLoops[] = {
    {kAvx2, "int8", "vpmaddwd + vpaddd ymm", 7 * 8 * 2 * 2, 1000000, pairs_avx2},
    {kAvx2Vnni, "int8", "vpdpbusd ymm", 14 * 8 * 4 * 2, 1000000, dot_int8_avx2},
    {kAvx512, "int8", "vpmaddwd + vpaddd zmm", 7 * 16 * 2 * 2, 1000000, pairs_avx512},
    {kVnni, "int8", "vpdpbusd zmm", 14 * 16 * 4 * 2, 1000000, dot_int8_avx512},
    {kBf16, "bf16", "vdpbf16ps zmm", 14 * 16 * 2 * 2, 1000000, dot_bf16_avx512},
    {kAmx, "bf16", "tdpbf16ps", 6 * 256 * 16 * 2 * 2, 100000, tile_bf16},
    {kAmx, "int8", "tdpbssd", 6 * 256 * 16 * 4 * 2, 100000, tile_int8}};

// Floats in (-1, 1), 64-byte aligned: cold_bytes() of them, the same 4096 random ones again and
// again, since arithmetic takes the first of them, and those that only read look at none.
const float* operands() {
  static const std::vector<float> values = [] {
    std::mt19937 random(1);
    std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
    std::vector<float> filled(static_cast<size_t>(cold_bytes()) / sizeof(float) + 16);
    constexpr size_t kRandom = 4096;
    for (size_t i = 0; i < filled.size(); ++i) {
      filled[i] = i < kRandom ? uniform(random) : filled[i - kRandom];
    }
    return filled;
  }();
  return values.data() + (64 - reinterpret_cast<uintptr_t>(values.data()) % 64) / sizeof(float);
}

// The median of `work` a second over so many seconds, after as long to warm up.
template <typename Run>
double median_rate(double work, double seconds, Run run) {
  const auto timed_runs = [&] {
    std::vector<double> times;
    double sum = 0;
    do {
      const double start = thread_seconds();
      run();
      times.push_back(thread_seconds() - start);
      sum += times.back();
    } while (sum < seconds);
    return times;
  };
  if (seconds > 0) timed_runs();
  std::vector<double> times = timed_runs();
  const auto middle = times.begin() + static_cast<ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return work / *middle;
}

double arithmetic_rate(const Loops& loops, double seconds) {
  // acc = 0.5 - acc for ever: finite, and bits that change as those of data do.
  std::vector<float> seed(48, -1.0f);
  for (size_t i = 0; i < 16; ++i) {
    seed[16 + i] = 0.5f;
    seed[32 + i] = operands()[i];
  }
  constexpr int64_t kSteps = 1000000;
  return median_rate(kSteps * loops.flops_per_step, seconds,
                     [&] { loops.arithmetic(kSteps, seed.data()); });
}

// Random operands: of int8 any bytes; of bf16 the upper halves of floats, which are numbers.
double product_rate(const ProductLoop& loop, double seconds) {
  constexpr size_t kFloats = 48;
  alignas(64) std::array<char, kFloats * sizeof(float)> seed;
  std::memcpy(seed.data(), operands(), seed.size());
  if (loop.precision == "bf16") {
    for (size_t i = 0; i < seed.size(); i += 4) std::copy_n(&seed[i + 2], 2, &seed[i]);
  }
  const double work = static_cast<double>(loop.steps) * loop.ops_per_step;
  return median_rate(work, seconds, [&] { loop.run(loop.steps, seed.data()); });
}

// Hardware prefetchers follow one stream each, so streams a quarter apart may be faster or slower
// than adjacent ones.
double read_rate(const Loops& loops, const void* buffer, int64_t bytes, double seconds) {
  const char* p = static_cast<const char*>(buffer);
  constexpr int64_t kBytesPerRun = 1 << 27;
  const int64_t step_bytes = 16 * loops.vector_bytes;
  const int64_t n = bytes / step_bytes;
  const int64_t passes = std::max<int64_t>(1, kBytesPerRun / bytes);
  const double work = static_cast<double>(passes * n * step_bytes);
  const auto rate = [&](int64_t apart, int64_t step) {
    return median_rate(work, seconds, [&] {
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
Limits limits_of_this_thread(std::string_view isa, double seconds, Together together) {
  Limits limits;
  const std::vector<char> memory(memory_bytes(), 1);
  const Loops& loops = loops_of(isa);
  together();
  limits.flops = arithmetic_rate(loops, seconds);
  together();
  limits.read_l1 = read_rate(loops, operands(), cache_bytes(1) / 2, seconds);
  together();
  limits.read_l2 = read_rate(loops, operands(), cache_bytes(2) / 2, seconds);
  together();
  limits.read_l3 = read_rate(loops, operands(), cold_bytes(), seconds);
  together();
  limits.read_memory =
      read_rate(loops, memory.data(), static_cast<int64_t>(memory.size()), seconds);
  for (const ProductLoop& loop : kProductLoops) {
    if (std::find(loop.isas.begin(), loop.isas.end(), isa) == loop.isas.end()) continue;
    together();
    limits.products.push_back({loop.precision, loop.instruction, product_rate(loop, seconds)});
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

int64_t level_bytes(int level) {
  return level == 3 ? std::max(cache_bytes(3), cold_bytes()) : cache_bytes(level);
}

double Limits::ops(std::string_view precision) const {
  std::string_view multiplied = precision;
  for (const kernels::ProductKind& kind : kernels::kProductKinds) {
    if (kind.name == precision && kind.a == kernels::Element::kS8Groups) multiplied = "int8";
  }
  double most = 0;
  for (const ProductLimit& product : products) {
    if (product.precision == multiplied) most = std::max(most, product.ops);
  }
  return most > 0 ? most : flops;
}

double Limits::read(int64_t bytes) const {
  if (bytes <= level_bytes(1)) return read_l1;
  if (bytes <= level_bytes(2)) return read_l2;
  return bytes <= level_bytes(3) ? read_l3 : read_memory;
}

const Limits& limits(std::string_view isa, int n_threads, double seconds) {
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
          [&] { mine = limits_of_this_thread(isa, seconds, [&] { all.arrive_and_wait(); }); });
    }
  }
  Limits& mean = place->second;
  for (const auto rate : {&Limits::flops, &Limits::read_l1, &Limits::read_l2, &Limits::read_l3,
                          &Limits::read_memory}) {
    for (const Limits& mine : of_thread) mean.*rate += mine.*rate / n_threads;
  }
  mean.products = of_thread[0].products;
  for (size_t i = 0; i < mean.products.size(); ++i) {
    double sum = 0;
    for (const Limits& mine : of_thread) sum += mine.products[i].ops;
    mean.products[i].ops = sum / n_threads;
  }
  return mean;
}

}  // namespace headlane::bench
