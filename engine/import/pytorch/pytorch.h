// State dicts of PyTorch's nn.MultiheadAttention, nn.TransformerEncoder(Layer),
// nn.TransformerDecoder(Layer) and nn.Transformer, as safetensors beside a small JSON of the
// module's arguments, into .headlane files of architecture "layers".
#pragma once

#include <string>

#include "engine/import/write/convert_options.h"

namespace headlane {

// The two files: model.safetensors and config.json of a folder, or the only ones of their kinds
// there; or a .safetensors file and the .json of its name, or config.json, beside it.
struct PyTorchFiles {
  std::string weights, config;
};

// Whether `path` is a .safetensors file, or a folder whose JSON has an argument of the modules
// ("d_model", "embed_dim", "nhead", "num_heads") and not Hugging Face's "model_type". Then *files
// is set. Throws Error if it is, and one of the two files cannot be told.
bool find_pytorch_files(const std::string& path, PyTorchFiles* files);

// Throws Error naming the file and the field or tensor at fault.
void convert_pytorch(const PyTorchFiles& files, const std::string& out_path,
                     const ConvertOptions& options);

}  // namespace headlane
