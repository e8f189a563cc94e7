// oneDNN's matmul as the product in f32: a second opinion on speed and on numbers, chosen by the
// option gemm = "onednn". It may allocate in a run, and which of its kernels computes
// a row may depend on how many rows came along, so it is never the default.
//
// A product of any height is cut into strips of 64, 16, 4 and 1 rows, each a primitive made once,
// all reading the same packed weights. There is one panel, all of N: where its primitives are, then
// the bias, in whole cache lines, then the weights in oneDNN's order.
#include <omp.h>

#include <cassert>
#include <cstring>
#include <map>
#include <mutex>
#include <oneapi/dnnl/dnnl.hpp>
#include <tuple>
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
    case Activation::kTanh:
      return append_eltwise(dnnl::algorithm::eltwise_tanh, 0.0f);
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

// Products of one shape need these beside their weights.
struct Primitives {
  memory::desc weights;
  Strip strip[std::size(kHeights)];
};

// The primitives of a shape are made when the first weight of it is packed, and live as long as the
// process: a model that is opened again finds them. Throws as oneDNN does.
const Primitives& primitives_of(int64_t n, int64_t k, Activation activation) {
  using Shape = std::tuple<int64_t, int64_t, Activation>;
  cpu();  // is to outlive them
  static std::mutex mutex;
  static std::map<Shape, Primitives> made;
  const std::lock_guard lock(mutex);
  const auto [known, is_new] = made.try_emplace({n, k, activation});
  Primitives& primitives = known->second;
  if (!is_new) return primitives;
  try {
    primitives.weights = packed_weights(n, k);
    for (size_t i = 0; i < std::size(kHeights); ++i) {
      const auto pd = describe(kHeights[i], n, k, activation, primitives.weights);
      primitives.strip[i] = {dnnl::matmul(pd), pd.src_desc(), pd.dst_desc(), pd.scratchpad_desc()};
    }
  } catch (...) {
    made.erase(known);
    throw;
  }
  return primitives;
}

// A panel begins with this.
struct Head {
  const Primitives* primitives;
};
constexpr int64_t kHeadFloats = kRowAlign;
static_assert(sizeof(Head) <= kHeadFloats * sizeof(float));

int64_t bias_floats(int64_t n) { return round_up_to(n, kRowAlign); }

int64_t panel_bytes(int64_t n, int64_t k) {
  const auto weights = static_cast<int64_t>(packed_weights(n, k).get_size());
  return round_up_to((kHeadFloats + bias_floats(n)) * 4 + weights, 64);
}

void pack_panel(const PanelArgs& args) {
  const OneThread one;
  const int64_t n = args.rows, k = args.k;
  const Head head = {&primitives_of(n, k, args.activation)};
  std::memcpy(args.panel, &head, sizeof(head));
  float* bias = static_cast<float*>(args.panel) + kHeadFloats;
  for (int64_t j = 0; j < n; ++j) bias[j] = args.bias ? args.bias[j] : 0.0f;
  const memory::desc given({k, n}, memory::data_type::f32, memory::format_tag::ba);
  memory from(given, cpu(), const_cast<void*>(args.w));
  memory to(head.primitives->weights, cpu(), bias + bias_floats(n));
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

void run(const ProductArgs& args) {
  assert(args.lda == padded_stride(args.k) && args.ldc == padded_stride(args.n));
  if (args.panel_begin == args.panel_end) return;
  const OneThread one;
  Head head;
  std::memcpy(&head, args.packed, sizeof(head));
  dnnl::stream stream(cpu());
  // oneDNN takes pointers without const also to what it only reads.
  float* packed = const_cast<float*>(static_cast<const float*>(args.packed)) + kHeadFloats;
  float* a = const_cast<float*>(static_cast<const float*>(args.a));
  float* c = static_cast<float*>(args.c);
  const memory bias({{1, args.n}, memory::data_type::f32, memory::format_tag::ab}, cpu(), packed);
  const memory weights(head.primitives->weights, cpu(), packed + bias_floats(args.n));
  int64_t row = 0;
  for (size_t i = 0; i < std::size(kHeights); ++i) {
    const Strip& strip = head.primitives->strip[i];
    for (; args.m - row >= kHeights[i]; row += kHeights[i]) {
      strip.primitive.execute(
          stream, {{DNNL_ARG_SRC, memory(strip.a, cpu(), a + row * args.lda)},
                   {DNNL_ARG_WEIGHTS, weights},
                   {DNNL_ARG_BIAS, bias},
                   {DNNL_ARG_DST, memory(strip.c, cpu(), c + row * args.ldc)},
                   {DNNL_ARG_SCRATCHPAD,
                    memory(strip.scratchpad, cpu(), scratchpad(strip.scratchpad.get_size()))}});
    }
  }
  stream.wait();
}

}  // namespace

bool with_onednn(Table* table) {
  table->gemm = "onednn";
  for (Product& product : table->products) product = {};
  table->product(Precision::kF32) = {.name = "onednn",
                                     .native = true,
                                     .mr = kHeights[0],
                                     .nr = Product::kAllColumns,
                                     .panel_bytes = panel_bytes,
                                     .pack_panel = pack_panel,
                                     .run = run};
  return true;
}

}  // namespace headlane::kernels
