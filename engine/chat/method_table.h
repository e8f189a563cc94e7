// Methods of values by their names.
#pragma once

#include <algorithm>
#include <span>
#include <string>

#include "engine/chat/value.h"
#include "engine/chat/work.h"

namespace headlane::chat {

using Method = Datum (*)(const Datum& self, const Arguments& arguments, Work* work);

struct NamedMethod {
  const char* name;
  Method method;
};

// Null: there is none of the name.
inline Method find_named(std::span<const NamedMethod> methods, const std::string& name) {
  const auto found = std::find_if(methods.begin(), methods.end(),
                                  [&](const NamedMethod& method) { return name == method.name; });
  return found == methods.end() ? nullptr : found->method;
}

std::span<const NamedMethod> text_methods();

}  // namespace headlane::chat
