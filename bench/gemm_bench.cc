// gemm_f32 at the shapes of MiniLM and BERT-base, beside oneDNN where it was found. M is the rows
// of one pass: 1 to 16 are short texts alone, 34 a sentence, 64 and 128 rows of a batch.
//
// limit% is of the FMA rate. The bytes are those of the packed weights, so read% tells how near a
// row with few rows of A is to what memory delivers.
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
  measure(state, gemm_work(shape, m, packed_floats, cold, limits(table.isa)), [&](int64_t i) {
    kernels::GemmF32Args call = args;
    call.packed = weights.at(i);
    gemm.run(call);
  });
}

}  // namespace

Work gemm_work(const GemmShape& shape, int64_t m, int64_t packed_floats, bool cold,
               const Limits& limits) {
  const int64_t bytes = packed_floats * static_cast<int64_t>(sizeof(float));
  return {.flops = 2.0 * static_cast<double>(m * shape.n * shape.k),
          .bytes = static_cast<double>(bytes),
          .flops_limit = limits.flops,
          .bytes_limit = cold ? limits.read_l3 : limits.read(bytes)};
}

void add_gemm_rows() {
  for (const GemmShape& shape : kShapes) {
    for (const int64_t m : kRows) {
      for (const bool cold : {false, true}) {
        for (const kernels::Table* table : kernels::supported()) {
          add_row(
              row_name("gemm_f32", table->isa, {{"m", m}, {"n", shape.n}, {"k", shape.k}}, cold),
              [=](benchmark::State& state) { run_gemm(state, *table, shape, m, cold); });
        }
#ifdef HEADLANE_WITH_ONEDNN
        add_row(row_name("gemm_f32", "onednn", {{"m", m}, {"n", shape.n}, {"k", shape.k}}, cold),
                [=](benchmark::State& state) { run_gemm_onednn(state, shape, m, cold); });
#endif
      }
    }
  }
}

}  // namespace headlane::bench
