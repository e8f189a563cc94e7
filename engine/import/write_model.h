// The end of every conversion.
#pragma once

#include <span>
#include <string>

#include "engine/model/config.h"
#include "engine/model/container.h"
#include "engine/model/json.h"

namespace headlane {

// Writes a .headlane file that the engine opens: what it would refuse is not written. `tokenizer`
// may be null. Throws Error as check_model and write_container do.
void write_model(const std::string& path, const ModelConfig& config, const Json& tokenizer,
                 std::span<const TensorSource> tensors);

}  // namespace headlane
