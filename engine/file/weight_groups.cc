#include "engine/file/weight_groups.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "engine/base/error.h"
#include "kernels/element.h"

namespace headlane {
namespace {

using kernels::Format;
using kernels::groups_in;
using kernels::kGroupSize;
using kernels::kS6Offset;
using kernels::S6Group;
using kernels::S8Group;
using kernels::U4Group;
using kernels::U5Group;
using kernels::widen_f16;

constexpr uint16_t kNanF16 = 0x7e00;
constexpr float kLargestF16 = 65504.0f;

// The least f16 that is not less than x, which is not negative.
uint16_t f16_not_below(float x) {
  const uint16_t nearest = f16_from_f32(x);
  if (nearest == kNanF16 || widen_f16(nearest) >= x) return nearest;
  return nearest + 1 == 0x7c00 ? kNanF16 : static_cast<uint16_t>(nearest + 1);
}

// The columns of a group, 0 beyond the row's end, and how many there are.
struct GroupFloats {
  float x[kGroupSize] = {};
  int64_t n;
  float low = 0, high = 0;
  bool finite = true;

  GroupFloats(const float* row, int64_t k, int64_t g)
      : n(std::min(kGroupSize, k - g * kGroupSize)) {
    std::copy_n(row + g * kGroupSize, n, x);
    low = *std::min_element(x, x + n);
    high = *std::max_element(x, x + n);
    for (int64_t i = 0; i < n; ++i) finite = finite && std::isfinite(x[i]);
  }
};

// The nearest whole number, ties to even, of one below 2^22: baseline x86 has no instruction for
// it, and a call for each weight takes longer than all the rest.
float nearest_whole(float x) {
  constexpr float kWholeFrom = 0x1.8p23f;
  return (x + kWholeFrom) - kWholeFrom;
}

// A scale and a minimum, as f16 can have them, and the codes from 0 to kMost that come nearest to a
// group with them.
template <int kMost>
struct CodesTry {
  float scale, min, codes[kGroupSize], error = 0;

  CodesTry(const GroupFloats& group, float s, float m)
      : scale(widen_f16(f16_from_f32(s))), min(widen_f16(f16_from_f32(m))) {
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    for (int64_t i = 0; i < kGroupSize; ++i) {
      const float code = std::min(std::max((group.x[i] + min) * inverse, 0.0f), float{kMost});
      codes[i] = nearest_whole(code);
    }
    for (int64_t i = 0; i < group.n; ++i) {
      const float off = scale * codes[i] - min - group.x[i];
      error += off * off;
    }
  }

  // The scale and the minimum that are the best for these codes, with the codes that are then
  // nearest.
  CodesTry fitted(const GroupFloats& group) const {
    float sum_c = 0, sum_cc = 0, sum_x = 0, sum_cx = 0;
    for (int64_t i = 0; i < group.n; ++i) {
      sum_c += codes[i];
      sum_cc += codes[i] * codes[i];
      sum_x += group.x[i];
      sum_cx += codes[i] * group.x[i];
    }
    const auto n = static_cast<float>(group.n);
    const float determinant = n * sum_cc - sum_c * sum_c;
    if (determinant <= 0) return *this;
    const float s = (n * sum_cx - sum_c * sum_x) / determinant;
    return {group, s, (sum_c * s - sum_x) / n};
  }
};

// Where a search begins: how far the ends of a group's range are moved inwards, in parts of the
// range, since outliers cost all others accuracy, and how many steps fewer than there are codes the
// range has. With fewer steps it finds the codes of weights that were of as many bits before and do
// not use all codes.
struct Start {
  float low_cut, high_cut, fewer_steps;
};
constexpr Start kStarts[] = {{0, 0, 0},         {0, 0, 1},         {0, 0, 2},
                             {0.03f, 0.03f, 0}, {0.07f, 0.07f, 0}, {0.12f, 0.12f, 0},
                             {0, 0.06f, 0},     {0.06f, 0, 0},     {0, 0.12f, 0},
                             {0.12f, 0, 0},     {0.03f, 0.1f, 0},  {0.1f, 0.03f, 0}};

template <int kMost>
CodesTry<kMost> best_of(const GroupFloats& group) {
  using Try = CodesTry<kMost>;
  const float range = group.high - group.low;
  Try best(group, range / kMost, -group.low);
  for (const Start& start : kStarts) {
    const float part = 1 - start.low_cut - start.high_cut;
    const Try tried(group, part * range / (kMost - start.fewer_steps),
                    -(group.low + start.low_cut * range));
    const Try fitted = tried.fitted(group);
    if (tried.error < best.error) best = tried;
    if (fitted.error < best.error) best = fitted;
  }
  constexpr int kMostFits = 4;  // further ones find hardly anything
  for (int i = 0; i < kMostFits; ++i) {
    const Try fitted = best.fitted(group);
    if (!(fitted.error < best.error)) break;
    best = fitted;
  }
  return best;
}

void s8_groups_to_floats(const void* row, int64_t k, float* to) {
  const auto* groups = static_cast<const S8Group*>(row);
  for (int64_t g = 0; g < groups_in(k); ++g) {
    const float scale = widen_f16(groups[g].scale);
    const int64_t n = std::min(kGroupSize, k - g * kGroupSize);
    for (int64_t i = 0; i < n; ++i) *to++ = static_cast<float>(groups[g].codes[i]) * scale;
  }
}

void s6_groups_to_floats(const void* row, int64_t k, float* to) {
  const auto* groups = static_cast<const S6Group*>(row);
  for (int64_t i = 0; i < k; ++i) {
    const S6Group& group = groups[i / kGroupSize];
    const int64_t at = i % kGroupSize;
    *to++ = static_cast<float>(group.code(at) - kS6Offset) * widen_f16(group.scales[at / 16]);
  }
}

// U5Group or U4Group.
template <typename Group>
void min_groups_to_floats(const void* row, int64_t k, float* to) {
  const auto* groups = static_cast<const Group*>(row);
  for (int64_t g = 0; g < groups_in(k); ++g) {
    const float scale = widen_f16(groups[g].scale), min = widen_f16(groups[g].min);
    const int64_t n = std::min(kGroupSize, k - g * kGroupSize);
    for (int64_t i = 0; i < n; ++i) {
      const float product = static_cast<float>(groups[g].code(i)) * scale;
      *to++ = product - min;
    }
  }
}

// The codes of n floats of which the largest magnitude is `most` times the scale; 0 for a scale
// that is none.
void nearest_codes(const float* x, int64_t n, float scale, float most, float* codes) {
  for (int64_t i = 0; i < n; ++i) {
    const float code = scale > 0 ? std::nearbyint(x[i] / scale) : 0.0f;
    codes[i] = std::min(std::max(code, -most), most);
  }
}

void floats_to_s8_groups(const float* from, int64_t k, void* row) {
  auto* groups = static_cast<S8Group*>(row);
  for (int64_t g = 0; g < groups_in(k); ++g) {
    const GroupFloats group(from, k, g);
    S8Group& to = groups[g];
    const float most = std::max(group.high, -group.low);
    to = {};
    to.scale = group.finite ? f16_not_below(most / 127.0f) : kNanF16;
    float codes[kGroupSize];
    nearest_codes(group.x, group.n, widen_f16(to.scale), 127.0f, codes);
    for (int64_t i = 0; i < group.n; ++i) to.codes[i] = static_cast<int8_t>(codes[i]);
  }
}

void floats_to_s6_groups(const float* from, int64_t k, void* row) {
  auto* groups = static_cast<S6Group*>(row);
  for (int64_t g = 0; g < groups_in(k); ++g) {
    const GroupFloats group(from, k, g);
    S6Group& to = groups[g];
    to = {};
    for (int64_t first = 0; first < kGroupSize; first += 16) {
      float most = 0, codes[16];
      for (int64_t i = 0; i < 16; ++i) most = std::max(most, std::fabs(group.x[first + i]));
      uint16_t& scale = to.scales[first / 16];
      scale = group.finite ? f16_not_below(most / 31.0f) : kNanF16;
      nearest_codes(group.x + first, 16, widen_f16(scale), 31.0f, codes);
      for (int64_t i = 0; i < 16; ++i) {
        to.set_code(first + i, static_cast<int>(codes[i]) + kS6Offset);
      }
    }
  }
}

// U5Group or U4Group, whose codes are 0 to kMost.
template <typename Group, int kMost>
void floats_to_min_groups(const float* from, int64_t k, void* row) {
  auto* groups = static_cast<Group*>(row);
  for (int64_t g = 0; g < groups_in(k); ++g) {
    const GroupFloats group(from, k, g);
    Group& to = groups[g];
    to = {};
    to.scale = to.min = kNanF16;
    if (!group.finite || std::max(group.high, -group.low) > kLargestF16 / 2) continue;
    const CodesTry<kMost> best = best_of<kMost>(group);
    to.scale = f16_from_f32(best.scale);
    to.min = f16_from_f32(best.min);
    for (int64_t i = 0; i < group.n; ++i) to.set_code(i, static_cast<int>(best.codes[i]));
  }
}

struct GroupConversion {
  Format format;
  void (*to_floats)(const void* row, int64_t k, float* to);
  void (*from_floats)(const float* from, int64_t k, void* row);
};
constexpr GroupConversion kGroupConversions[] = {
    {Format::kS8Groups, s8_groups_to_floats, floats_to_s8_groups},
    {Format::kS6Groups, s6_groups_to_floats, floats_to_s6_groups},
    {Format::kU5Groups, min_groups_to_floats<U5Group>, floats_to_min_groups<U5Group, 31>},
    {Format::kU4Groups, min_groups_to_floats<U4Group>, floats_to_min_groups<U4Group, 15>},
};

const GroupConversion& group_conversion_of(Format format) {
  for (const GroupConversion& conversion : kGroupConversions) {
    if (conversion.format == format) return conversion;
  }
  fail(Status::kInternal, "rows of %s are not converted", name_of(format));
}

}  // namespace

uint16_t f16_from_f32(float x) {
  const auto sign = static_cast<uint16_t>(std::bit_cast<uint32_t>(x) >> 16 & 0x8000);
  const float magnitude = std::fabs(x);
  if (magnitude < 0x1p-14f) {
    return static_cast<uint16_t>(sign | static_cast<uint16_t>(std::nearbyint(magnitude * 0x1p24f)));
  }
  const uint32_t bits = std::bit_cast<uint32_t>(magnitude);
  const uint32_t rounded =
      (bits + 0xfff + (bits >> 13 & 1)) >> 13;  // a carry may raise the exponent
  if (!(magnitude <= kLargestF16 + 15.0f)) return kNanF16;
  return static_cast<uint16_t>(sign | (rounded - (112u << 10)));
}

void groups_to_floats(Format format, const void* row, int64_t k, float* to) {
  group_conversion_of(format).to_floats(row, k, to);
}

void floats_to_groups(Format format, const float* from, int64_t k, void* row) {
  group_conversion_of(format).from_floats(from, k, row);
}

}  // namespace headlane
