// Masks of the C API's callbacks, for generators and for sequences.
#pragma once

#include "engine/generate/token_mask.h"
#include "headlane/generate.h"

namespace headlane::c_api {

// Asks the callback; null where there is none. `vocab_size`: of the decoder.
FillMask read_mask(headlane_mask_tokens mask_tokens, void* user, int64_t vocab_size);

// A callback's answer; any number that the enum does not have is kStopAll.
Next next_of(headlane_next next);

}  // namespace headlane::c_api
