// The formats that a cache of keys and values is kept in: f32, bf16, or int8 with a scale for each
// token and head.
#pragma once

#include <cstdint>
#include <string>

#include "engine/ops/op.h"
#include "engine/spec/stack_config.h"

namespace headlane {

// A row of a cache: a key and its value of one layer, or a latent, as KeyRows has them.
struct CacheRow {
  kernels::Format format = kernels::Format::kF32;
  int64_t floats = 0;
};

// Whether the decoder's cache can be in that format: latents, whose columns that turn would share a
// scale with the others, are not kept in int8.
bool has_cache_format(const StackConfig& decoder, kernels::Format format);

// Returns the format of that name that a decoder's cache is kept in; "" is `fallback`. Throws
// Error(kInvalidArgument), or Error(kUnsupported) where the decoder has none of that format.
kernels::Format choose_cache_format(const StackConfig& decoder, const std::string& name,
                                    kernels::Format fallback);

CacheRow cache_row(const StackConfig& decoder, kernels::Format format);

}  // namespace headlane
