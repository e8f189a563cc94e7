#include "engine/import/convert.h"

#include "engine/import/gguf.h"
#include "engine/import/huggingface.h"
#include "engine/import/pytorch/pytorch.h"
#include "engine/import/source/model_path.h"
#include "engine/import/source/own_files.h"

namespace headlane {

void convert_model(const std::string& path, const std::string& out_path,
                   const ConvertOptions& options) {
  refuse_to_replace(path, out_path);
  PyTorchFiles files;
  if (find_pytorch_files(path, &files)) {
    refuse_to_replace(files.weights, out_path);
    refuse_to_replace(files.config, out_path);
    return convert_pytorch(files, out_path, options);
  }
  if (is_gguf_file(path)) return convert_gguf(path, out_path, options);
  refuse_other_than_model_folder(path);
  convert_huggingface(path, out_path, options);
}

}  // namespace headlane
