// The end of every conversion.
#pragma once

#include <span>
#include <string>

#include "engine/file/container.h"
#include "engine/file/json.h"
#include "engine/spec/config.h"

namespace headlane {

// Writes a .headlane file that the engine opens: what it would refuse is not written. `tokenizer`
// may be null. Throws Error as check_model and write_container do.
void write_model(const std::string& path, const ModelConfig& config, const Json& tokenizer,
                 std::span<const TensorSource> tensors);

}  // namespace headlane
