// oneDNN's matmul as the provider of the GEMM slots: a second opinion on speed and on numbers,
// chosen by the option gemm = "onednn". It may allocate in a run, and which of its kernels computes
// a row may depend on how many rows came along, so it is never the default.
//
// A product of any height is cut into strips of 64, 16, 4 and 1 rows, each a primitive made once,
// all reading the same packed weights. There is one panel, all of N.
#include <omp.h>

#include <cassert>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <vector>

#include "kernels/kernels.h"

namespace headlane::kernels {
namespace {

using dnnl::memory;

// While it lives, oneDNN finds one thread when it asks OpenMP how many to use: threads are the
// caller's matter. What the host had set for itself comes back.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

constexpr int64_t kHeights[] = {64, 16, 4, 1};
constexpr int64_t kOnePanel = int64_t{1} << 40;  // NR: more columns than any matrix has

const dnnl::engine& cpu() {
  static const dnnl::engine kEngine(dnnl::engine::kind::cpu, 0);
  return kEngine;
}

// Activations as the plan lays them out.
memory::desc rows_of(int64_t m, int64_t cols) {
  return memory::desc({m, cols}, memory::data_type::f32, memory::dims{padded_stride(cols), 1});
}

void append(Activation activation, dnnl::post_ops* ops) {
  const auto append_eltwise = [ops](dnnl::algorithm algorithm, float alpha) {
#if DNNL_VERSION_MAJOR < 3
    ops->append_eltwise(1.0f, algorithm, alpha, 0.0f);
#else
    ops->append_eltwise(algorithm, alpha, 0.0f);
#endif
  };
  switch (activation) {
    case Activation::kGelu:
      return append_eltwise(dnnl::algorithm::eltwise_gelu_erf, 0.0f);
    case Activation::kGeluTanh:
      return append_eltwise(dnnl::algorithm::eltwise_gelu_tanh, 0.0f);
    case Activation::kRelu:
      return append_eltwise(dnnl::algorithm::eltwise_relu, 0.0f);
    case Activation::kSilu:
      return append_eltwise(dnnl::algorithm::eltwise_swish, 1.0f);
    case Activation::kNone:
      break;
  }
}

dnnl::matmul::primitive_desc describe(int64_t m, int64_t n, int64_t k, Activation activation,
                                      const memory::desc& weights) {
  const memory::desc bias({1, n}, memory::data_type::f32, memory::format_tag::ab);
  dnnl::post_ops ops;
  append(activation, &ops);
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attr.set_post_ops(ops);
#if DNNL_VERSION_MAJOR < 3
  return {{rows_of(m, k), weights, bias, rows_of(m, n)}, attr, cpu()};
#else
  return {cpu(), rows_of(m, k), weights, bias, rows_of(m, n), attr};
#endif
}

memory::desc any_weights(int64_t n, int64_t k) {
  return memory::desc({k, n}, memory::data_type::f32, memory::format_tag::any);
}

memory::desc packed_weights(int64_t n, int64_t k) {
  return describe(kHeights[0], n, k, Activation::kNone, any_weights(n, k)).weights_desc();
}

struct Strip {
  dnnl::matmul primitive;
  memory::desc a, c;
  memory::desc scratchpad;
};

// What a product of one shape needs beside its weights.
struct Product {
  memory::desc weights;
  Strip strip[std::size(kHeights)];
};

void* create(int64_t n, int64_t k, Activation activation) {
  const OneThread one;
  auto product = std::make_unique<Product>();
  product->weights = packed_weights(n, k);
  for (size_t i = 0; i < std::size(kHeights); ++i) {
    const auto pd = describe(kHeights[i], n, k, activation, product->weights);
    product->strip[i] = {dnnl::matmul(pd), pd.src_desc(), pd.dst_desc(), pd.scratchpad_desc()};
  }
  return product.release();
}

void destroy(void* product) { delete static_cast<Product*>(product); }

// The bias comes first, in whole cache lines, then the weights in oneDNN's order.
int64_t bias_floats(int64_t n) { return (n + kRowAlign - 1) / kRowAlign * kRowAlign; }

int64_t packed_floats(int64_t n, int64_t k) {
  return bias_floats(n) + static_cast<int64_t>(packed_weights(n, k).get_size() + 3) / 4;
}

void pack(const float* w, const float* bias, int64_t n, int64_t k, int64_t panel_begin,
          int64_t panel_end, float* packed) {
  if (panel_begin == panel_end) return;
  const OneThread one;
  for (int64_t j = 0; j < n; ++j) packed[j] = bias ? bias[j] : 0.0f;
  const memory::desc given({k, n}, memory::data_type::f32, memory::format_tag::ba);
  memory from(given, cpu(), const_cast<float*>(w));
  memory to(packed_weights(n, k), cpu(), packed + bias_floats(n));
  dnnl::stream stream(cpu());
  dnnl::reorder(from, to).execute(stream, from, to);
  stream.wait();
}

// oneDNN asks each run for scratch memory; a thread's grows to the most that it needed.
void* scratchpad(size_t bytes) {
  thread_local std::vector<char> block;
  if (block.size() < bytes + 64) block.resize(bytes + 64);
  const auto address = reinterpret_cast<uintptr_t>(block.data());
  return block.data() + (64 - address % 64) % 64;
}

void run(const GemmF32Args& args) {
  assert(args.lda == padded_stride(args.k) && args.ldc == padded_stride(args.n));
  if (args.panel_begin == args.panel_end) return;
  const OneThread one;
  const Product& product = *static_cast<const Product*>(args.state);
  dnnl::stream stream(cpu());
  float* packed = const_cast<float*>(args.packed);
  const memory bias({{1, args.n}, memory::data_type::f32, memory::format_tag::ab}, cpu(), packed);
  const memory weights(product.weights, cpu(), packed + bias_floats(args.n));
  int64_t row = 0;
  for (size_t i = 0; i < std::size(kHeights); ++i) {
    const Strip& strip = product.strip[i];
    for (; args.m - row >= kHeights[i]; row += kHeights[i]) {
      strip.primitive.execute(
          stream,
          {{DNNL_ARG_SRC, memory(strip.a, cpu(), const_cast<float*>(args.a + row * args.lda))},
           {DNNL_ARG_WEIGHTS, weights},
           {DNNL_ARG_BIAS, bias},
           {DNNL_ARG_DST, memory(strip.c, cpu(), args.c + row * args.ldc)},
           {DNNL_ARG_SCRATCHPAD,
            memory(strip.scratchpad, cpu(), scratchpad(strip.scratchpad.get_size()))}});
    }
  }
  stream.wait();
}

}  // namespace

bool with_onednn(Table* table) {
  table->gemm_f32 = {.name = "onednn",
                     .mr = kHeights[0],
                     .nr = kOnePanel,
                     .packed_floats = packed_floats,
                     .pack = pack,
                     .run = run,
                     .create = create,
                     .destroy = destroy};
  return true;
}

}  // namespace headlane::kernels
