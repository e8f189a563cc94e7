// The JSON files of a model folder. The getters (json_int, json_string, ...) are those of
// engine/file/json_fields.h: give them the file's path as `where`.
#pragma once

#include <optional>
#include <string>

#include "engine/file/json.h"
#include "engine/file/json_fields.h"

namespace headlane {

// Throws Error: kIo if the system refuses the file, kBadFile if it is not JSON or is over 256 MiB.
Json read_json_file(const std::string& path);

// The same, but nothing if there is no such file.
std::optional<Json> read_json_file_if_present(const std::string& path);

// True if `path` names anything, also if it cannot be read (so that reading it gives the reason).
bool file_exists(const std::string& path);

}  // namespace headlane
