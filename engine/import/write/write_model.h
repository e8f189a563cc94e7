// The end of every conversion.
#pragma once

#include <span>
#include <string>

#include "engine/file/container.h"
#include "engine/file/json.h"
#include "engine/import/write/stored_tensors.h"
#include "engine/spec/config.h"

namespace headlane {

// Writes a .headlane file that the engine opens: what it would refuse is not written, and is found
// before any weight is read. `tokenizer` may be null; `texts` are its tensors. Throws Error as
// check_model, ContainerWriter and StoredTensors::write do.
void write_model(const std::string& path, const ModelConfig& config, const StoredTensors& weights,
                 const Json& tokenizer, std::span<const TensorSource> texts);

}  // namespace headlane
