#include "engine/ops/packed_weight.h"

#include <algorithm>
#include <exception>
#include <vector>

namespace headlane {
namespace {

using kernels::Product;

// Packs panel p. A panel's rows are some 50 to 200 KB: they are packed while they lie in L2, and
// never are all of a model's in memory twice.
void pack_panel(const kernels::Table& kernels, const PackedWeight& w, int64_t p, char* to,
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
                      .panel = to});
}

int64_t panel_bytes(const kernels::Table& kernels, const PackedWeight& w) {
  const Product& product = kernels.product(w.precision);
  return product.panel_bytes(std::min(product.nr, w.n), w.k);
}

}  // namespace

int64_t packed_bytes(const kernels::Table& kernels, const PackedWeight& w) {
  return kernels.product(w.precision).packed_bytes(w.n, w.k);
}

std::string layout_of(const kernels::Table& kernels, const PackedWeight& w) {
  const Product& product = kernels.product(w.precision);
  if (product.layout == nullptr) return "";
  return std::string(name_of(w.precision)) + "/" + product.layout + "/" +
         std::to_string(product.nr);
}

void pack_panels(const kernels::Table& kernels, const PackedWeight& w, Range panels, char* to,
                 RowBuffer* buffer) {
  const int64_t bytes = panel_bytes(kernels, w);
  for (int64_t p = panels.begin; p < panels.end; ++p, to += bytes) {
    pack_panel(kernels, w, p, to, buffer);
  }
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
  const auto [known, is_new] = by_name_.try_emplace(weight.name, nullptr);
  if (is_new) known->second = &weights_.emplace_back(std::move(weight));
  return known->second;
}

std::vector<PackedWeights::Place> PackedWeights::make_places(const kernels::Table& kernels,
                                                             const Container* file) {
  std::vector<Place> places;
  bytes_ = mapped_bytes_ = n_stored_ = 0;
  for (const PackedWeight& w : weights_) {
    const int64_t bytes = packed_bytes(kernels, w);
    Place place;
    if (file != nullptr) place.stored = file->find_panels(w.name, layout_of(kernels, w), bytes);
    if (place.stored != nullptr) ++n_stored_;
    if (place.stored != nullptr && file->mapped() != nullptr) {
      mapped_bytes_ += bytes;
    } else {
      place.offset = bytes_ - mapped_bytes_;
    }
    bytes_ += bytes;
    places.push_back(place);
  }
  return places;
}

void PackedWeights::measure(const kernels::Table& kernels, const Container* file) {
  make_places(kernels, file);
}

// One of the parts of each weight that has a place in memory.
void PackedWeights::fill(const kernels::Table& kernels, const Container* file,
                         const std::vector<Place>& places, Slice part) {
  RowBuffer buffer;
  for (size_t i = 0; i < weights_.size(); ++i) {
    if (places[i].offset < 0) continue;
    const PackedWeight& w = weights_[i];
    const Range panels = part_of(kernels.product(w.precision).n_panels(w.n), part);
    const int64_t bytes = panel_bytes(kernels, w), begin = panels.begin * bytes;
    char* to = static_cast<char*>(memory_.data()) + places[i].offset + begin;
    if (places[i].stored == nullptr) {
      pack_panels(kernels, w, panels, to, &buffer);
    } else {
      file->file()->read(places[i].stored->offset + begin,
                         {reinterpret_cast<std::byte*>(to),
                          static_cast<size_t>((panels.end - panels.begin) * bytes)});
    }
  }
}

void PackedWeights::pack(const kernels::Table& kernels, const Container* file, Team* team) {
  const std::vector<Place> places = make_places(kernels, file);
  memory_ = Buffer(static_cast<size_t>(bytes_ - mapped_bytes_));
  // An exception that leaves a thread of a team would end the process, so this thread throws it on.
  std::vector<std::exception_ptr> failures(static_cast<size_t>(team->n_threads()));
  team->run(1, team->n_threads(), [&](int /*phase*/, int thread, int count) {
    try {
      fill(kernels, file, places, {thread, count});
    } catch (...) {
      failures[static_cast<size_t>(thread)] = std::current_exception();
    }
  });
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  for (size_t i = 0; i < weights_.size(); ++i) {
    weights_[i].packed = places[i].offset < 0
                             ? static_cast<const void*>(file->mapped() + places[i].stored->offset)
                             : static_cast<const char*>(memory_.data()) + places[i].offset;
  }
}

}  // namespace headlane
