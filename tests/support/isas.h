// The instruction sets that there are kernels for, as tests are run on each.
#pragma once

namespace headlane::test {

// Slowest first.
inline constexpr const char* kIsas[] = {"ref",         "avx2",        "avx2_vnni", "avx512",
                                        "avx512_vnni", "avx512_bf16", "amx"};
// Those with kernels of floats of their own; the others have those of the nearest one before
// (dispatch_test.cc looks).
inline constexpr const char* kFloatIsas[] = {"ref", "avx2", "avx512"};

}  // namespace headlane::test
