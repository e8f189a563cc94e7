// Other people's formats into .headlane files: which importer a path is for.
#pragma once

#include <string>

#include "engine/import/write/convert_options.h"

namespace headlane {

// `path`: a Hugging Face folder, a GGUF file of llama.cpp, or a PyTorch module's state dict
// (engine/import/pytorch/pytorch.h). Throws Error naming the file and field at fault.
void convert_model(const std::string& path, const std::string& out_path,
                   const ConvertOptions& options);

}  // namespace headlane
