// Finds the class of transformers that a folder's model is of.
#pragma once

#include <string>

#include "engine/file/json.h"

namespace headlane {

// Throws Error(kUnsupported) if config.json, at `path`, says that the model is of a class whose
// name does not begin with `family` ("XLMRoberta"), or of one that is Python code of the folder's
// own: what such a class computes is not known, even where "model_type" and the tensors are a
// family's.
// `own_module`: of families that transformers does not have, the Python module in which their
// makers publish a class that is known; null: there is none.
void check_class(const Json& config, const std::string& path, const std::string& family,
                 const char* own_module = nullptr);

}  // namespace headlane
