#include <algorithm>

#include "engine/ops/latents.h"

namespace headlane {
namespace {

// Rows of a task: they make each weight worth its reading, and their operands and results stay in
// L2.
constexpr int64_t kTaskRows = 128;

int64_t row_stride(const PackedWeight& weight) {
  return kernels::padded_floats(kind_of(weight.precision).a, weight.k);
}

char* column_of(float* row, Element element, int64_t columns) {
  const int64_t size = element == Element::kBf16 ? sizeof(kernels::Bf16) : sizeof(float);
  return reinterpret_cast<char*>(row) + columns * size;
}

kernels::Format exact_format(Element element) {
  return element == Element::kBf16 ? kernels::Format::kBf16 : kernels::Format::kF32;
}

// Writes n numbers exactly, as products and conversions do not.
void write_exactly(const kernels::Table& kernels, int64_t n, Element from, const void* x,
                   Element to, void* y) {
  kernels.rotate(
      {.n_heads = 1, .head_dim = n, .element = from, .x = x, .format = exact_format(to), .y = y});
}

}  // namespace

double HeadProducts::flops(const Run&, int64_t rows) const {
  const PackedWeight& weight = *weights_.front();
  return 2.0 * static_cast<double>(weight.n * weight.k) *
         static_cast<double>(rows * std::ssize(weights_));
}

double HeadProducts::weight_bytes(const kernels::Table& kernels) const {
  return static_cast<double>(packed_bytes(kernels, *weights_.front()) * std::ssize(weights_));
}

int64_t HeadProducts::n_tasks(const Run& run) const {
  return std::ssize(weights_) * ((run.count(rows_) + kTaskRows - 1) / kTaskRows);
}

int64_t HeadProducts::scratch_floats(const kernels::Table&, const Limits& limits) const {
  const PackedWeight& weight = *weights_.front();
  const int64_t results = kernels::round_up_to(weight.n, kernels::kRowAlign);
  return std::min(kTaskRows, limits.most(rows_)) * (row_stride(weight) + results);
}

View HeadProducts::operand(const kernels::Table& kernels, View x, int64_t first_column, int64_t m,
                           float* tile) const {
  const PackedWeight& weight = *weights_.front();
  const Element element = kind_of(weight.precision).a;
  const int64_t ld = row_stride(weight);
  if (element != Element::kF32) {
    kernels.convert({.rows = m,
                     .cols = weight.k,
                     .from = input_,
                     .to = element,
                     .x = column_of(x.data, input_, first_column),
                     .ldx = x.ld,
                     .y = tile,
                     .ldy = ld});
    return {tile, ld};
  }
  if (input_ == Element::kF32) return {x.data + first_column, x.ld};
  for (int64_t i = 0; i < m; ++i) {
    write_exactly(kernels, weight.k, input_, column_of(x.data + i * x.ld, input_, first_column),
                  element, tile + i * ld);
  }
  return {tile, ld};
}

void HeadProducts::run_task(const Run& run, int64_t task, std::span<const View> inputs, View output,
                            float* scratch) const {
  const int64_t n_heads = std::ssize(weights_), head = task % n_heads;
  const int64_t first_row = task / n_heads * kTaskRows;
  const int64_t m = std::min(kTaskRows, run.count(rows_) - first_row);
  const PackedWeight& weight = *weights_[static_cast<size_t>(head)];
  const kernels::Table& kernels = *run.kernels;
  const View x = {inputs[0].data + first_row * inputs[0].ld, inputs[0].ld};
  const int64_t from = head * (n_kept_ + weight.k), to = head * (n_kept_ + weight.n);
  const View a = operand(kernels, x, from + n_kept_, m, scratch);
  const View results = {scratch + m * row_stride(weight),
                        kernels::round_up_to(weight.n, kernels::kRowAlign)};
  const Range panels = {0, kernels.product(weight.precision).n_panels(weight.n)};
  multiply(kernels, view_of(weight), panels, m, a, Element::kF32, results);
  for (int64_t i = 0; i < m; ++i) {
    float* row = output.data + (first_row + i) * output.ld;
    if (n_kept_ != 0) {
      write_exactly(kernels, n_kept_, input_, column_of(x.data + i * x.ld, input_, from), output_,
                    column_of(row, output_, to));
    }
    write_exactly(kernels, weight.n, Element::kF32, results.data + i * results.ld, output_,
                  column_of(row, output_, to + n_kept_));
  }
}

}  // namespace headlane
