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

bool has_cache_format(const StackConfig& decoder, Format format) {
  return decoder.latent.width == 0 || format != Format::kS8;
}

Format choose_cache_format(const StackConfig& decoder, const std::string& name, Format fallback) {
  if (name.empty()) return fallback;
  for (const FormatName& known : kNames) {
    if (name != known.name) continue;
    if (has_cache_format(decoder, known.format)) return known.format;
    fail(Status::kUnsupported,
         R"(option cache is "%s"; this model's latents are kept in "f32" or "bf16" alone)",
         known.name);
  }
  fail(Status::kInvalidArgument, R"(option cache is "%s"; it must be "f32", "bf16" or "int8")",
       name.c_str());
}

CacheRow cache_row(const StackConfig& decoder, Format format) {
  const AttentionSpec spec = decoder.cached_attention_of(0);
  // The value of a latent is a part of its key.
  const int64_t width = spec.k_width() + (decoder.latent.width == 0 ? spec.v_width() : 0);
  if (format == Format::kF32) return {format, kernels::padded_floats(Element::kF32, width)};
  if (format == Format::kBf16) return {format, kernels::padded_floats(Element::kBf16, width)};
  return {format, kernels::padded_stride(KeyRows::scales_offset(width) + 2 * spec.n_kv_heads)};
}

}  // namespace headlane
