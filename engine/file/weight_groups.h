// Floats as weights in groups that share a scale, and back (kernels/format.h).
#pragma once

#include <cstdint>

#include "kernels/format.h"

namespace headlane {

// The nearest f16, ties to even; NaN where x is NaN or beyond the largest.
uint16_t f16_from_f32(float x);

// A row of k columns in a format that has groups. Each weight is what the kernels and the formats'
// definitions say: scale * code, of 4 and 5 bits less the minimum, each rounded once.
void groups_to_floats(kernels::Format format, const void* row, int64_t k, float* to);

// Codes of 8 bits: the scale is the group's largest magnitude / 127, rounded up to an f16, and so
// no weight is off by more than half of it; of 6 bits likewise that of each half / 31. Codes of 4
// and 5 bits: the scale and the minimum of some
// that were tried whose weights are off least, by the sum of squares. A group whose scale is no
// number, since a weight is not, or is beyond 65504, becomes NaN.
void floats_to_groups(kernels::Format format, const float* from, int64_t k, void* row);

}  // namespace headlane
