// Enums as the names that the .headlane header has for them, and numbers as it writes them.
#pragma once

#include <charconv>
#include <string>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"

namespace headlane {

template <typename Enum>
struct EnumName {
  Enum value;
  const char* name;
};

// Null if the value is none of the enum's.
template <typename Enum, size_t n>
const char* find_name(const EnumName<Enum> (&names)[n], Enum value) {
  for (const auto& entry : names) {
    if (entry.value == value) return entry.name;
  }
  return nullptr;
}

// The value that a field of a file names; otherwise Error(kBadFile) that lists the names.
template <typename Enum, size_t n>
Enum parse_name(const EnumName<Enum> (&names)[n], const Json& object, const char* key,
                const std::string& where) {
  const std::string text = json_string(object, key, where);
  std::string allowed;
  for (const auto& entry : names) {
    if (text == entry.name) return entry.value;
    if (!allowed.empty()) allowed += ", ";
    allowed += entry.name;
  }
  fail(Status::kBadFile, "%s field \"%s\" is \"%s\", not one of: %s", where.c_str(), key,
       printable(text).c_str(), allowed.c_str());
}

// The double whose shortest decimal is that of the float: 1e-12, where a plain conversion would be
// written as 9.999999960041972e-13. It converts back to the same float.
inline double shortest_decimal(float value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  double result = value;
  std::from_chars(text, end, result);
  return result;
}

}  // namespace headlane
