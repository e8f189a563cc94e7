// The instruction sets that there are kernels for, as tests are run on each.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include "kernels/isa/isas.h"

namespace headlane::test {

template <size_t N>
constexpr std::array<const char*, N> isas_with_own(std::string_view precision) {
  std::array<const char*, N> names = {};
  size_t n = 0;
  for (const kernels::Isa& isa : kernels::kIsas) {
    if (precision.empty() || isa.has_own(precision)) names[n++] = isa.name;
  }
  return names;
}

// Slowest first.
inline constexpr auto kIsas = isas_with_own<kernels::kIsas.size()>("");
// The sets with kernels of floats of their own.
inline constexpr auto kFloatIsas = isas_with_own<std::ranges::count_if(
    kernels::kIsas, [](const kernels::Isa& isa) { return isa.has_own("f32"); })>("f32");

// Whether models of a precision run with other kernels on `isa` than on the one before it. Where
// they do not, what takes long need not be computed again.
constexpr bool has_kernels_of_its_own(std::string_view isa, std::string_view precision) {
  return std::ranges::any_of(kernels::kIsas, [=](const kernels::Isa& known) {
    return known.name == isa && known.has_own(precision);
  });
}

}  // namespace headlane::test
