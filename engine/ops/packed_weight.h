// Weights of products, packed once for a model's kernels, and shared by all graphs that use them.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "engine/model/precision.h"
#include "engine/ops/op.h"
#include "engine/run/buffer.h"

namespace headlane {

struct PackedWeight {
  std::string name;
  int64_t n = 0, k = 0;
  WeightRows rows;              // [n, k]; not read after packing
  const float* bias = nullptr;  // [n], or null; likewise
  kernels::Activation activation = kernels::Activation::kNone;
  Precision precision = Precision::kF32;  // of the product
  const void* packed = nullptr;
  std::unique_ptr<void, void (*)(void*)> state{nullptr, nullptr};  // of the kernels' create()
};

// Of the packed weight, in bytes: a multiple of 64.
int64_t packed_bytes(const kernels::Table& kernels, const PackedWeight& weight);

class PackedWeights {
 public:
  // The weight of that name, made if there is none yet. Valid as long as this.
  const PackedWeight* add(PackedWeight weight);
  // Packs all of them; called once, after the last add.
  void pack(const kernels::Table& kernels);
  size_t bytes() const { return memory_.bytes(); }

 private:
  std::deque<PackedWeight> weights_;  // a deque, since ops point to its elements
  Buffer memory_;
};

}  // namespace headlane
