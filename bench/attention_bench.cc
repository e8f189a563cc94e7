// attention_f32 and attention_bf16: one head of one sequence. Q, K and V lie one after another, as
// one head's columns do not in a layer, but as they are once packed. The flops are those of the
// products; a row that spends its time in softmax, packing, turning or tanh shows as a low limit%.
#include <cmath>

#include "bench/rows.h"

namespace headlane::bench {
namespace {

// The work of attention beside dot products.
enum class Kind { kPlain, kRotary, kInterleaved, kRelative, kAdditive, kProbabilities };

struct Problem {
  Kind kind;
  int64_t len, head_dim;
  bool cold;
};

// The slots of a table for one element.
template <typename T>
struct Slots;

template <>
struct Slots<float> {
  static constexpr auto kAttention = &kernels::Table::attention_f32;
  static constexpr auto kProbabilities = &kernels::Table::attention_probabilities_f32;
  static constexpr auto kScratchFloats = &kernels::Table::attention_scratch_floats;
  static constexpr const char* kPrecision = "f32";
  static const float* operands() { return pool(); }
};

template <>
struct Slots<kernels::Bf16> {
  static constexpr auto kAttention = &kernels::Table::attention_bf16;
  static constexpr auto kProbabilities = &kernels::Table::attention_probabilities_bf16;
  static constexpr auto kScratchFloats = &kernels::Table::attention_bf16_scratch_floats;
  static constexpr const char* kPrecision = "bf16";
  static const float* operands() { return bf16_pool(); }
};

// `n` elements of T, in floats.
template <typename T>
constexpr int64_t floats_of(int64_t n) {
  return (n * static_cast<int64_t>(sizeof(T)) + 3) / 4;
}

template <typename T>
void run_attention(benchmark::State& state, const kernels::Table& table, const Problem& problem) {
  const int64_t len = problem.len, head_dim = problem.head_dim, elements = len * head_dim;
  const Kind kind = problem.kind;
  const Operand qkv(floats_of<T>(3 * elements), problem.cold, Slots<T>::operands());
  const Operand other(2 * elements, false);
  const Buffer o(floats_of<T>(elements)), p(kind == Kind::kProbabilities ? len * len : 0);
  const Buffer scratch((table.*Slots<T>::kScratchFloats)(head_dim, head_dim));
  const bool rotary = kind == Kind::kRotary || kind == Kind::kInterleaved;
  const double products = kind == Kind::kProbabilities ? 1 : 2;
  const Work work = {.flops = 2 * products * static_cast<double>(len * elements),
                     .flops_limit = limits(table.isa).ops(Slots<T>::kPrecision)};
  const float scale = 1 / std::sqrt(static_cast<float>(head_dim));
  measure(state, work, [&](int64_t i) {
    const T* q = reinterpret_cast<const T*>(qkv.at(i));
    const kernels::AttentionArgs<T> args = {
        .q_len = len,
        .kv_len = len,
        .head_dim = head_dim,
        .v_dim = head_dim,
        .scale = kind == Kind::kAdditive ? 1 : scale,
        .q = q,
        .ldq = head_dim,
        .k = q + elements,
        .ldk = head_dim,
        .v = q + 2 * elements,
        .ldv = head_dim,
        .relative_bias = kind == Kind::kRelative ? other.at(0) + len : nullptr,
        .rotary = rotary ? other.at(0) : nullptr,
        .rotary_dims = rotary ? head_dim : 0,
        .rotary_interleaved = kind == Kind::kInterleaved,
        .additive = kind == Kind::kAdditive ? other.at(0) : nullptr,
        .o = reinterpret_cast<T*>(o.data()),
        .ldo = head_dim,
        .scratch = scratch.data()};
    if (kind == Kind::kProbabilities) {
      (table.*Slots<T>::kProbabilities)(args, p.data(), len);
    } else {
      (table.*Slots<T>::kAttention)(args);
    }
  });
}

template <typename T>
void add_problem(const std::string& name, const Problem& problem) {
  const std::string kernel = name + "_" + Slots<T>::kPrecision;
  const Slot slot = problem.kind == Kind::kProbabilities ? address_of<Slots<T>::kProbabilities>
                                                         : address_of<Slots<T>::kAttention>;
  for (const kernels::Table* table : tables_with_own(slot)) {
    add_row(row_name(kernel.c_str(), table->isa, {{"len", problem.len}, {"d", problem.head_dim}},
                     problem.cold),
            [=](benchmark::State& state) { run_attention<T>(state, *table, problem); });
  }
}

template <typename T>
void add_rows_of() {
  for (const int64_t head_dim : {32, 64}) {
    for (const int64_t len : {8, 34, 128, 512}) {
      for (const bool cold : {false, true}) {
        add_problem<T>("attention", {Kind::kPlain, len, head_dim, cold});
      }
    }
  }
  for (const int64_t len : {34, 512}) {
    add_problem<T>("attention_rotary", {Kind::kRotary, len, 64, false});
    add_problem<T>("attention_interleaved", {Kind::kInterleaved, len, 64, false});
    add_problem<T>("attention_relative", {Kind::kRelative, len, 64, false});
    add_problem<T>("attention_probabilities", {Kind::kProbabilities, len, 64, false});
  }
}

}  // namespace

void add_attention_rows() {
  add_rows_of<float>();
  add_rows_of<kernels::Bf16>();
  for (const int64_t len : {34, 512}) {
    add_problem<float>("attention_additive", {Kind::kAdditive, len, 64, false});
  }
}

}  // namespace headlane::bench
