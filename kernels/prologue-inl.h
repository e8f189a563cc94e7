// All *-inl.h have this in common. A file of kernels/isa/ defines HEADLANE_ISA and includes what
// its instruction set brings, simd/<isa>-inl.h: vectors, the sizes of register tiles, and products
// of its own. Then it includes algorithms, in any order, since each includes those that it builds
// on.
//
// The -inl.h files are compiled once per instruction set, inside the namespace HEADLANE_ISA, so
// that no inline function compiled with one set of flags can be linked into another's code. For the
// same reason they use no standard containers or algorithms.
#pragma once

#include <cassert>
#include <cstdint>

#include "kernels/kernels.h"

// Under sanitizers, which watch each access, unrolled loops would take minutes to compile.
#if defined(__clang__)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HEADLANE_UNROLL
#else
#define HEADLANE_UNROLL _Pragma("clang loop unroll(full)")
#endif
#else
#define HEADLANE_UNROLL _Pragma("GCC unroll 32")
#endif
