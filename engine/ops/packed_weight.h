// Weights of products, packed once for a model's kernels, and shared by all graphs that use them.
#pragma once

#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/base/buffer.h"
#include "engine/base/team.h"
#include "engine/file/container.h"
#include "engine/file/precision.h"
#include "engine/file/weight_rows.h"
#include "engine/ops/op.h"

namespace headlane {

struct PackedWeight {
  std::string name;
  int64_t n = 0, k = 0;
  WeightRows rows;              // [n, k]; not read after packing, nor all at once
  const float* bias = nullptr;  // [n], or null; likewise
  kernels::Activation activation = kernels::Activation::kNone;
  Precision precision = Precision::kF32;  // of the product
  const void* packed = nullptr;
};

// The size of the packed weight in bytes, a multiple of 64.
int64_t packed_bytes(const kernels::Table& kernels, const PackedWeight& weight);

// What files call the layout of its panels (PanelsInfo): "int4/groups/48", by precision, layout and
// nr. "" where files keep no such panels.
std::string layout_of(const kernels::Table& kernels, const PackedWeight& weight);

// Packs some panels to `to`, 64-byte aligned, which has room for them. Throws Error if a file
// cannot be read.
void pack_panels(const kernels::Table& kernels, const PackedWeight& weight, Range panels, char* to,
                 RowBuffer* buffer);

// A packed weight, or some of its panels, as a product takes it.
struct PackedView {
  const void* packed = nullptr;
  int64_t n = 0, k = 0;
  kernels::Activation activation = kernels::Activation::kNone;
  Precision precision = Precision::kF32;
};
PackedView view_of(const PackedWeight& weight);
// Panels first .. first + count, as a weight of their own. Not of products whose only panel is the
// whole matrix.
PackedView panels_of(const kernels::Table& kernels, const PackedWeight& weight, int64_t first,
                     int64_t count);

// C = activation(A W^T + bias), m rows, the columns of some of the panels. A's elements are those
// of the weight's precision; C's are f32, or bf16 where that is narrow.
void multiply(const kernels::Table& kernels, const PackedView& weight, Range panels, int64_t m,
              View a, Element c_element, View c);

class PackedWeights {
 public:
  // The weight of that name, made if there is none yet. Valid as long as this.
  const PackedWeight* add(PackedWeight weight);
  // Packs all of them on the team's threads; called once, after the last add. What `file` has
  // packed for these kernels is read instead, or, where it is mapped, stays there. Null: there is
  // no file. Throws Error if a file cannot be read.
  void pack(const kernels::Table& kernels, const Container* file, Team* team);
  // Looks only at what pack() would do.
  void measure(const kernels::Table& kernels, const Container* file);
  const std::deque<PackedWeight>& weights() const { return weights_; }
  size_t bytes() const { return static_cast<size_t>(bytes_); }  // those in a mapped file too
  int64_t mapped_bytes() const { return mapped_bytes_; }
  // Weights whose panels are those of the file.
  int64_t n_stored() const { return n_stored_; }

 private:
  // Where a weight's panels come from, and where they will be.
  struct Place {
    const PanelsInfo* stored = nullptr;  // in the file; null: they are packed
    int64_t offset = -1;                 // in memory_; -1: they stay in the mapped file
  };
  std::vector<Place> make_places(const kernels::Table& kernels, const Container* file);
  void fill(const kernels::Table& kernels, const Container* file, const std::vector<Place>& places,
            Slice part);

  std::deque<PackedWeight> weights_;  // a deque, since ops point to its elements
  std::unordered_map<std::string, const PackedWeight*> by_name_;
  int64_t bytes_ = 0, mapped_bytes_ = 0, n_stored_ = 0;
  Buffer memory_;
};

}  // namespace headlane
