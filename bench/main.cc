// kernel_bench: the speed of each kernel on this machine, and how far that is from what the machine
// can do.
//
//     kernel_bench --benchmark_filter='gemm_f32/.*/m64_.*/cold' --benchmark_min_time=0.2
//     kernel_bench --benchmark_repetitions=9 --benchmark_enable_random_interleaving=true
//
// The second form is for comparisons on a machine that others use too: its medians are of runs
// spread over the whole time.
#include <omp.h>

#include "bench/rows.h"

namespace {

using namespace headlane;  // NOLINT(google-build-using-namespace): its own program

std::string in_giga(double x) {
  std::string text = std::to_string(x / 1e9);
  return text.substr(0, text.find('.') + 2);
}

// Measures the limits of each supported instruction set and adds them to the benchmark's context.
void add_context() {
  std::string caches;
  for (int level = 1; level <= 3; ++level) {
    if (level > 1) caches += " / ";
    caches += std::to_string(bench::cache_bytes(level) >> 10);
  }
  benchmark::AddCustomContext("L1 / L2 / L3, KiB", caches);
  benchmark::AddCustomContext("cold operands, KiB", std::to_string(bench::cold_bytes() >> 10));
  for (const kernels::Table* table : kernels::supported()) {
    const bench::Limits& limit = bench::limits(table->isa);
    std::string text = in_giga(limit.flops) + " GFLOP/s; read L1 " + in_giga(limit.read_l1) +
                       ", L2 " + in_giga(limit.read_l2) + ", L3 " + in_giga(limit.read_l3) +
                       ", memory " + in_giga(limit.read_memory) + " GB/s";
    for (const bench::ProductLimit& product : limit.products) {
      text += "; " + std::string(product.precision) + " by " + std::string(product.instruction) +
              " " + in_giga(product.ops) + " GOP/s";
    }
    benchmark::AddCustomContext(table->isa + std::string(" limits"), text);
  }
}

}  // namespace

int main(int argc, char** argv) {
  omp_set_num_threads(1);  // oneDNN's
  headlane::bench::add_gemm_rows();
  headlane::bench::add_attention_rows();
  headlane::bench::add_decode_rows();
  headlane::bench::add_row_kernels();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  add_context();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
