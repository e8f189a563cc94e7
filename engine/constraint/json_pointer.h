// Places in JSON, as schemas refer to them: "/$defs/name" (RFC 6901).
#pragma once

#include <string>
#include <string_view>

#include "engine/chat/value.h"

namespace headlane {

// Null where there is nothing, or the pointer is none. "" is the root.
const chat::Datum* at_pointer(const chat::Datum& root, std::string_view pointer);

// A name as a pointer has it.
std::string pointer_name(std::string_view name);

}  // namespace headlane
