// The tables that kernels/isa/*.cc make, for dispatch.cc.
#pragma once

#include "kernels/kernels.h"

namespace headlane::kernels {

const Table& ref_table();
const Table& avx2_table();
const Table& avx512_table();

}  // namespace headlane::kernels
