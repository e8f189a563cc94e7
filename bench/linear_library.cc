// One linear layer as the engine runs it, since the C API has no call for a single product.
// libheadlane_bench.so, which the comparison with other engines (compare/) loads.
#include <numeric>

#include "engine/base/error.h"
#include "engine/graph/graph.h"
#include "engine/run/plan_runner.h"
#include "engine/spec/isa.h"

namespace headlane::bench {
namespace {

struct Shape {
  int64_t rows = 0, d_in = 0, d_out = 0;
};

class LinearLayer {
 public:
  LinearLayer(const Shape& shape, const float* weight, const float* bias, const char* isa,
              const char* precision, int n_threads)
      : shape_(shape),
        kernels_(kernels_for(isa)),
        places_(static_cast<size_t>(shape.rows)),
        team_(n_threads) {
    std::iota(places_.begin(), places_.end(), 0);
    seqs_.resize(places_.size());
    PackedWeight source;
    source.name = "linear";
    source.n = shape.d_out;
    source.k = shape.d_in;
    source.rows.data = weight;
    source.bias = bias;
    source.precision = choose_precision(precision, kernels_, Precision::kF32);
    const PackedWeight* packed = weights_.add(std::move(source));
    weights_.pack(kernels_, nullptr, &team_);
    graph_.hidden = graph_.add(std::make_unique<Linear>(std::vector{packed}, Element::kF32),
                               {operand(packed->precision)}, Rows::kTokens, shape.d_out);
    Limits limits;
    limits.precision = packed->precision;
    limits.max_tokens = limits.max_len = shape.rows;
    limits.max_seqs = 1;
    limits.n_threads = n_threads;
    memory_ = Buffer(PlanRunner::bytes(graph_, kernels_, limits));
    runner_ = std::make_unique<PlanRunner>(graph_, kernels_, limits, &team_);
    runner_->use(memory_.data());
  }

  void run(const float* x, float* y) {
    Run run;
    run.kernels = &kernels_;
    run.n_tokens = run.longest = shape_.rows;
    run.n_seqs = 1;
    run.sources[static_cast<int>(Input::kX)] = {x, 0, shape_.d_in};
    run.tokens = {seqs_.data(), places_.data()};
    runner_->run(run, {y, 0, shape_.d_out}, nullptr);
  }

 private:
  // x as products of that precision take it. Its conversion is a part of each run: callers bring
  // floats, as they do to other engines.
  ValueId operand(Precision precision) {
    const int64_t d = shape_.d_in;
    const ValueId x =
        graph_.add(std::make_unique<Load>(d, Input::kX, Rows::kTokens), {}, Rows::kTokens, d);
    const Element element = kind_of(precision).a;
    if (element == Element::kF32) return x;
    return graph_.add(std::make_unique<Convert>(d, Element::kF32, element), {x}, Rows::kTokens, d,
                      element);
  }

  Shape shape_;
  const kernels::Table& kernels_;
  std::vector<int32_t> places_, seqs_;
  PackedWeights weights_;
  Graph graph_;
  Buffer memory_;
  Team team_;
  std::unique_ptr<PlanRunner> runner_;
};

}  // namespace
}  // namespace headlane::bench

#define EXPORT extern "C" __attribute__((visibility("default")))

// weight [d_out, d_in], bias [d_out]; isa "": no cap; precision "f32", "bf16", "int8". Null if it
// cannot be made. Lives as long as the process.
EXPORT void* headlane_bench_linear(int64_t rows, int64_t d_in, int64_t d_out, const float* weight,
                                   const float* bias, const char* isa, const char* precision,
                                   int n_threads) try {
  return new headlane::bench::LinearLayer({rows, d_in, d_out}, weight, bias, isa, precision,
                                          n_threads);
} catch (...) {
  return nullptr;
}

// x [rows, d_in], y [rows, d_out]
EXPORT void headlane_bench_run_linear(void* layer, const float* x, float* y) {
  static_cast<headlane::bench::LinearLayer*>(layer)->run(x, y);
}
