#include "engine/generate/cache_format.h"

#include "engine/base/error.h"

namespace headlane {
namespace {

using kernels::Format;

struct FormatName {
  const char* name;
  Format format;
};
constexpr FormatName kNames[] = {
    {"f32", Format::kF32}, {"bf16", Format::kBf16}, {"int8", Format::kS8}};

}  // namespace

Format choose_cache_format(const std::string& name, Format fallback) {
  if (name.empty()) return fallback;
  for (const FormatName& known : kNames) {
    if (name == known.name) return known.format;
  }
  fail(Status::kInvalidArgument, R"(option cache is "%s"; it must be "f32", "bf16" or "int8")",
       name.c_str());
}

CacheRow cache_row(const AttentionSpec& spec, Format format) {
  const int64_t width = spec.k_width() + spec.v_width();
  if (format == Format::kF32) return {format, kernels::padded_floats(Element::kF32, width)};
  if (format == Format::kBf16) return {format, kernels::padded_floats(Element::kBf16, width)};
  return {format, kernels::padded_stride(KeyRows::scales_offset(width) + 2 * spec.n_kv_heads)};
}

}  // namespace headlane
