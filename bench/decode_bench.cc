// Measures the parts of a decoding step that are no products: attention over a cache, and the best
// of a row of logits. It counts the bytes that are read. limit% is the share of the read bandwidth
// of the level where they lie or, for a prompt's attention, of the machine's multiplications.
#include <cmath>
#include <vector>

#include "bench/rows.h"

namespace headlane::bench {
namespace {

using kernels::Table;

Work read_work(const Table& table, int64_t bytes, bool cold) {
  const Limits& limit = limits(table.isa);
  return {.bytes = static_cast<double>(bytes),
          .bytes_limit = cold ? limit.read_l3 : limit.read(bytes)};
}

constexpr int64_t kHeads = 8, kHeadDim = 64;

// The slots of a table for one element.
template <typename T>
struct Slots;

template <>
struct Slots<float> {
  static constexpr auto kDecode = &Table::decode_attention_f32;
  static constexpr const char* kName = "decode_attention_f32";
  static const float* operands() { return pool(); }
};

template <>
struct Slots<kernels::Bf16> {
  static constexpr auto kDecode = &Table::decode_attention_bf16;
  static constexpr const char* kName = "decode_attention_bf16";
  static const float* operands() { return bf16_pool(); }
};

template <>
struct Slots<int8_t> {
  static constexpr auto kDecode = &Table::decode_attention_s8;
  static constexpr const char* kName = "decode_attention_s8";
  static const float* operands() { return bf16_pool(); }
};

struct Shape {
  int64_t q_len, kv_sharing, kv_len;
};

// A cache row of K holds all heads, as one of V; keys are rows in no order.
template <typename T>
void run_decode(benchmark::State& state, const Table& table, const Shape& shape, bool cold) {
  const int64_t q_len = shape.q_len, kv_sharing = shape.kv_sharing, kv_len = shape.kv_len;
  const int64_t d_kv = kHeads / kv_sharing * kHeadDim, d_model = kHeads * kHeadDim;
  const int64_t bytes = 2 * kv_len * d_kv * static_cast<int64_t>(sizeof(T));
  const Operand cache(bytes / 4, cold, Slots<T>::operands());
  const bool is_bf16 = sizeof(T) == sizeof(kernels::Bf16);
  const Operand q(q_len * d_model, false, is_bf16 ? bf16_pool() : pool());
  const Buffer o(q_len * d_model), scratch(table.decode_scratch_floats(kHeadDim, kHeadDim));
  std::vector<int32_t> rows;
  for (int64_t j = 0; j < kv_len; ++j) {
    rows.push_back(static_cast<int32_t>(j * 7919 % kv_len));  // a prime: each of them once
  }
  Work work = read_work(table, bytes, cold);
  if (q_len > 1) {  // the last queries of a prompt: all of them see most keys
    const int64_t pairs = q_len * kv_len - q_len * (q_len - 1) / 2;
    work = {.flops = 4.0 * static_cast<double>(pairs * d_model),
            .flops_limit = limits(table.isa).flops};
  }
  measure(state, work, [&](int64_t i) {
    const T* k = reinterpret_cast<const T*>(cache.at(i));
    (table.*Slots<T>::kDecode)({.n_heads = kHeads,
                                .kv_sharing = kv_sharing,
                                .head_dim = kHeadDim,
                                .v_dim = kHeadDim,
                                .scale = 1 / std::sqrt(static_cast<float>(kHeadDim)),
                                .q_len = q_len,
                                .q = q.at(0),
                                .ldq = d_model,
                                .kv_len = kv_len,
                                .q_offset = kv_len - q_len,
                                .causal = true,
                                .rows = rows.data(),
                                .k = k,
                                .ldk = d_kv,
                                .v = k + kv_len * d_kv,
                                .ldv = d_kv,
                                .k_scales = pool(),
                                .v_scales = pool(),
                                .ld_scales = kHeads,
                                .o = o.data(),
                                .ldo = d_model,
                                .scratch = scratch.data()});
  });
}

template <typename T>
void add_rows_of() {
  const auto add = [](const Shape& shape, const std::string& name, const Table* table, bool cold) {
    add_row(name, [=](benchmark::State& state) { run_decode<T>(state, *table, shape, cold); });
  };
  for (const Table* table : tables_with_own(address_of<Slots<T>::kDecode>)) {
    for (const int64_t kv_len : {30, 512}) {
      for (const bool cold : {false, true}) {
        add({1, 1, kv_len},
            row_name(Slots<T>::kName, table->isa, {{"h", kHeads}, {"len", kv_len}, {"d", kHeadDim}},
                     cold),
            table, cold);
      }
    }
    for (const int64_t q_len : {1, 128}) {
      const Shape shape = {q_len, 4, 512};
      add(shape,
          row_name(Slots<T>::kName, table->isa,
                   {{"q", q_len}, {"h", kHeads}, {"g", 2}, {"len", shape.kv_len}, {"d", kHeadDim}},
                   false),
          table, false);
    }
  }
}

// The heads of one token.
void run_rotate(benchmark::State& state, const Table& table, int64_t n_heads, bool cold) {
  constexpr int64_t kDim = 128;
  const int64_t n = n_heads * kDim;
  const Operand x(n, cold);
  const Buffer y(n);
  measure(state, read_work(table, n * 4, cold), [&](int64_t i) {
    table.rotate({.n_heads = n_heads,
                  .head_dim = kDim,
                  .rotary = pool(),
                  .rotary_dims = kDim,
                  .x = x.at(i),
                  .format = kernels::Format::kBf16,
                  .y = y.data()});
  });
}

constexpr int64_t kColumns = 1024;

// Every 32 calls are the columns of one vocabulary. Hot: the same columns in each of them, of which
// the second call keeps none.
void run_top_k(benchmark::State& state, const Table& table, int64_t rows, int64_t k, bool cold) {
  constexpr int64_t kCalls = 32;
  const Operand x(rows * kColumns, cold);
  std::vector<kernels::TopK> top(static_cast<size_t>(rows));
  std::vector<kernels::Candidate> best(static_cast<size_t>(rows * k));
  measure(state, read_work(table, rows * kColumns * 4, cold), [&](int64_t i) {
    table.top_k_f32({.rows = rows,
                     .n = kColumns,
                     .first_id = i % kCalls * kColumns,
                     .x = x.at(i),
                     .ldx = kColumns,
                     .k = k,
                     .top = top.data(),
                     .ld_top = 1,
                     .best = best.data(),
                     .ld_best = k,
                     .begin = i % kCalls == 0});
  });
}

}  // namespace

void add_decode_rows() {
  add_rows_of<float>();
  add_rows_of<kernels::Bf16>();
  add_rows_of<int8_t>();
  for (const Table* table : tables_with_own(address_of<&Table::rotate>)) {
    for (const bool cold : {false, true}) {
      add_row(row_name("rotate", table->isa, {{"h", 32}, {"d", 128}}, cold),
              [=](benchmark::State& state) { run_rotate(state, *table, 32, cold); });
    }
  }
  for (const int64_t rows : {1, 64}) {
    for (const int64_t k : {1, 8}) {
      for (const bool cold : {false, true}) {
        for (const Table* table : tables_with_own(address_of<&Table::top_k_f32>)) {
          add_row(
              row_name("top_k_f32", table->isa, {{"rows", rows}, {"n", kColumns}, {"k", k}}, cold),
              [=](benchmark::State& state) { run_top_k(state, *table, rows, k, cold); });
        }
      }
    }
  }
}

}  // namespace headlane::bench
