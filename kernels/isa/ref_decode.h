// What a step of decoding needs of kernels/isa/ref.cc beside the ops of encoders.
#pragma once

#include "kernels/kernels.h"

namespace headlane::kernels::ref {

void top_k(const TopKF32Args& args);

}  // namespace headlane::kernels::ref
