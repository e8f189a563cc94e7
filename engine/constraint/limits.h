// These bound the time and the memory that a constraint can take: a hostile one is refused with a
// sentence as soon as it is over one of them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace headlane::constraint_limits {

inline constexpr size_t kTextBytes = size_t{1} << 20;  // of a schema or a regular expression
inline constexpr size_t kExpressions = 1'000'000;      // parts, before repetitions are written out
inline constexpr int kExpressionDepth = 300;
inline constexpr int kSchemaDepth = 300;    // schemas inside schemas, by references too
inline constexpr size_t kNameBytes = 1000;  // of a property where others may stand beside it
inline constexpr size_t kRules = 10'000;
inline constexpr size_t kStates = 400'000;  // of the automaton, after repetitions are written out
inline constexpr int64_t kRepeats = 100'000;
inline constexpr int64_t kEmptyRepeats = 1000;  // of what may be empty
// Rules inside rules in a text: how deep JSON nests. The parser that reads it again has a limit
// too.
inline constexpr int kDepth = 64;
// Steps of the automaton in one call, each of some nanoseconds: a call ends within a few seconds.
inline constexpr size_t kWork = 50'000'000;
// Bytes of sets and masks that are kept; beyond, all are forgotten between two calls. A call may
// take this much more.
inline constexpr size_t kCacheBytes = size_t{96} << 20;

}  // namespace headlane::constraint_limits
