// The instruction sets that there are kernels for, as tests are run on each.
#pragma once

#include <string_view>

namespace headlane::test {

// Slowest first.
inline constexpr const char* kIsas[] = {"ref",         "avx2",        "avx2_vnni", "avx512",
                                        "avx512_vnni", "avx512_bf16", "amx"};
// Those with kernels of floats of their own; the others have those of the nearest one before
// (dispatch_test.cc looks).
inline constexpr const char* kFloatIsas[] = {"ref", "avx2", "avx512"};

// Whether models of a precision run with other kernels on `isa` than on the one before it. Where
// they do not, what takes long need not be computed again (dispatch_test.cc looks as well).
constexpr bool has_kernels_of_its_own(std::string_view isa, std::string_view precision) {
  if (isa == "avx2_vnni" || isa == "avx512_vnni") return precision == "int8";
  if (isa == "avx512_bf16") return precision == "bf16";
  if (isa == "amx") return precision != "f32";
  return true;
}

}  // namespace headlane::test
