// gemm_f32, gemm_bf16 and gemm_u8 at the shapes of MiniLM and BERT-base, beside oneDNN where it was
// found. M is the rows of one pass: 1 to 16 are short texts alone, 34 a sentence, 64 and 128 rows
// of a batch.
//
// limit% is of the rate of products of the row's elements. The bytes are those of the packed
// weights, so read% tells how near a row with few rows of A is to what memory delivers.
#include <algorithm>

#include "bench/gemm_onednn.h"
#include "bench/rows.h"

namespace headlane::bench {
namespace {

constexpr int64_t kRows[] = {1, 8, 16, 34, 64, 128};
constexpr GemmShape kShapes[] = {{384, 384}, {1152, 384}, {1536, 384}, {384, 1536},
                                 {768, 768}, {3072, 768}, {768, 3072}};

void run_gemm(benchmark::State& state, const kernels::Table& table, const GemmShape& shape,
              int64_t m, bool cold) {
  const kernels::GemmF32& gemm = table.gemm_f32;
  const int64_t packed_floats = gemm.packed_floats(shape.n, shape.k);
  const Operand weights(packed_floats, cold);
  const int64_t lda = kernels::padded_stride(shape.k), ldc = kernels::padded_stride(shape.n);
  const Operand a(m * lda, false);
  const Buffer c(m * ldc);
  const kernels::GemmF32Args args = {.m = m,
                                     .k = shape.k,
                                     .n = shape.n,
                                     .panel_end = gemm.n_panels(shape.n),
                                     .a = a.at(0),
                                     .lda = lda,
                                     .c = c.data(),
                                     .ldc = ldc};
  const Work work = gemm_work(shape, m, 4 * packed_floats, cold, limits(table.isa), "f32");
  measure(state, work, [&](int64_t i) {
    kernels::GemmF32Args call = args;
    call.packed = weights.at(i);
    gemm.run(call);
  });
}

// What a product in bf16 or int8 is made of.
struct Narrow {
  const char* kernel;
  const char* precision;
  kernels::NarrowGemm kernels::Table::*gemm;
  Slot slot;
  kernels::Element element;  // of A
};
constexpr Narrow kNarrow[] = {{"gemm_bf16", "bf16", &kernels::Table::gemm_bf16,
                               product_slot<&kernels::Table::gemm_bf16>, kernels::Element::kBf16},
                              {"gemm_u8", "int8", &kernels::Table::gemm_u8,
                               product_slot<&kernels::Table::gemm_u8>, kernels::Element::kU8}};

// Random weights as pack_panel lays them out: once, or again and again up to cold_bytes(). The pool
// would not do, since a panel mixes elements.
class NarrowWeights {
 public:
  NarrowWeights(const kernels::Table& table, const Narrow& narrow, const GemmShape& shape,
                bool cold)
      : floats_(packed_floats(table.*narrow.gemm, shape)),
        count_(cold ? cold_bytes() / (4 * floats_) + 1 : 1),
        packed_(floats_ * count_) {
    const kernels::NarrowGemm& gemm = table.*narrow.gemm;
    char* panel = reinterpret_cast<char*>(packed_.data());
    for (int64_t first = 0; first < shape.n; first += gemm.nr, panel += gemm.panel_bytes(shape.k)) {
      const int64_t rows = std::min(gemm.nr, shape.n - first);
      if (narrow.element == kernels::Element::kBf16) {
        const auto* w = reinterpret_cast<const kernels::Bf16*>(bf16_pool()) + first * shape.k;
        gemm.pack_panel(w, nullptr, pool() + first, rows, shape.k, panel);
      } else {
        pack_s8(table, first, rows, shape.k, panel);
      }
    }
    for (int64_t i = 1; i < count_; ++i) {
      std::copy_n(packed_.data(), floats_, packed_.data() + i * floats_);
    }
  }
  int64_t bytes() const { return 4 * floats_; }
  const void* at(int64_t iteration) const { return packed_.data() + iteration % count_ * floats_; }

 private:
  static int64_t packed_floats(const kernels::NarrowGemm& gemm, const GemmShape& shape) {
    return gemm.n_panels(shape.n) * gemm.panel_bytes(shape.k) / 4;
  }
  static void pack_s8(const kernels::Table& table, int64_t first, int64_t rows, int64_t k,
                      char* panel) {
    std::vector<int8_t> w(static_cast<size_t>(rows * k));
    std::vector<float> scales(static_cast<size_t>(rows));
    for (int64_t row = 0; row < rows; ++row) {
      table.quantize_weights(pool() + (first + row) * k, k, w.data() + row * k,
                             &scales[static_cast<size_t>(row)]);
    }
    table.gemm_u8.pack_panel(w.data(), scales.data(), pool() + first, rows, k, panel);
  }

  int64_t floats_, count_;
  Buffer packed_;
};

void run_narrow_gemm(benchmark::State& state, const kernels::Table& table, const Narrow& narrow,
                     const GemmShape& shape, int64_t m, bool cold) {
  const kernels::NarrowGemm& gemm = table.*narrow.gemm;
  const NarrowWeights weights(table, narrow, shape, cold);
  const int64_t lda = kernels::padded_floats(narrow.element, shape.k);
  const int64_t ldc = kernels::padded_stride(shape.n);
  const Buffer a(m * lda), c(m * ldc);
  table.convert({.rows = m,
                 .cols = shape.k,
                 .to = narrow.element,
                 .x = pool(),
                 .ldx = shape.k,
                 .y = a.data(),
                 .ldy = lda});
  const Work work = gemm_work(shape, m, weights.bytes(), cold, limits(table.isa), narrow.precision);
  measure(state, work, [&](int64_t i) {
    gemm.run({.m = m,
              .k = shape.k,
              .n = shape.n,
              .panel_end = gemm.n_panels(shape.n),
              .a = a.data(),
              .lda = lda,
              .packed = weights.at(i),
              .c = c.data(),
              .ldc = ldc});
  });
}

void add_rows_of(const GemmShape& shape, int64_t m, bool cold) {
  const auto name = [=](const char* kernel, const char* isa) {
    return row_name(kernel, isa, {{"m", m}, {"n", shape.n}, {"k", shape.k}}, cold);
  };
  for (const kernels::Table* table : tables_with_own(product_slot<&kernels::Table::gemm_f32>)) {
    add_row(name("gemm_f32", table->isa),
            [=](benchmark::State& state) { run_gemm(state, *table, shape, m, cold); });
  }
#ifdef HEADLANE_WITH_ONEDNN
  add_row(name("gemm_f32", "onednn"),
          [=](benchmark::State& state) { run_gemm_onednn(state, shape, m, cold); });
#endif
  for (const Narrow& narrow : kNarrow) {
    for (const kernels::Table* table : tables_with_own(narrow.slot)) {
      add_row(name(narrow.kernel, table->isa), [=, &narrow](benchmark::State& state) {
        run_narrow_gemm(state, *table, narrow, shape, m, cold);
      });
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
