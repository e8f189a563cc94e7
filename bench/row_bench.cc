// The kernels that go over rows once, bound by memory: layer_norm_f32, rms_norm_f32, gate_f32,
// add_f32, activate_f32, embed_f32, pool_f32, convert, quantize_weights. Bytes are those read and
// written; limit% is of the read bandwidth of the level where the input lies.
#include "bench/rows.h"

namespace headlane::bench {
namespace {

using kernels::Table;

Work bytes_work(const Table& table, int64_t floats, bool cold) {
  const int64_t bytes = floats * static_cast<int64_t>(sizeof(float));
  const Limits& limit = limits(table.isa);
  return {.bytes = static_cast<double>(bytes),
          .bytes_limit = cold ? limit.read_l3 : limit.read(bytes)};
}

// With a residual, as in every layer of a BERT.
void run_layer_norm(benchmark::State& state, const Table& table, int64_t rows, int64_t d,
                    bool cold) {
  const Operand x(2 * rows * d, cold);
  const Buffer y(rows * d), gamma(d), beta(d);
  measure(state, bytes_work(table, (3 * rows + 2) * d, cold), [&](int64_t i) {
    table.layer_norm_f32({.rows = rows,
                          .d = d,
                          .x = x.at(i),
                          .ldx = d,
                          .residual = x.at(i) + rows * d,
                          .ld_residual = d,
                          .gamma = gamma.data(),
                          .beta = beta.data(),
                          .eps = 1e-12f,
                          .y = y.data(),
                          .ldy = d});
  });
}

// As T5 has it: what is added is the residual's next value, so the norm only reads.
void run_rms_norm(benchmark::State& state, const Table& table, int64_t rows, int64_t d, bool cold) {
  const Operand x(rows * d, cold);
  const Buffer y(rows * d), gamma(d);
  measure(state, bytes_work(table, (2 * rows + 1) * d, cold), [&](int64_t i) {
    table.rms_norm_f32({.rows = rows,
                        .d = d,
                        .x = x.at(i),
                        .ldx = d,
                        .gamma = gamma.data(),
                        .eps = 1e-6f,
                        .y = y.data(),
                        .ldy = d});
  });
}

void run_gate(benchmark::State& state, const Table& table, int64_t rows, int64_t d, bool cold) {
  const Operand x(2 * rows * d, cold);
  const Buffer y(rows * d);
  measure(state, bytes_work(table, 3 * rows * d, cold), [&](int64_t i) {
    table.gate_f32({.rows = rows,
                    .d = d,
                    .activation = kernels::Activation::kGeluTanh,
                    .x = x.at(i),
                    .ldx = 2 * d,
                    .y = y.data(),
                    .ldy = d});
  });
}

// A residual that is added by itself, as in a layer that norms what it reads.
void run_add(benchmark::State& state, const Table& table, int64_t rows, int64_t d, bool cold) {
  const Operand a(rows * d, cold), b(rows * d, false);
  const Buffer y(rows * d);
  measure(state, bytes_work(table, 3 * rows * d, cold), [&](int64_t i) {
    table.add_f32({.rows = rows,
                   .d = d,
                   .a = a.at(i),
                   .lda = d,
                   .b = b.at(0),
                   .ldb = d,
                   .y = y.data(),
                   .ldy = d});
  });
}

void run_gelu(benchmark::State& state, const Table& table, int64_t rows, int64_t d, bool cold) {
  const Operand x(rows * d, cold);
  const Buffer y(rows * d);
  measure(state, bytes_work(table, 2 * rows * d, cold), [&](int64_t i) {
    table.activate_f32(kernels::Activation::kGelu, rows * d, x.at(i), y.data());
  });
}

// Hot: the same words again and again. Cold: words all over a table of cold_bytes().
void run_embed(benchmark::State& state, const Table& table, int64_t rows, int64_t d, bool cold) {
  constexpr int64_t kCalls = 512;
  const int64_t vocab_size = cold_bytes() / (d * static_cast<int64_t>(sizeof(float)));
  const Operand position(rows * d, false), type(2 * d, false);
  const Buffer y(rows * d);
  std::vector<int32_t> ids, positions, types(static_cast<size_t>(rows), 0);
  for (int64_t i = 0; i < rows * kCalls; ++i) {
    ids.push_back(static_cast<int32_t>(i * 7919 % vocab_size));  // a prime: never the next row
  }
  for (int64_t i = 0; i < rows; ++i) positions.push_back(static_cast<int32_t>(i));
  measure(state, bytes_work(table, 3 * rows * d, cold), [&](int64_t i) {
    table.embed_f32({.rows = rows,
                     .d = d,
                     .ids = ids.data() + (cold ? i % kCalls * rows : 0),
                     .positions = positions.data(),
                     .types = types.data(),
                     .word = pool(),
                     .position = position.at(0),
                     .type = type.at(0),
                     .y = y.data(),
                     .ldy = d});
  });
}

void run_pool(benchmark::State& state, const Table& table, int64_t rows, int64_t d, bool cold) {
  const Operand x(rows * d, cold);
  const Buffer y(d);
  measure(state, bytes_work(table, (rows + 1) * d, cold), [&](int64_t i) {
    table.pool_f32({.pooling = kernels::Pooling::kMean,
                    .normalize = true,
                    .rows = rows,
                    .d = d,
                    .x = x.at(i),
                    .ldx = d,
                    .y = y.data()});
  });
}

template <kernels::Element kTo>
void run_convert(benchmark::State& state, const Table& table, int64_t rows, int64_t d, bool cold) {
  const int64_t ldy = kernels::padded_floats(kTo, d);
  const Operand x(rows * d, cold);
  const Buffer y(rows * ldy);
  measure(state, bytes_work(table, rows * (d + ldy), cold), [&](int64_t i) {
    table.convert({.rows = rows,
                   .cols = d,
                   .from = kernels::Element::kF32,
                   .to = kTo,
                   .x = x.at(i),
                   .ldx = d,
                   .y = y.data(),
                   .ldy = ldy});
  });
}

// Rows of weights as they are packed, or written to a file.
void run_quantize(benchmark::State& state, const Table& table, int64_t rows, int64_t d, bool cold) {
  const Operand w(rows * d, cold);
  std::vector<int8_t> q(static_cast<size_t>(d));
  float scale = 0;
  measure(state, bytes_work(table, rows * d, cold), [&](int64_t i) {
    for (int64_t r = 0; r < rows; ++r) {
      table.quantize_weights(w.at(i) + r * d, d, q.data(), &scale);
    }
  });
}

struct RowCase {
  const char* kernel;
  Slot slot;
  int64_t rows, d;
  void (*run)(benchmark::State& state, const Table& table, int64_t rows, int64_t d, bool cold);
};
constexpr auto kToBf16 = run_convert<kernels::Element::kBf16>;
constexpr auto kToU8 = run_convert<kernels::Element::kU8>;
constexpr RowCase kCases[] = {
    {"layer_norm_f32", address_of<&Table::layer_norm_f32>, 64, 384, run_layer_norm},
    {"layer_norm_f32", address_of<&Table::layer_norm_f32>, 64, 768, run_layer_norm},
    {"rms_norm_f32", address_of<&Table::rms_norm_f32>, 64, 512, run_rms_norm},
    {"gate_gelu_tanh_f32", address_of<&Table::gate_f32>, 64, 1024, run_gate},
    {"add_f32", address_of<&Table::add_f32>, 64, 384, run_add},
    {"add_f32", address_of<&Table::add_f32>, 64, 768, run_add},
    {"activate_gelu_f32", address_of<&Table::activate_f32>, 64, 1536, run_gelu},
    {"embed_f32", address_of<&Table::embed_f32>, 64, 384, run_embed},
    {"embed_f32", address_of<&Table::embed_f32>, 64, 768, run_embed},
    {"pool_f32", address_of<&Table::pool_f32>, 34, 384, run_pool},
    {"pool_f32", address_of<&Table::pool_f32>, 128, 768, run_pool},
    {"convert_f32_to_bf16", address_of<&Table::convert>, 64, 384, kToBf16},
    {"convert_f32_to_bf16", address_of<&Table::convert>, 64, 768, kToBf16},
    {"convert_f32_to_bf16", address_of<&Table::convert>, 64, 1536, kToBf16},
    {"convert_f32_to_u8", address_of<&Table::convert>, 64, 384, kToU8},
    {"convert_f32_to_u8", address_of<&Table::convert>, 64, 768, kToU8},
    {"convert_f32_to_u8", address_of<&Table::convert>, 64, 1536, kToU8},
    {"quantize_weights", address_of<&Table::quantize_weights>, 48, 384, run_quantize},
    {"quantize_weights", address_of<&Table::quantize_weights>, 48, 1536, run_quantize},
};

}  // namespace

void add_row_kernels() {
  for (const RowCase& c : kCases) {
    for (const bool cold : {false, true}) {
      for (const Table* table : tables_with_own(c.slot)) {
        add_row(row_name(c.kernel, table->isa, {{"rows", c.rows}, {"d", c.d}}, cold),
                [=](benchmark::State& state) { c.run(state, *table, c.rows, c.d, cold); });
      }
    }
  }
}

}  // namespace headlane::bench
