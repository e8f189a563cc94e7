// Where config.json does not say a field, the class of transformers that reads it does.
#pragma once

#include <string>

#include "engine/file/json.h"

namespace headlane {

// Lists the fields that the importer of a family reads, for which the class of that "model_type"
// has more than null, and which the importer does not take for granted otherwise. Each family has
// such a function in its own file.
using ClassDefaults = Json (*)(const std::string& model_type);

// The config with the fields that its file lacks, as `defaults` has them. A field that is null
// stays null. Without defaults, or "model_type", the config is returned as it is.
Json with_class_defaults(Json config, ClassDefaults defaults);

}  // namespace headlane
