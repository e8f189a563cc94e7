// The products in less than f32 of kernels/isa/ref.cc, and what makes their inputs.
#pragma once

#include "kernels/kernels.h"

namespace headlane::kernels::ref {

float activate(Activation activation, float x);  // of ref.cc

float from_bf16(Bf16 x);
Bf16 to_bf16(float x);  // to the nearest, ties to even; NaN stays NaN

void convert(const ConvertArgs& args);
void quantize_weights(const float* w, int64_t k, int8_t* q, float* scale);
void fill_narrow_products(Table* table);

// These are in ref_grouped.cc. The first is weight i of a row that is stored in groups.
float weight_in_groups(Format format, const void* row, int64_t i);
void row_to_s8_groups(Element from, const void* row, int64_t n, int8_t* y);
void fill_grouped_products(Table* table);

}  // namespace headlane::kernels::ref
