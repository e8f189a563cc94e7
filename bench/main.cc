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

int main(int argc, char** argv) {
  omp_set_num_threads(1);  // oneDNN's
  headlane::bench::add_gemm_rows();
  headlane::bench::add_attention_rows();
  headlane::bench::add_row_kernels();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  headlane::bench::add_context();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
