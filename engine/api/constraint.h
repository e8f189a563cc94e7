// Constraints of the C API, and the masks that they make.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "engine/constraint/constraint.h"
#include "engine/generate/search_options.h"
#include "engine/generate/token_mask.h"
#include "headlane/constraint.h"
#include "headlane/generate.h"

struct headlane_constraint {
  std::shared_ptr<const headlane::Constraint> constraint;
};

namespace headlane::c_api {

// Makes the mask that an answer obeys: a callback's, a constraint's, or none (null). `end_ids` may
// come where a constraint's text is whole, and nowhere else, so that with a constraint `search`
// loses its forced_last_id; its forced_first_id is no part of the text. Throws
// Error(kInvalidArgument) where both are there, or the constraint is of another model, and
// Error(kUnsupported) where the text would begin with an end.
FillMask read_mask_or_constraint(headlane_mask_tokens mask_tokens, void* user,
                                 const headlane_constraint* constraint,
                                 std::span<const int32_t> end_ids, headlane::SearchOptions* search,
                                 const headlane_model& model);

}  // namespace headlane::c_api
