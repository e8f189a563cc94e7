// JSON from files, which is hostile until checked: a bounded parser, and getters that look at the
// type before the value.
//
// Everything throws Error. Its sentence begins with `where`, which names the thing that holds the
// field: a file ("bert/config.json") or a part of one ("a.headlane: config"), so that it reads
//   a.headlane: config field "n_layers" is a string, not an integer
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/file/json.h"

namespace headlane {

// Stricter than the JSON library: at most 32 levels, 2^22 values, no key twice in an object, no NUL
// bytes; invalid UTF-8 is rejected. Throws Error(kBadFile), or Error(kOutOfMemory).
Json parse_json(std::string_view text, const std::string& where);

// The field, which must exist and be of that type; Error(kBadFile) otherwise, also if `object` is
// not an object. Integers written as 3.0 or outside int64 are not integers.
const Json& json_field(const Json& object, const char* key, const std::string& where);
int64_t json_int(const Json& object, const char* key, const std::string& where);
double json_number(const Json& object, const char* key, const std::string& where);
bool json_bool(const Json& object, const char* key, const std::string& where);
std::string json_string(const Json& object, const char* key, const std::string& where);
std::vector<std::string> json_strings(const Json& object, const char* key,
                                      const std::string& where);

// The same, except that a missing field or a null gives `otherwise`.
int64_t json_int(const Json& object, const char* key, const std::string& where, int64_t otherwise);
bool json_bool(const Json& object, const char* key, const std::string& where, bool otherwise);
std::string json_string(const Json& object, const char* key, const std::string& where,
                        const std::string& otherwise);

// True if the field exists and is not null.
bool json_has(const Json& object, const char* key, const std::string& where);

// Text from a file, made fit for a message: control characters escaped, 80 bytes at most.
std::string printable(std::string_view text);

}  // namespace headlane
