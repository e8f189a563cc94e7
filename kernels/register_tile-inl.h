// What the tiles of sums in vector registers have in common: kMR x kNV vectors (simd/*-inl.h), and
// which part of the next panel a strip of them fetches.
#pragma once

#include "kernels/loops-inl.h"

namespace headlane::kernels::HEADLANE_ISA {

constexpr int64_t kNR = int64_t{kNV} * kWidth;
static_assert(kNR <= static_cast<int64_t>(sizeof(kZeroRow) / sizeof(float)));

constexpr int64_t kLine = 64 / sizeof(float);  // of a cache
constexpr int kMostParts = kNR / kLine;        // a line each with every step of k
static_assert(1 <= kMostParts && kMostParts <= 3);

}  // namespace headlane::kernels::HEADLANE_ISA
