// The products in bf16 and 8-bit integers of kernels/isa/ref.cc, and what makes their inputs.
#pragma once

#include "kernels/kernels.h"

namespace headlane::kernels::ref {

float activate(Activation activation, float x);  // of ref.cc

float from_bf16(Bf16 x);
Bf16 to_bf16(float x);  // to the nearest, ties to even; NaN stays NaN

void convert(const ConvertArgs& args);
void quantize_weights(const float* w, int64_t k, int8_t* q, float* scale);
void fill_narrow_products(Table* table);

}  // namespace headlane::kernels::ref
