// Other people's formats into .headlane files: which importer a path is for.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/log.h"
#include "engine/model/config.h"
#include "engine/model/precision.h"

namespace headlane {

struct ConvertOptions {
  Precision precision = Precision::kF32;  // of the weights in the file
  // Products to keep in bf16 where others are int8; none: the importer's choice.
  std::optional<std::vector<std::string>> higher_precision;
  std::optional<Pooling> pooling;  // of a model that turns texts into vectors; none: the folder's
  Log log;                         // told what was assumed where the folder does not say it
};

// `path`: a Hugging Face folder, or a PyTorch module's state dict (engine/import/pytorch.h). Throws
// Error naming the file and field at fault.
void convert_model(const std::string& path, const std::string& out_path,
                   const ConvertOptions& options);

}  // namespace headlane
