// These checks decide whether a container holds a model that the engine runs. Opening a file calls
// them, and so does conversion before it writes, so that nothing is written that would then be
// refused.
#pragma once

#include <memory>

#include "engine/file/container.h"
#include "engine/file/precision.h"
#include "engine/spec/config.h"
#include "engine/text/tokenizer.h"

namespace headlane {

// All throw Error(kBadFile) that names the field or tensor at fault.

// The config, no larger than the tensors that are there: nothing is allocated by what it says
// alone.
ModelConfig read_config(const Container& container);

// The precision of the file's weights: the lowest of its tensors.
Precision precision_of(const Container& container);

// The tokenizer, whose tokens all have embeddings; null if there is none.
std::unique_ptr<Tokenizer> read_tokenizer(const Container& container, const ModelConfig& config);

// All of it: the two above, and a tensor of the right type and shape for each weight.
void check_model(const Container& container);

}  // namespace headlane
