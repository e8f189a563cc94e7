#include "engine/import/source/gguf_types.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "engine/file/weight_groups.h"
#include "engine/import/source/safetensors.h"

namespace headlane {
namespace {

// IQ4's sixteen values, and those of MXFP4, which are twice those of FP4 (E2M1).
constexpr std::array<int8_t, 16> kIq4 = {-127, -104, -83, -65, -49, -35, -22, -10,
                                         1,    13,   25,  38,  53,  69,  89,  113};
constexpr std::array<int8_t, 16> kMxfp4 = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

template <typename T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

float half(const std::byte* from) { return f32_from_f16(load<uint16_t>(from)); }
int byte_at(const std::byte* from, int64_t i) { return std::to_integer<int>(from[i]); }

void widen_f32(const std::byte* from, float* to) { *to = load<float>(from); }
void widen_f16(const std::byte* from, float* to) { *to = half(from); }
void widen_bf16(const std::byte* from, float* to) { *to = f32_from_bf16(load<uint16_t>(from)); }
void widen_f64(const std::byte* from, float* to) { *to = static_cast<float>(load<double>(from)); }

void widen_q8_0(const std::byte* from, float* to) {
  const float scale = half(from);
  for (int i = 0; i < 32; ++i) to[i] = static_cast<float>(load<int8_t>(from + 2 + i)) * scale;
}

// Code i of 32: the low halves of 16 bytes are the first 16, the high halves the others.
int nibble_of_32(const std::byte* codes, int i) {
  return i < 16 ? byte_at(codes, i) & 15 : byte_at(codes, i - 16) >> 4;
}

void widen_q4_0(const std::byte* from, float* to) {
  const float scale = half(from);
  for (int i = 0; i < 32; ++i) to[i] = scale * static_cast<float>(nibble_of_32(from + 2, i) - 8);
}

void widen_q4_1(const std::byte* from, float* to) {
  const float scale = half(from), least = half(from + 2);
  for (int i = 0; i < 32; ++i) {
    const float product = scale * static_cast<float>(nibble_of_32(from + 4, i));
    to[i] = product + least;
  }
}

// The fifth bit of code i is bit i of a word in front of the other four bits of all.
int code_of_5(const std::byte* from, int i) {
  const auto high = static_cast<int>(load<uint32_t>(from) >> i & 1);
  return nibble_of_32(from + 4, i) | high << 4;
}

void widen_q5_0(const std::byte* from, float* to) {
  const float scale = half(from);
  for (int i = 0; i < 32; ++i) to[i] = scale * static_cast<float>(code_of_5(from + 2, i) - 16);
}

void widen_q5_1(const std::byte* from, float* to) {
  const float scale = half(from), least = half(from + 2);
  for (int i = 0; i < 32; ++i) {
    const float product = scale * static_cast<float>(code_of_5(from + 4, i));
    to[i] = product + least;
  }
}

void widen_iq4_nl(const std::byte* from, float* to) {
  const float scale = half(from);
  for (int i = 0; i < 32; ++i) {
    to[i] = scale * static_cast<float>(kIq4[static_cast<size_t>(nibble_of_32(from + 2, i))]);
  }
}

// The scale is half of a power of two, whose biased exponent is the first byte.
float mxfp4_scale(const std::byte* from) {
  const auto exponent = static_cast<uint32_t>(byte_at(from, 0));
  return std::bit_cast<float>(exponent < 2 ? 0x00200000U << exponent : (exponent - 1) << 23);
}

int mxfp4_code(const std::byte* from, int i) {
  return kMxfp4[static_cast<size_t>(nibble_of_32(from + 1, i))];
}

void widen_mxfp4(const std::byte* from, float* to) {
  for (int i = 0; i < 32; ++i) to[i] = mxfp4_scale(from) * static_cast<float>(mxfp4_code(from, i));
}

// The scale and the minimum of each 32 of a block of 256, of six bits each, in twelve bytes: those
// of the first four 32 have bytes of their own, whose two high bits belong to the last four.
struct ScaleAndMin {
  int scale, min;
};
ScaleAndMin scale_and_min(const std::byte* packed, int i) {
  if (i < 4) return {byte_at(packed, i) & 63, byte_at(packed, i + 4) & 63};
  const int low = byte_at(packed, i + 4);
  return {(low & 15) | byte_at(packed, i - 4) >> 6 << 4, low >> 4 | byte_at(packed, i) >> 6 << 4};
}

// 256 codes with such scales; `code` gives code j of the 32 that are number i.
template <typename Code>
void widen_k(const std::byte* from, float* to, Code code) {
  const float scale = half(from), min = half(from + 2);
  for (int i = 0; i < 8; ++i) {
    const ScaleAndMin own = scale_and_min(from + 4, i);
    const float d = scale * static_cast<float>(own.scale), m = min * static_cast<float>(own.min);
    for (int j = 0; j < 32; ++j) {
      const float product = d * static_cast<float>(code(i, j));
      to[32 * i + j] = product - m;
    }
  }
}

// Each 32 bytes have two groups of 32 codes: in their low halves, and in their high ones.
int nibble_of_256(const std::byte* codes, int i, int j) {
  return byte_at(codes, i / 2 * 32 + j) >> i % 2 * 4 & 15;
}

void widen_q4_k(const std::byte* from, float* to) {
  widen_k(from, to, [&](int i, int j) { return nibble_of_256(from + 16, i, j); });
}

int code_of_q5_k(const std::byte* from, int i, int j) {
  return nibble_of_256(from + 48, i, j) | (byte_at(from + 16, j) >> i & 1) << 4;
}

void widen_q5_k(const std::byte* from, float* to) {
  widen_k(from, to, [&](int i, int j) { return code_of_q5_k(from, i, j); });
}

// 128 bytes of low halves, 64 of the two high bits, 16 scales of 16 codes each, and their scale.
int code_of_q6_k(const std::byte* from, int i) {
  const std::byte *low = from, *high = from + 128;
  const int of_128 = i / 128, in_128 = i % 128;
  const int four = byte_at(low, 64 * of_128 + in_128 % 64) >> in_128 / 64 * 4 & 15;
  const int two = byte_at(high, 32 * of_128 + in_128 % 32) >> in_128 / 32 * 2 & 3;
  return four | two << 4;
}
float scale_of_q6_k(const std::byte* from, int i) {
  return half(from + 208) * static_cast<float>(load<int8_t>(from + 192 + i));
}

void widen_q6_k(const std::byte* from, float* to) {
  for (int i = 0; i < 256; ++i) {
    to[i] = scale_of_q6_k(from, i / 16) * static_cast<float>(code_of_q6_k(from, i) - 32);
  }
}

// Eight scales of six bits: four low bits each in four bytes, the two high ones of all in a word.
float iq4_xs_scale(const std::byte* from, int i) {
  const int low = byte_at(from + 4, i / 2) >> i % 2 * 4 & 15;
  const int high = load<uint16_t>(from + 2) >> 2 * i & 3;
  return half(from) * static_cast<float>((low | high << 4) - 32);
}

void widen_iq4_xs(const std::byte* from, float* to) {
  for (int i = 0; i < 8; ++i) {
    const float own = iq4_xs_scale(from, i);
    for (int j = 0; j < 32; ++j) {
      const int code = nibble_of_32(from + 8 + 16 * i, j);
      to[32 * i + j] = own * static_cast<float>(kIq4[static_cast<size_t>(code)]);
    }
  }
}

using kernels::Format;
using kernels::kGroupSize;
using kernels::S6Group;
using kernels::S8Group;
using kernels::U4Group;
using kernels::U5Group;

// Q8_0 has a group's scale and codes as they are.
void q8_0_to_groups(const std::byte* from, std::byte* to) {
  std::memcpy(to, from, sizeof(S8Group));
}

// Codes are the same halves of the same bytes; eight scales are the minimum.
void q4_0_to_groups(const std::byte* from, std::byte* to) {
  U4Group group;
  group.scale = load<uint16_t>(from);
  group.min = f16_from_f32(8 * half(from));
  std::memcpy(group.codes, from + 2, sizeof group.codes);
  std::memcpy(to, &group, sizeof group);
}

// The minimum is the addend of the codes with the other sign.
void q4_1_to_groups(const std::byte* from, std::byte* to) {
  U4Group group;
  group.scale = load<uint16_t>(from);
  group.min = load<uint16_t>(from + 2) ^ 0x8000;
  std::memcpy(group.codes, from + 4, sizeof group.codes);
  std::memcpy(to, &group, sizeof group);
}

void q4_k_to_groups(const std::byte* from, std::byte* to) {
  const float scale = half(from), min = half(from + 2);
  for (int i = 0; i < 8; ++i) {
    const ScaleAndMin own = scale_and_min(from + 4, i);
    U4Group group;
    group.scale = f16_from_f32(scale * static_cast<float>(own.scale));
    group.min = f16_from_f32(min * static_cast<float>(own.min));
    for (int j = 0; j < 16; ++j) {
      group.codes[j] = static_cast<uint8_t>(nibble_of_256(from + 16, i, j) |
                                            nibble_of_256(from + 16, i, j + 16) << 4);
    }
    std::memcpy(to + i * static_cast<int>(sizeof group), &group, sizeof group);
  }
}

// Sixteen scales are the minimum, as of Q4_0.
void q5_0_to_groups(const std::byte* from, std::byte* to) {
  U5Group group = {};
  group.scale = load<uint16_t>(from);
  group.min = f16_from_f32(16 * half(from));
  for (int i = 0; i < kGroupSize; ++i) group.set_code(i, code_of_5(from + 2, i));
  std::memcpy(to, &group, sizeof group);
}

void q5_1_to_groups(const std::byte* from, std::byte* to) {
  U5Group group = {};
  group.scale = load<uint16_t>(from);
  group.min = load<uint16_t>(from + 2) ^ 0x8000;
  for (int i = 0; i < kGroupSize; ++i) group.set_code(i, code_of_5(from + 4, i));
  std::memcpy(to, &group, sizeof group);
}

void q5_k_to_groups(const std::byte* from, std::byte* to) {
  const float scale = half(from), min = half(from + 2);
  for (int i = 0; i < 8; ++i) {
    const ScaleAndMin own = scale_and_min(from + 4, i);
    U5Group group = {};
    group.scale = f16_from_f32(scale * static_cast<float>(own.scale));
    group.min = f16_from_f32(min * static_cast<float>(own.min));
    for (int j = 0; j < kGroupSize; ++j) group.set_code(j, code_of_q5_k(from, i, j));
    std::memcpy(to + i * static_cast<int>(sizeof group), &group, sizeof group);
  }
}

void q6_k_to_groups(const std::byte* from, std::byte* to) {
  for (int i = 0; i < 8; ++i) {
    S6Group group = {};
    for (int half = 0; half < 2; ++half) {
      group.scales[half] = f16_from_f32(scale_of_q6_k(from, 2 * i + half));
    }
    for (int j = 0; j < kGroupSize; ++j) group.set_code(j, code_of_q6_k(from, 32 * i + j));
    std::memcpy(to + i * static_cast<int>(sizeof group), &group, sizeof group);
  }
}

// 32 codes of 8 bits; `code` gives code i.
template <typename Code>
void to_s8_group(uint16_t scale, Code code, std::byte* to) {
  S8Group group;
  group.scale = scale;
  for (int i = 0; i < kGroupSize; ++i) group.codes[i] = static_cast<int8_t>(code(i));
  std::memcpy(to, &group, sizeof group);
}

int iq4_of(const std::byte* codes, int i) {
  return kIq4[static_cast<size_t>(nibble_of_32(codes, i))];
}

void iq4_nl_to_groups(const std::byte* from, std::byte* to) {
  to_s8_group(
      load<uint16_t>(from), [&](int i) { return iq4_of(from + 2, i); }, to);
}

void iq4_xs_to_groups(const std::byte* from, std::byte* to) {
  for (int i = 0; i < 8; ++i) {
    const uint16_t scale = f16_from_f32(iq4_xs_scale(from, i));
    to_s8_group(
        scale, [&](int j) { return iq4_of(from + 8 + 16 * i, j); },
        to + i * static_cast<int>(sizeof(S8Group)));
  }
}

// Codes are from -12 to 12, so twelve scales are the minimum. Codes of a scale below the least f16
// are rounded to that one's; a block whose minimum is above the largest f16 is quantised again.
void mxfp4_to_groups(const std::byte* from, std::byte* to) {
  constexpr float kLeast = 0x1p-24F, kLargest = 0x1p12F;
  constexpr int kMost = 12;
  const float own = mxfp4_scale(from), scale = std::max(own, kLeast);
  U5Group group = {};
  if (own > kLargest) {
    float values[kGroupSize];
    widen_mxfp4(from, values);
    floats_to_groups(Format::kU5Groups, values, kGroupSize, &group);
  } else {
    group.scale = f16_from_f32(scale);
    group.min = f16_from_f32(kMost * scale);
    for (int i = 0; i < kGroupSize; ++i) {
      const float code = std::nearbyint(static_cast<float>(mxfp4_code(from, i)) * (own / scale));
      group.set_code(i, static_cast<int>(code) + kMost);
    }
  }
  std::memcpy(to, &group, sizeof group);
}

constexpr GgufType kGgufTypes[] = {
    {0, "F32", 1, 4, widen_f32},
    {1, "F16", 1, 2, widen_f16},
    {2, "Q4_0", 32, 18, widen_q4_0, Format::kU4Groups, q4_0_to_groups},
    {3, "Q4_1", 32, 20, widen_q4_1, Format::kU4Groups, q4_1_to_groups},
    {6, "Q5_0", 32, 22, widen_q5_0, Format::kU5Groups, q5_0_to_groups},
    {7, "Q5_1", 32, 24, widen_q5_1, Format::kU5Groups, q5_1_to_groups},
    {8, "Q8_0", 32, 34, widen_q8_0, Format::kS8Groups, q8_0_to_groups},
    {9, "Q8_1", 32, 36, nullptr},
    {10, "Q2_K", 256, 84, nullptr},
    {11, "Q3_K", 256, 110, nullptr},
    {12, "Q4_K", 256, 144, widen_q4_k, Format::kU4Groups, q4_k_to_groups},
    {13, "Q5_K", 256, 176, widen_q5_k, Format::kU5Groups, q5_k_to_groups},
    {14, "Q6_K", 256, 210, widen_q6_k, Format::kS6Groups, q6_k_to_groups},
    {15, "Q8_K", 256, 292, nullptr},
    {16, "IQ2_XXS", 256, 66, nullptr},
    {17, "IQ2_XS", 256, 74, nullptr},
    {18, "IQ3_XXS", 256, 98, nullptr},
    {19, "IQ1_S", 256, 50, nullptr},
    {20, "IQ4_NL", 32, 18, widen_iq4_nl, Format::kS8Groups, iq4_nl_to_groups},
    {21, "IQ3_S", 256, 110, nullptr},
    {22, "IQ2_S", 256, 82, nullptr},
    {23, "IQ4_XS", 256, 136, widen_iq4_xs, Format::kS8Groups, iq4_xs_to_groups},
    {24, "I8", 1, 1, nullptr},
    {25, "I16", 1, 2, nullptr},
    {26, "I32", 1, 4, nullptr},
    {27, "I64", 1, 8, nullptr},
    {28, "F64", 1, 8, widen_f64},
    {29, "IQ1_M", 256, 56, nullptr},
    {30, "BF16", 1, 2, widen_bf16},
    {34, "TQ1_0", 256, 54, nullptr},
    {35, "TQ2_0", 256, 66, nullptr},
    {39, "MXFP4", 32, 17, widen_mxfp4, Format::kU5Groups, mxfp4_to_groups},
};

constexpr bool blocks_fit() {
  for (const GgufType& type : kGgufTypes) {
    if (type.block > kGgufMostBlock || type.block_bytes > kGgufMostBlockBytes) return false;
  }
  return true;
}
static_assert(blocks_fit());

}  // namespace

const GgufType* find_gguf_type(uint32_t id) {
  for (const GgufType& type : kGgufTypes) {
    if (type.id == id) return &type;
  }
  return nullptr;
}

}  // namespace headlane
