// The architectures of GGUF files, in the terms of Hugging Face: a config.json, and the names that
// the tensors have there. What a family is stays in its own importer.
#pragma once

#include <optional>
#include <string>

#include "engine/file/json.h"
#include "engine/import/gguf/gguf_checkpoint.h"
#include "engine/spec/config.h"

namespace headlane {

struct GgufConfig {
  // The config.json of the folder that the file was made from, as far as the file tells it, token
  // ids with roles included.
  Json fields;
  std::optional<Pooling> pooling;  // nothing: the file does not say it
};

// Gives the checkpoint's tensors their names in that folder. Throws Error: kUnsupported naming an
// architecture, or a field of it, that Headlane does not read; kBadFile.
GgufConfig read_gguf_config(GgufCheckpoint* checkpoint);

}  // namespace headlane
