// oneDNN's matmul as fast as it goes: weights in the format that it asks for, reordered ahead, bias
// inside, scratchpad given, one thread.
#include "bench/gemm_onednn.h"

#include <algorithm>
#include <cmath>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>

namespace headlane::bench {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

memory::desc matrix(int64_t rows, int64_t cols, Tag tag) {
  return {{rows, cols}, memory::data_type::f32, tag};
}

// oneDNN takes pointers without const also to what it only reads.
void* handle(const float* p) { return const_cast<float*>(p); }

class OnednnGemm {
 public:
  OnednnGemm(const GemmShape& shape, int64_t m)
      : n_(shape.n), k_(shape.k), engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const memory::desc a = matrix(m, k_, Tag::ab), w = matrix(k_, n_, Tag::any),
                       bias = matrix(1, n_, Tag::ab), c = matrix(m, n_, Tag::ab);
#if DNNL_VERSION_MAJOR < 3
    const dnnl::matmul::primitive_desc plan({a, w, bias, c}, attributes, engine_);
#else
    const dnnl::matmul::primitive_desc plan(engine_, a, w, bias, c, attributes);
#endif
    primitive_ = dnnl::matmul(plan);
    weights_desc_ = plan.weights_desc();
    const auto empty = [&](const memory::desc& d) { return memory(d, engine_, DNNL_MEMORY_NONE); };
    arguments_ = {{DNNL_ARG_SRC, empty(plan.src_desc())},
                  {DNNL_ARG_WEIGHTS, empty(weights_desc_)},
                  {DNNL_ARG_BIAS, empty(matrix(1, n_, Tag::ab))},
                  {DNNL_ARG_DST, empty(plan.dst_desc())},
                  {DNNL_ARG_SCRATCHPAD, memory(plan.scratchpad_desc(), engine_)}};
  }

  int64_t packed_floats() const {
    return static_cast<int64_t>(weights_desc_.get_size() / sizeof(float));
  }

  // w [n, k]
  void pack(const float* w, float* packed) {
    memory from(matrix(k_, n_, Tag::ba), engine_, handle(w));
    memory to(weights_desc_, engine_, packed);
    dnnl::reorder(from, to).execute(stream_, from, to);
    stream_.wait();
  }

  void run(const float* a, const float* packed, const float* bias, float* c) {
    arguments_[DNNL_ARG_SRC].set_data_handle(handle(a));
    arguments_[DNNL_ARG_WEIGHTS].set_data_handle(handle(packed));
    arguments_[DNNL_ARG_BIAS].set_data_handle(handle(bias));
    arguments_[DNNL_ARG_DST].set_data_handle(c);
    primitive_.execute(stream_, arguments_);
    stream_.wait();
  }

 private:
  int64_t n_, k_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::matmul primitive_;
  memory::desc weights_desc_;
  std::unordered_map<int, memory> arguments_;
};

// max |x - y| / max |x| of oneDNN's and the fastest own kernel's result for the same matrices.
double disagreement(OnednnGemm& onednn, const GemmShape& shape, int64_t m) {
  const float *a = pool(), *w = a + m * shape.k, *bias = w + shape.n * shape.k;
  const Buffer theirs_packed(onednn.packed_floats()), theirs(m * shape.n);
  onednn.pack(w, theirs_packed.data());
  onednn.run(a, theirs_packed.data(), bias, theirs.data());

  const kernels::Product& product = kernels::supported().back()->product(kernels::Precision::kF32);
  const int64_t ldc = kernels::padded_stride(shape.n);
  const Buffer packed(product.packed_bytes(shape.n, shape.k) / 4), own(m * ldc);
  char* panel = reinterpret_cast<char*>(packed.data());
  for (int64_t first = 0; first < shape.n; first += product.nr) {
    product.pack_panel({.rows = std::min(product.nr, shape.n - first),
                        .k = shape.k,
                        .w = w + first * shape.k,
                        .bias = bias + first,
                        .panel = panel});
    panel += product.panel_bytes(product.nr, shape.k);
  }
  product.run({.m = m,
               .k = shape.k,
               .n = shape.n,
               .panel_end = product.n_panels(shape.n),
               .a = a,
               .lda = shape.k,
               .packed = packed.data(),
               .c = own.data(),
               .ldc = ldc});

  double difference = 0, largest = 0;
  for (int64_t i = 0; i < m * shape.n; ++i) {
    const double x = own.data()[i / shape.n * ldc + i % shape.n];
    difference = std::max(difference, std::abs(x - theirs.data()[i]));
    largest = std::max(largest, std::abs(x));
  }
  return difference / largest;
}

}  // namespace

void run_gemm_onednn(benchmark::State& state, const GemmShape& shape, int64_t m, bool cold) {
  OnednnGemm onednn(shape, m);
  if (!(disagreement(onednn, shape, m) <= 1e-4)) {
    state.SkipWithError("oneDNN and the library's own kernel disagree");
    return;
  }
  const Operand weights(onednn.packed_floats(), cold), a(m * shape.k, false);
  const Buffer c(m * shape.n);
  const Limits& limit = limits(kernels::supported().back()->isa);
  measure(state, gemm_work(shape, m, 4 * onednn.packed_floats(), cold, limit, "f32"),
          [&](int64_t i) { onednn.run(a.at(0), weights.at(i), pool(), c.data()); });
}

}  // namespace headlane::bench
