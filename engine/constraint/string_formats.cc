#include "engine/constraint/string_formats.h"

#include <algorithm>
#include <iterator>

#include "engine/base/error.h"
#include "engine/constraint/pattern.h"

namespace headlane {
namespace {

// Years from 0001 on; leap years are those that 4 divides, and of hundreds those that 400 divides.
#define YEAR "(?:\\d{3}[1-9]|\\d{2}[1-9]0|\\d[1-9]00|[1-9]000)"
#define LEAP_YEAR "(?:\\d{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
#define DATE                                                                   \
  "(?:" YEAR                                                                   \
  "-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|" \
  "(?:0[13578]|1[02])-31)|" LEAP_YEAR "-02-29)"
#define TIME \
  "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,6})?(?:Z|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)"
#define OCTET "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"

struct Format {
  const char* name;
  const char* pattern;
};
constexpr Format kFormats[] = {
    {"date", "^" DATE "$"},
    {"time", "^" TIME "$"},
    {"date-time", "^" DATE "T" TIME "$"},
    {"uuid", "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
    {"ipv4", "^" OCTET "(?:\\." OCTET "){3}$"},
};

#undef YEAR
#undef LEAP_YEAR
#undef DATE
#undef TIME
#undef OCTET

}  // namespace

ExpressionId string_format(std::string_view name, const std::string& where,
                           Expressions* expressions) {
  const auto* const known =
      std::ranges::find_if(kFormats, [&](const Format& format) { return name == format.name; });
  if (known == std::end(kFormats)) {
    fail(Status::kUnsupported,
         "%s: \"%.*s\" is a format that Headlane does not have; it has date, time, date-time, uuid "
         "and ipv4",
         where.c_str(), static_cast<int>(std::min<size_t>(name.size(), 100)), name.data());
  }
  return string_pattern(known->pattern, where, expressions);
}

// JavaScript's dot leaves out more line ends than Python's, so all of these are left out.
ExpressionId string_pattern(std::string_view pattern, const std::string& where,
                            Expressions* expressions) {
  PatternUse use;
  use.spell = json_of;
  use.searches = true;
  use.line_ends = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};
  return parse_pattern(pattern, use, where, expressions);
}

}  // namespace headlane
