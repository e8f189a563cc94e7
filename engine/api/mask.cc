#include "engine/api/mask.h"

namespace headlane::c_api {

Next next_of(headlane_next next) {
  switch (next) {
    case HEADLANE_GO_ON:
      return Next::kGoOn;
    case HEADLANE_STOP_SOURCE:
      return Next::kStopSource;
    default:
      return Next::kStopAll;
  }
}

FillMask read_mask(headlane_mask_tokens mask_tokens, void* user, int64_t vocab_size) {
  if (mask_tokens == nullptr) return nullptr;
  return [=](const MaskRequest& request) {
    const headlane_token_mask mask = {
        .struct_size = sizeof mask,
        .number = request.number,
        .ids = request.ids.data(),
        .n_ids = static_cast<int64_t>(request.ids.size()),
        .n_new = request.n_new,
        .vocab_size = vocab_size,
        .mask = request.mask.data(),
    };
    return next_of(mask_tokens(user, &mask));
  };
}

}  // namespace headlane::c_api
