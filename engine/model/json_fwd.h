// Names the JSON value for headers that only pass it on. The library behind it takes seconds to
// compile, so only files that look into a value include json.h.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace headlane {

// Only makes Json a type apart from nlohmann::json, which other code of the program may use too.
template <typename T, typename = void>
struct JsonSerializer;

using Json = nlohmann::basic_json<std::map, std::vector, std::string, bool, std::int64_t,
                                  std::uint64_t, double, std::allocator, JsonSerializer>;

}  // namespace headlane
