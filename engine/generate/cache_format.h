// The formats that a cache of keys and values is kept in: f32, bf16, or int8 with a scale for each
// token and head.
#pragma once

#include <cstdint>
#include <string>

#include "engine/ops/op.h"
#include "engine/spec/attention_spec.h"

namespace headlane {

// A row of a cache: a key and its value of one layer, as KeyRows has them.
struct CacheRow {
  kernels::Format format = kernels::Format::kF32;
  int64_t floats = 0;
};

// "" is `fallback`. Throws Error(kInvalidArgument).
kernels::Format choose_cache_format(const std::string& name, kernels::Format fallback);

CacheRow cache_row(const AttentionSpec& spec, kernels::Format format);

}  // namespace headlane
