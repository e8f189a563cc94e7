#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace headlane {

// The bytes that base64 text stands for; nothing if it is not base64.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace headlane
