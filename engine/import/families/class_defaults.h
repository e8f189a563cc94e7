// Where config.json does not say a field, the class of transformers that reads it does.
#pragma once

#include "engine/file/json.h"

namespace headlane {

// The config with the fields that its file lacks, as the class of its "model_type" has them. A
// field that is null stays null. Configs of other types are returned as they are.
Json with_class_defaults(Json config);

}  // namespace headlane
