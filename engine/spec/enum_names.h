// Enums as the names that the .headlane header has for them.
#pragma once

#include <cstddef>

namespace headlane {

template <typename Enum>
struct EnumName {
  Enum value;
  const char* name;
};

// "unknown" if the value is none of the enum's.
template <typename Enum, size_t n>
const char* find_name(const EnumName<Enum> (&names)[n], Enum value) {
  for (const auto& entry : names) {
    if (entry.value == value) return entry.name;
  }
  return "unknown";
}

}  // namespace headlane
