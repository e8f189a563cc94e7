// gemm_f32, gemm_bf16 and gemm_int8 at the shapes of MiniLM and BERT-base, beside oneDNN where it
// was found. M is the rows of one pass: 1 to 16 are short texts alone, 34 a sentence, 64 and 128
// rows of a batch.
//
// limit% is of the rate of products of the row's elements. The bytes are those of the packed
// weights, so read% tells how near a row with few rows of A is to what memory delivers.
#include <algorithm>

#include "bench/gemm_onednn.h"
#include "bench/rows.h"
#include "engine/file/weight_rows.h"

namespace headlane::bench {
namespace {

using kernels::Precision;

constexpr int64_t kRows[] = {1, 8, 16, 34, 64, 128};
constexpr GemmShape kShapes[] = {{384, 384}, {1152, 384}, {1536, 384}, {384, 1536},
                                 {768, 768}, {3072, 768}, {768, 3072}};

// Random weights as pack_panel lays them out: once, or again and again up to cold_bytes().
class PackedWeights {
 public:
  PackedWeights(const kernels::Table& table, Precision precision, const GemmShape& shape, bool cold)
      : floats_(table.product(precision).packed_bytes(shape.n, shape.k) / 4),
        count_(cold ? cold_bytes() / (4 * floats_) + 1 : 1),
        packed_(floats_ * count_) {
    const kernels::Product& product = table.product(precision);
    char* panel = reinterpret_cast<char*>(packed_.data());
    RowBuffer buffer;
    for (int64_t first = 0; first < shape.n; first += product.nr) {
      const int64_t rows = std::min(product.nr, shape.n - first);
      const WeightRows floats = {Format::kF32, pool() + first * shape.k};
      const WeightRows w = buffer.convert(table, floats, rows, shape.k, kind_of(precision).w);
      product.pack_panel({.rows = rows,
                          .k = shape.k,
                          .w = w.data,
                          .scale = w.scale,
                          .bias = pool() + first,
                          .panel = panel});
      panel += product.panel_bytes(product.nr, shape.k);
    }
    for (int64_t i = 1; i < count_; ++i) {
      std::copy_n(packed_.data(), floats_, packed_.data() + i * floats_);
    }
  }
  int64_t bytes() const { return 4 * floats_; }
  const void* at(int64_t iteration) const { return packed_.data() + iteration % count_ * floats_; }

 private:
  int64_t floats_, count_;
  Buffer packed_;
};

// Rows of A, random, in the element of a kind of product.
Buffer rows_of(const kernels::Table& table, const kernels::ProductKind& kind, int64_t m, int64_t k,
               int64_t lda) {
  Buffer a(m * lda);
  if (kind.a == kernels::Element::kF32) {
    std::copy_n(pool(), m * lda, a.data());
  } else {
    table.convert(
        {.rows = m, .cols = k, .to = kind.a, .x = pool(), .ldx = k, .y = a.data(), .ldy = lda});
  }
  return a;
}

void run_gemm(benchmark::State& state, const kernels::Table& table,
              const kernels::ProductKind& kind, const GemmShape& shape, int64_t m, bool cold) {
  const kernels::Product& product = table.product(kind.precision);
  const PackedWeights weights(table, kind.precision, shape, cold);
  const int64_t lda = kernels::padded_floats(kind.a, shape.k);
  const int64_t ldc = kernels::padded_stride(shape.n);
  const Buffer a = rows_of(table, kind, m, shape.k, lda), c(m * ldc);
  const Work work = gemm_work(shape, m, weights.bytes(), cold, limits(table.isa), kind.name);
  measure(state, work, [&](int64_t i) {
    product.run({.m = m,
                 .k = shape.k,
                 .n = shape.n,
                 .panel_end = product.n_panels(shape.n),
                 .a = a.data(),
                 .lda = lda,
                 .packed = weights.at(i),
                 .c = c.data(),
                 .ldc = ldc});
  });
}

// The supported tables with a product of their own of that kind.
std::vector<const kernels::Table*> tables_with_own(Precision precision) {
  std::vector<const kernels::Table*> tables;
  for (const kernels::Table* table : kernels::supported()) {
    const auto has_it = [&](const kernels::Table* lower) {
      return lower->product(precision).run == table->product(precision).run;
    };
    if (std::none_of(tables.begin(), tables.end(), has_it)) tables.push_back(table);
  }
  return tables;
}

void add_rows_of(const GemmShape& shape, int64_t m, bool cold) {
  const auto name = [=](const std::string& kernel, const char* isa) {
    return row_name(kernel.c_str(), isa, {{"m", m}, {"n", shape.n}, {"k", shape.k}}, cold);
  };
#ifdef HEADLANE_WITH_ONEDNN
  add_row(name("gemm_f32", "onednn"),
          [=](benchmark::State& state) { run_gemm_onednn(state, shape, m, cold); });
#endif
  for (const kernels::ProductKind& kind : kernels::kProductKinds) {
    for (const kernels::Table* table : tables_with_own(kind.precision)) {
      add_row(
          name(std::string("gemm_") + kind.name, table->isa),
          [=, &kind](benchmark::State& state) { run_gemm(state, *table, kind, shape, m, cold); });
    }
  }
}

}  // namespace

Work gemm_work(const GemmShape& shape, int64_t m, int64_t packed_bytes, bool cold,
               const Limits& limits, std::string_view precision) {
  return {.flops = 2.0 * static_cast<double>(m * shape.n * shape.k),
          .bytes = static_cast<double>(packed_bytes),
          .flops_limit = limits.ops(precision),
          .bytes_limit = cold ? limits.read_l3 : limits.read(packed_bytes)};
}

void add_gemm_rows() {
  for (const GemmShape& shape : kShapes) {
    for (const int64_t m : kRows) {
      for (const bool cold : {false, true}) add_rows_of(shape, m, cold);
    }
  }
}

}  // namespace headlane::bench
