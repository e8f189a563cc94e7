// The user of an importer chooses these.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/base/log.h"
#include "engine/file/precision.h"
#include "engine/spec/config.h"

namespace headlane {

struct ConvertOptions {
  // The precision of the weights in the file; none: f32, or, of a GGUF file, what its types are
  // nearest to.
  std::optional<Precision> precision;
  // Products to keep in bf16 where others are int8, and in int8g where they are int4; none: the
  // importer's choice.
  std::optional<std::vector<std::string>> higher_precision;
  std::optional<Pooling> pooling;  // of a model that turns texts into vectors; none: the folder's
  Log log;                         // told what was assumed where the folder does not say it
};

}  // namespace headlane
