#include "engine/ops/packed_weight.h"

#include <algorithm>
#include <exception>
#include <vector>

namespace headlane {
namespace {

using kernels::Product;

// Packs panel p of a weight into its place behind `base`, the weight's. A panel's rows are some 50
// to 200 KB: they are packed while they lie in L2, and never are all of a model's in memory twice.
void pack_panel(const kernels::Table& kernels, const PackedWeight& w, int64_t p, char* base,
                RowBuffer* buffer) {
  const Product& product = kernels.product(w.precision);
  const int64_t first = p * product.nr, n = std::min(product.nr, w.n - first);
  const WeightRows stored = buffer->read(w.rows, first, n, w.k);
  const Format format = kind_of(w.precision).w;
  const WeightRows rows = buffer->convert(kernels, stored, n, w.k, format);
  product.pack_panel({.rows = n,
                      .k = w.k,
                      .w = rows.data,
                      .scale = rows.scale,
                      .bias = w.bias ? w.bias + first : nullptr,
                      .activation = w.activation,
                      .panel = base + p * product.panel_bytes(n, w.k)});
}

}  // namespace

int64_t packed_bytes(const kernels::Table& kernels, const PackedWeight& w) {
  return kernels.product(w.precision).packed_bytes(w.n, w.k);
}

PackedView view_of(const PackedWeight& w) {
  return {w.packed, w.n, w.k, w.activation, w.precision};
}

PackedView panels_of(const kernels::Table& kernels, const PackedWeight& weight, int64_t first,
                     int64_t count) {
  const Product& product = kernels.product(weight.precision);
  PackedView view = view_of(weight);
  view.packed =
      static_cast<const char*>(weight.packed) + first * product.panel_bytes(product.nr, weight.k);
  view.n = std::min(count * product.nr, weight.n - first * product.nr);
  return view;
}

void multiply(const kernels::Table& kernels, const PackedView& w, Range panels, int64_t m, View a,
              Element c_element, View c) {
  kernels.product(w.precision)
      .run({.m = m,
            .k = w.k,
            .n = w.n,
            .panel_begin = panels.begin,
            .panel_end = panels.end,
            .a = a.data,
            .lda = a.ld,
            .packed = w.packed,
            .activation = w.activation,
            .c_element = c_element,
            .c = c.data,
            .ldc = c.ld});
}

const PackedWeight* PackedWeights::add(PackedWeight weight) {
  for (const PackedWeight& known : weights_) {
    if (known.name == weight.name) return &known;
  }
  return &weights_.emplace_back(std::move(weight));
}

void PackedWeights::measure(const kernels::Table& kernels) {
  bytes_ = 0;
  for (const PackedWeight& w : weights_) bytes_ += packed_bytes(kernels, w);
}

void PackedWeights::pack(const kernels::Table& kernels, Team* team) {
  std::vector<int64_t> offsets;
  int64_t bytes = 0;
  for (const PackedWeight& w : weights_) {
    offsets.push_back(bytes);
    bytes += packed_bytes(kernels, w);
  }
  bytes_ = bytes;
  memory_ = Buffer(static_cast<size_t>(bytes));
  char* base = static_cast<char*>(memory_.data());
  const auto pack_share = [&](int thread, int count) {
    RowBuffer buffer;
    for (size_t i = 0; i < weights_.size(); ++i) {
      const PackedWeight& w = weights_[i];
      const Range panels = part_of(kernels.product(w.precision).n_panels(w.n), {thread, count});
      for (int64_t p = panels.begin; p < panels.end; ++p) {
        pack_panel(kernels, w, p, base + offsets[i], &buffer);
      }
    }
  };
  // An exception that leaves a thread of a team would end the process, so this thread throws it on.
  std::vector<std::exception_ptr> failures(static_cast<size_t>(team->n_threads()));
  team->run(1, team->n_threads(), [&](int /*phase*/, int thread, int count) {
    try {
      pack_share(thread, count);
    } catch (...) {
      failures[static_cast<size_t>(thread)] = std::current_exception();
    }
  });
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  for (size_t i = 0; i < weights_.size(); ++i) weights_[i].packed = base + offsets[i];
}

}  // namespace headlane
