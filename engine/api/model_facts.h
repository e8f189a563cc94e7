// The C API describes a model by a struct of numbers and names, and by JSON.
#pragma once

#include "engine/api/c_api.h"
#include "engine/file/json.h"

namespace headlane::c_api {

// Every member is set. Strings live as long as the model.
headlane_model_facts facts_of(const Model& model);

// The config by its own list of fields (spec/fields.h), what else the model is by facts_of, and
// what facts have no members for.
Json json_of(const headlane_model& handle);

}  // namespace headlane::c_api
