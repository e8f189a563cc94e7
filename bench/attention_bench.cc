// attention_f32: one head of one sequence. Q, K and V lie one after another, as one head's columns
// do not in a layer, but as they are once packed. The flops are those of the products; a row that
// spends its time in softmax, packing, turning or tanh shows as a low limit%.
#include <cmath>

#include "bench/rows.h"

namespace headlane::bench {
namespace {

// What is asked of attention beside dot products.
enum class Kind { kPlain, kRotary, kInterleaved, kRelative, kAdditive, kProbabilities };

struct Problem {
  Kind kind;
  int64_t len, head_dim;
  bool cold;
};

void run_attention(benchmark::State& state, const kernels::Table& table, const Problem& problem) {
  const int64_t len = problem.len, head_dim = problem.head_dim, floats = len * head_dim;
  const Kind kind = problem.kind;
  const Operand qkv(3 * floats, problem.cold), other(2 * floats, false);
  const Buffer o(floats), p(kind == Kind::kProbabilities ? len * len : 0);
  const Buffer scratch(table.attention_scratch_floats(head_dim, head_dim));
  const bool rotary = kind == Kind::kRotary || kind == Kind::kInterleaved;
  const double products = kind == Kind::kProbabilities ? 1 : 2;
  const Work work = {.flops = 2 * products * static_cast<double>(len * floats),
                     .flops_limit = limits(table.isa).flops};
  const float scale = 1 / std::sqrt(static_cast<float>(head_dim));
  measure(state, work, [&](int64_t i) {
    const float* q = qkv.at(i);
    const kernels::AttentionF32Args args = {
        .q_len = len,
        .kv_len = len,
        .head_dim = head_dim,
        .v_dim = head_dim,
        .scale = kind == Kind::kAdditive ? 1 : scale,
        .q = q,
        .ldq = head_dim,
        .k = q + floats,
        .ldk = head_dim,
        .v = q + 2 * floats,
        .ldv = head_dim,
        .relative_bias = kind == Kind::kRelative ? other.at(0) + len : nullptr,
        .rotary = rotary ? other.at(0) : nullptr,
        .rotary_dims = rotary ? head_dim : 0,
        .rotary_interleaved = kind == Kind::kInterleaved,
        .additive = kind == Kind::kAdditive ? other.at(0) : nullptr,
        .o = o.data(),
        .ldo = head_dim,
        .scratch = scratch.data()};
    if (kind == Kind::kProbabilities) {
      table.attention_probabilities_f32(args, p.data(), len);
    } else {
      table.attention_f32(args);
    }
  });
}

void add_problem(const char* name, const Problem& problem) {
  for (const kernels::Table* table : kernels::supported()) {
    add_row(
        row_name(name, table->isa, {{"len", problem.len}, {"d", problem.head_dim}}, problem.cold),
        [=](benchmark::State& state) { run_attention(state, *table, problem); });
  }
}

}  // namespace

void add_attention_rows() {
  for (const int64_t head_dim : {32, 64}) {
    for (const int64_t len : {8, 34, 128, 512}) {
      for (const bool cold : {false, true}) {
        add_problem("attention_f32", {Kind::kPlain, len, head_dim, cold});
      }
    }
  }
  for (const int64_t len : {34, 512}) {
    add_problem("attention_rotary_f32", {Kind::kRotary, len, 64, false});
    add_problem("attention_interleaved_f32", {Kind::kInterleaved, len, 64, false});
    add_problem("attention_relative_f32", {Kind::kRelative, len, 64, false});
    add_problem("attention_additive_f32", {Kind::kAdditive, len, 64, false});
    add_problem("attention_probabilities_f32", {Kind::kProbabilities, len, 64, false});
  }
}

}  // namespace headlane::bench
