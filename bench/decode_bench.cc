// What a step of decoding does beside products: attention of one query a head over a cache, and the
// best of a row of logits. Bytes are those read; limit% is of the read bandwidth of the level where
// they lie.
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

// A cache row of K holds all heads, as one of V; keys are rows in no order.
template <typename T>
void run_decode(benchmark::State& state, const Table& table, int64_t kv_len, bool cold) {
  constexpr int64_t kModel = kHeads * kHeadDim;
  const int64_t bytes = 2 * kv_len * kModel * static_cast<int64_t>(sizeof(T));
  const Operand cache(bytes / 4, cold, Slots<T>::operands());
  const Operand q(kModel, false, Slots<T>::operands());
  const Buffer o(kModel), scratch(table.decode_scratch_floats(kv_len, kHeadDim, kHeadDim));
  std::vector<int32_t> rows;
  for (int64_t j = 0; j < kv_len; ++j) {
    rows.push_back(static_cast<int32_t>(j * 7919 % kv_len));  // a prime: each of them once
  }
  measure(state, read_work(table, bytes, cold), [&](int64_t i) {
    const T* k = reinterpret_cast<const T*>(cache.at(i));
    (table.*Slots<T>::kDecode)({.n_heads = kHeads,
                                .head_dim = kHeadDim,
                                .v_dim = kHeadDim,
                                .scale = 1 / std::sqrt(static_cast<float>(kHeadDim)),
                                .q = reinterpret_cast<const T*>(q.at(0)),
                                .kv_len = kv_len,
                                .rows = rows.data(),
                                .k = k,
                                .ldk = kModel,
                                .v = k + kv_len * kModel,
                                .ldv = kModel,
                                .o = reinterpret_cast<T*>(o.data()),
                                .scratch = scratch.data()});
  });
}

template <typename T>
void add_rows_of() {
  for (const int64_t kv_len : {30, 512}) {
    for (const bool cold : {false, true}) {
      for (const Table* table : tables_with_own(address_of<Slots<T>::kDecode>)) {
        const std::string name = row_name(Slots<T>::kName, table->isa,
                                          {{"h", kHeads}, {"len", kv_len}, {"d", kHeadDim}}, cold);
        add_row(name, [=](benchmark::State& state) { run_decode<T>(state, *table, kv_len, cold); });
      }
    }
  }
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
