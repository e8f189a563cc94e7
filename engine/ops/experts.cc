#include "engine/ops/experts.h"

#include <algorithm>
#include <cstring>

namespace headlane {
namespace {

// Columns of a task: enough of them to be worth gathering rows, and few enough for one token's
// experts to feed many threads.
constexpr int64_t kBlockColumns = 256;
// Rows of an expert that go through a block of its columns together: what 1 MB holds, which is L2's
// part beside the weights that pass by, and no less than makes each weight worth its reading.
constexpr int64_t kTileFloats = 1 << 18, kLeastRows = 32, kMostRows = 128;

// How the columns of an expert's products are cut into tasks.
struct Blocks {
  Blocks(const kernels::Table& kernels, const PackedWeight& weight)
      : product(kernels.product(weight.precision)),
        all_panels(product.n_panels(weight.n)),
        panels(std::clamp<int64_t>(kBlockColumns / product.nr, 1, all_panels)),
        cols(std::min(panels * product.nr, weight.n)),
        n((all_panels + panels - 1) / panels) {}

  Range panels_of_block(int64_t block) const {
    return {block * panels, std::min((block + 1) * panels, all_panels)};
  }
  // The block's columns of a weight as a weight of their own.
  PackedView part(const kernels::Table& kernels, const PackedWeight& weight, int64_t block) const {
    const Range own = panels_of_block(block);
    return n == 1 ? view_of(weight) : panels_of(kernels, weight, own.begin, own.end - own.begin);
  }

  const kernels::Product& product;
  int64_t all_panels, panels;
  int64_t cols;  // at most, of a block
  int64_t n;
};

// The stride of rows that a product takes, in floats.
int64_t operand_stride(const PackedWeight& weight) {
  return kernels::padded_floats(kind_of(weight.precision).a, weight.k);
}

int64_t tile_rows(const PackedWeight& weight) {
  return std::clamp(kTileFloats / operand_stride(weight), kLeastRows, kMostRows);
}

// The part of a task's scratch for `results` rows side by side of a block's columns.
int64_t block_stride(const Blocks& blocks, int64_t results) {
  return results * kernels::round_up_to(blocks.cols, kernels::kRowAlign);
}

int64_t scratch_of(const kernels::Table& kernels, const Limits& limits, Rows rows,
                   const PackedWeight& weight, int64_t results) {
  const int64_t most = std::min(tile_rows(weight), limits.most(rows));
  return most * (operand_stride(weight) + block_stride(Blocks(kernels, weight), results));
}

double flops_of(const PackedWeight& weight, int64_t rows) {
  return 2.0 * static_cast<double>(weight.n) * static_cast<double>(weight.k * rows);
}

// The least that a run reads: the experts of one row.
double bytes_of_row(const kernels::Table& kernels, const PackedWeight& weight, int64_t n_chosen) {
  return static_cast<double>(packed_bytes(kernels, weight) * n_chosen);
}

// Each expert that was chosen, as far as this can be known before a run, is as many tasks as its
// products have blocks.
int64_t tasks_of(const Run& run, const ExpertTasks& tasks, int64_t n_blocks) {
  return std::min(run.count(tasks.rows) * tasks.n_chosen, tasks.n_experts) * n_blocks;
}

template <typename F>
void for_each_tile(std::span<const int32_t> choices, int64_t rows, F f) {
  for (size_t first = 0; first < choices.size(); first += static_cast<size_t>(rows)) {
    f(choices.subspan(first, std::min(choices.size() - first, static_cast<size_t>(rows))));
  }
}

// The rows of those choices, behind each other: where they lie or, where others are between them,
// in the tile.
View gather(View x, std::span<const int32_t> choices, int64_t n_chosen, float* tile) {
  const auto row_of = [&](size_t i) { return x.data + choices[i] / n_chosen * x.ld; };
  const auto last = static_cast<int64_t>(choices.size()) - 1;
  if (row_of(choices.size() - 1) == row_of(0) + last * x.ld) return {row_of(0), x.ld};
  for (size_t i = 0; i < choices.size(); ++i) {
    std::copy_n(row_of(i), x.ld, tile + static_cast<int64_t>(i) * x.ld);
  }
  return {tile, x.ld};
}

// The places of those choices as rows that a product takes.
View convert(const kernels::Table& kernels, const PackedWeight& weight, View places,
             std::span<const int32_t> choices, const ExpertTasks& tasks, float* tile) {
  const Element element = kind_of(weight.precision).a;
  const int64_t ld = operand_stride(weight), width = kernels::padded_stride(weight.k);
  for (size_t i = 0; i < choices.size(); ++i) {
    const int64_t row = choices[i] / tasks.n_chosen, place = choices[i] % tasks.n_chosen;
    const float* from = places.data + row * places.ld + place * width;
    float* to = tile + static_cast<int64_t>(i) * ld;
    if (element == Element::kF32) {
      std::copy_n(from, weight.k, to);
    } else {
      kernels.convert({.rows = 1,
                       .cols = weight.k,
                       .from = Element::kF32,
                       .to = element,
                       .x = from,
                       .ldx = width,
                       .y = to,
                       .ldy = ld});
    }
  }
  return {tile, ld};
}

// Makes numbers of a row of gates and of ups so that SiLU of the one times the other is what the
// clamp wants, g * sigmoid(slope * g) being silu(slope * g) / slope. A NaN stays one.
void bound(const ExpertClamp& clamp, int64_t n, float* gate, float* up) {
  const float limit = clamp.limit, slope = clamp.slope, divisor = 1 / slope;
  for (int64_t i = 0; i < n; ++i) {
    const float g = gate[i] > limit ? limit : gate[i];
    const float below = up[i] > limit ? limit : up[i];
    const float u = below < -limit ? -limit : below;
    gate[i] = g * slope;
    up[i] = (u + 1) * divisor;
  }
}

}  // namespace

void GatherExpertRows::run_task(const Run& run, int64_t, std::span<const View> inputs, View output,
                                float*) const {
  const ExpertRows rows(output, n_experts_);
  const View choices = inputs[0];
  int32_t* ends = rows.ends();
  std::fill_n(ends, n_experts_, 0);
  const auto for_each_choice = [&](auto f) {
    for (int64_t r = 0; r < run.count(rows_); ++r) {
      const int32_t* ids = choice_ids(choices.data + r * choices.ld);
      for (int64_t i = 0; i < n_chosen_; ++i) f(ids[i], static_cast<int32_t>(r * n_chosen_ + i));
    }
  };
  for_each_choice([&](int32_t id, int32_t) { ++ends[id]; });
  int32_t n_used = 0, begin = 0;
  for (int32_t id = 0; id < n_experts_; ++id) {
    const int32_t n = ends[id];
    if (n > 0) rows.used()[n_used++] = id;
    ends[id] = begin;  // where its part begins: it becomes the end as the part is filled
    begin += n;
  }
  *reinterpret_cast<int32_t*>(output.data) = n_used;
  for_each_choice([&](int32_t id, int32_t choice) { rows.list()[ends[id]++] = choice; });
}

double ExpertsUp::flops(const Run&, int64_t rows) const {
  return 2 * flops_of(*up_.front(), rows * tasks_.n_chosen);
}

double ExpertsUp::weight_bytes(const kernels::Table& kernels) const {
  return 2 * bytes_of_row(kernels, *up_.front(), tasks_.n_chosen);
}

int64_t ExpertsUp::n_tasks(const Run& run) const {
  return tasks_of(run, tasks_, Blocks(*run.kernels, *up_.front()).n);
}

int64_t ExpertsUp::scratch_floats(const kernels::Table& kernels, const Limits& limits) const {
  return scratch_of(kernels, limits, tasks_.rows, *up_.front(), 2);
}

void ExpertsUp::run_task(const Run& run, int64_t task, std::span<const View> inputs, View output,
                         float* scratch) const {
  const kernels::Table& kernels = *run.kernels;
  const Blocks blocks(kernels, *up_.front());
  const ExpertRows rows(inputs[1], tasks_.n_experts);
  if (task / blocks.n >= rows.n_used()) return;
  const auto expert = static_cast<size_t>(rows.used()[task / blocks.n]);
  const int64_t block = task % blocks.n, first = block * blocks.panels * blocks.product.nr;
  const PackedView gate = blocks.part(kernels, *gate_[expert], block);
  const PackedView up = blocks.part(kernels, *up_[expert], block);
  const Range panels = {0, blocks.product.n_panels(up.n)};
  const int64_t width = kernels::padded_stride(up_.front()->n);
  const int64_t most = tile_rows(*up_.front()), ld = block_stride(blocks, 2);
  float* results = scratch + std::min(most, run.count(tasks_.rows)) * inputs[0].ld;
  for_each_tile(rows.of(static_cast<int64_t>(expert)), most, [&](std::span<const int32_t> tile) {
    const View a = gather(inputs[0], tile, tasks_.n_chosen, scratch);
    const auto m = static_cast<int64_t>(tile.size());
    multiply(kernels, gate, panels, m, a, Element::kF32, {results, ld});
    multiply(kernels, up, panels, m, a, Element::kF32, {results + ld / 2, ld});
    for (int64_t i = 0; i < m; ++i) {
      if (clamp_.limit != 0) bound(clamp_, up.n, results + i * ld, results + i * ld + ld / 2);
      const int64_t row = tile[static_cast<size_t>(i)] / tasks_.n_chosen;
      const int64_t place = tile[static_cast<size_t>(i)] % tasks_.n_chosen;
      kernels.gate_f32({.rows = 1,
                        .d = up.n,
                        .activation = activation_,
                        .x = results + i * ld,
                        .up = results + i * ld + ld / 2,
                        .y = output.data + row * output.ld + place * width + first});
    }
  });
}

double ExpertsDown::flops(const Run&, int64_t rows) const {
  return flops_of(*down_.front(), rows * tasks_.n_chosen);
}

double ExpertsDown::weight_bytes(const kernels::Table& kernels) const {
  return bytes_of_row(kernels, *down_.front(), tasks_.n_chosen);
}

int64_t ExpertsDown::n_tasks(const Run& run) const {
  return tasks_of(run, tasks_, Blocks(*run.kernels, *down_.front()).n);
}

int64_t ExpertsDown::scratch_floats(const kernels::Table& kernels, const Limits& limits) const {
  return scratch_of(kernels, limits, tasks_.rows, *down_.front(), 1);
}

void ExpertsDown::run_task(const Run& run, int64_t task, std::span<const View> inputs, View output,
                           float* scratch) const {
  const kernels::Table& kernels = *run.kernels;
  const PackedWeight& any = *down_.front();
  const Blocks blocks(kernels, any);
  const ExpertRows rows(inputs[1], tasks_.n_experts);
  if (task / blocks.n >= rows.n_used()) return;
  const int32_t expert = rows.used()[task / blocks.n];
  const int64_t block = task % blocks.n, first = block * blocks.panels * blocks.product.nr;
  const PackedView down = blocks.part(kernels, *down_[static_cast<size_t>(expert)], block);
  const Range panels = {0, blocks.product.n_panels(down.n)};
  const int64_t width = kernels::padded_stride(any.n), ld = block_stride(blocks, 1);
  const int64_t most = tile_rows(any);
  float* results = scratch + std::min(most, run.count(tasks_.rows)) * operand_stride(any);
  for_each_tile(rows.of(expert), most, [&](std::span<const int32_t> tile) {
    const View a = convert(kernels, any, inputs[0], tile, tasks_, scratch);
    multiply(kernels, down, panels, static_cast<int64_t>(tile.size()), a, Element::kF32,
             {results, ld});
    for (size_t i = 0; i < tile.size(); ++i) {
      const int64_t row = tile[i] / tasks_.n_chosen, place = tile[i] % tasks_.n_chosen;
      const float weight = inputs[2].data[row * inputs[2].ld + tasks_.n_chosen + place];
      const float* from = results + static_cast<int64_t>(i) * ld;
      float* to = output.data + row * output.ld + place * width + first;
      for (int64_t c = 0; c < down.n; ++c) to[c] = weight * from[c];
    }
  });
}

void AddExperts::run_rows(const Run& run, int64_t, int64_t n_rows, Slice slice,
                          std::span<const View> inputs, View output) const {
  const Range rows = part_of(n_rows, slice);
  const int64_t width = kernels::padded_stride(d_);
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const float* places = inputs[0].data + r * inputs[0].ld;
    float* sum = output.data + r * output.ld;
    std::copy_n(places, d_, sum);
    for (int64_t i = 1; i < n_chosen_; ++i) {
      run.kernels->add_f32({.rows = 1, .d = d_, .a = sum, .b = places + i * width, .y = sum});
    }
    if (inputs.size() < 3) continue;
    const float weight = inputs[1].data[r * inputs[1].ld + 2 * n_chosen_];
    const float* shared = inputs[2].data + r * inputs[2].ld;
    for (int64_t c = 0; c < d_; ++c) sum[c] += weight * shared[c];
  }
}

}  // namespace headlane
