// The tables that kernels/isa/*.cc make, for dispatch.cc.
#pragma once

#include "kernels/kernels.h"

namespace headlane::kernels {

const Table& ref_table();
const Table& avx2_table();
const Table& avx2_vnni_table();
const Table& avx512_table();
const Table& avx512_vnni_table();
const Table& avx512_bf16_table();
const Table& amx_table();

}  // namespace headlane::kernels
