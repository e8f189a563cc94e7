#include "engine/import/convert.h"

#include "engine/import/gguf.h"
#include "engine/import/huggingface.h"
#include "engine/import/pytorch/pytorch.h"
#include "engine/import/source/model_path.h"

namespace headlane {

void convert_model(const std::string& path, const std::string& out_path,
                   const ConvertOptions& options) {
  PyTorchFiles files;
  if (find_pytorch_files(path, &files)) return convert_pytorch(files, out_path, options);
  if (is_gguf_file(path)) return convert_gguf(path, out_path, options);
  refuse_other_than_model_folder(path);
  convert_huggingface(path, out_path, options);
}

}  // namespace headlane
