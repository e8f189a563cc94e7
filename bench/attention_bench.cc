// attention_f32: one head of one sequence. Q, K and V lie one after another, as one head's columns
// do not in a layer, but as they are once packed. The flops are those of the two products; a row
// that spends its time in softmax or packing shows as a low limit%.
#include <cmath>

#include "bench/rows.h"

namespace headlane::bench {
namespace {

void run_attention(benchmark::State& state, const kernels::Table& table, int64_t len,
                   int64_t head_dim, bool cold) {
  const int64_t floats = len * head_dim;
  const Operand qkv(3 * floats, cold);
  const Buffer o(floats), scratch(table.attention_scratch_floats(len, head_dim));
  const Work work = {.flops = 4.0 * static_cast<double>(len * floats),
                     .flops_limit = limits(table.isa).flops};
  measure(state, work, [&](int64_t i) {
    const float* q = qkv.at(i);
    table.attention_f32({.q_len = len,
                         .kv_len = len,
                         .head_dim = head_dim,
                         .scale = 1 / std::sqrt(static_cast<float>(head_dim)),
                         .q = q,
                         .ldq = head_dim,
                         .k = q + floats,
                         .ldk = head_dim,
                         .v = q + 2 * floats,
                         .ldv = head_dim,
                         .o = o.data(),
                         .ldo = head_dim,
                         .scratch = scratch.data()});
  });
}

}  // namespace

void add_attention_rows() {
  for (const int64_t head_dim : {32, 64}) {
    for (const int64_t len : {8, 34, 128, 512}) {
      for (const bool cold : {false, true}) {
        for (const kernels::Table* table : kernels::supported()) {
          add_row(
              row_name("attention_f32", table->isa, {{"len", len}, {"d", head_dim}}, cold),
              [=](benchmark::State& state) { run_attention(state, *table, len, head_dim, cold); });
        }
      }
    }
  }
}

}  // namespace headlane::bench
