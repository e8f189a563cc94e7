// What products are computed in.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/kernels.h"

namespace headlane {

using kernels::Format;

enum class Precision { kF32, kBf16, kInt8 };
constexpr int kPrecisions = 3;

const char* name_of(Precision precision);  // "f32", "bf16", "int8"

// "" is `fallback`; "auto" the fastest that the kernels' machine multiplies by itself. Throws
// Error(kInvalidArgument).
Precision choose_precision(const std::string& name, const kernels::Table& kernels,
                           Precision fallback);

class InputFile;
class RowTable;

// A matrix of a file, in whatever it stores: row i stands for scale[i] * data[i, ...] where there
// are scales.
struct WeightRows {
  Format format = Format::kF32;
  const void* data = nullptr;    // null: in `file`, at `offset`
  const float* scale = nullptr;  // [rows], of s8
  const InputFile* file = nullptr;
  int64_t offset = 0;
  RowTable* table = nullptr;  // who reads the rows of data; null: they are there
};

}  // namespace headlane
