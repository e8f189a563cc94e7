// The types that tensors of GGUF files have: blocks of some elements, which share scales. Each
// value is what ggml's reference code, and the Python package gguf, make of a block, to the bit:
// products and differences of floats, each rounded once.
#pragma once

#include <cstddef>
#include <cstdint>

namespace headlane {

struct GgufType {
  uint32_t id;  // as in files
  const char* name;
  int64_t block, block_bytes;  // elements of a block, and its bytes
  // Writes the elements of a block; null: Headlane does not read this type.
  void (*widen)(const std::byte* from, float* to);
};

// The largest block.
inline constexpr int64_t kGgufMostBlock = 256, kGgufMostBlockBytes = 292;

// Null: no such type is known.
const GgufType* find_gguf_type(uint32_t id);

}  // namespace headlane
