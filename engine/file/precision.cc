#include "engine/file/precision.h"

#include "engine/base/error.h"

namespace headlane {

const char* name_of(Precision precision) {
  switch (precision) {
    case Precision::kF32:
      return "f32";
    case Precision::kBf16:
      return "bf16";
    case Precision::kInt8:
      return "int8";
  }
  return "unknown";
}

Precision choose_precision(const std::string& name, const kernels::Table& kernels,
                           Precision fallback) {
  if (name.empty()) return fallback;
  if (name == "auto") {
    if (kernels.gemm_f32.create) return Precision::kF32;  // oneDNN's products are in f32 alone
    if (kernels.gemm_u8.native) return Precision::kInt8;
    return kernels.gemm_bf16.native ? Precision::kBf16 : Precision::kF32;
  }
  for (const Precision precision : {Precision::kF32, Precision::kBf16, Precision::kInt8}) {
    if (name == name_of(precision)) return precision;
  }
  fail(Status::kInvalidArgument,
       "option precision is \"%s\"; it must be \"f32\", \"bf16\", \"int8\" or \"auto\"",
       name.c_str());
}

}  // namespace headlane
