// The types that tensors of GGUF files have: blocks of some elements, which share scales. Each
// value is what ggml's reference code, and the Python package gguf, make of a block, to the bit:
// products and differences of floats, each rounded once.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/format.h"

namespace headlane {

struct GgufType {
  uint32_t id;  // as in files
  const char* name;
  int64_t block, block_bytes;  // elements of a block, and its bytes
  // Writes the elements of a block; null: Headlane does not read this type.
  void (*widen)(const std::byte* from, float* to);
  // The format of weights in groups that has its elements best; f32: none.
  kernels::Format format = kernels::Format::kF32;
  // Writes a block's elements in that format, where it has them: the same as those of widen(), or,
  // of types whose scales are products, with the products rounded to f16. Null: they are quantised
  // again.
  void (*to_groups)(const std::byte* from, std::byte* to) = nullptr;
};

// The largest block.
inline constexpr int64_t kGgufMostBlock = 256, kGgufMostBlockBytes = 292;

// Null: no such type is known.
const GgufType* find_gguf_type(uint32_t id);

}  // namespace headlane
