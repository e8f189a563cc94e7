// How another program quantised the weights of a folder, as its config.json says it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/log.h"
#include "engine/file/json.h"

namespace headlane {

// Column k of a weight's row stands for scale * (code - zero), of the scale and the zero of its
// group. A module "X" has its codes and what they need in tensors of these layouts:
enum class QuantizedLayout {
  // Words of 32 bits; along K, the codes of 32 / bits rows of the transpose are in one.
  kGptq,  // X.qweight [K / 8, N], X.qzeros [G, N / 8], X.scales [G, N], X.g_idx [K]
  kAwq,   // X.qweight [K, N / 8], X.qzeros [G, N / 8], X.scales [G, N]
  // X.weight_packed [N, K / 8], X.weight_scale [N, G], X.weight_zero_point [N / 8, G],
  // X.weight_shape [2], X.weight_g_idx [K]
  kPacked,
  kBytes,    // X.weight [N, K] of one byte each, and their scales
  kExperts,  // blocks of MXFP4, which source/interleaved_experts reads
};

struct Quantization {
  QuantizedLayout layout = QuantizedLayout::kBytes;
  std::string method;             // "gptq", for messages
  int64_t bits = 8;               // of a code: 4 or 8
  bool is_float = false;          // of bytes: FP8 (E4M3), whose zero is 0; otherwise integers
  int64_t group = 0;              // columns that share a scale; 0: all of a row
  int64_t group_rows = 1;         // rows that do; 0: all
  const char* scale = ".scales";  // what the scales are called, behind the module's name
  bool symmetric = true;          // zeros are in the middle of the codes, or not there
  bool zeros_less_one = false;    // the file has them less 1
  bool in_any_order = false;      // groups may have columns that are not beside each other
  // Modules that are not quantised, by their names, or what these begin or end with.
  std::vector<std::string> plain;
};

// Nothing where config.json, at `path`, has no field "quantization_config". Throws Error:
// kUnsupported that names a field which says what Headlane does not obey, or one that it does not
// know; kBadFile.
std::optional<Quantization> read_quantization(const Json& config, const std::string& path,
                                              const Log& log);

}  // namespace headlane
