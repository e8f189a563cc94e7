#include "engine/import/convert.h"

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "engine/base/error.h"
#include "engine/file/input_file.h"
#include "engine/import/gguf.h"
#include "engine/import/huggingface.h"
#include "engine/import/pytorch/pytorch.h"
#include "engine/import/source/model_path.h"

namespace headlane {
namespace {

namespace fs = std::filesystem;

// A slip of the hand would put the result in the place of what it is made of.
void refuse_to_replace_source(const std::string& path, const std::string& out_path) {
  std::error_code error;
  if (!fs::is_regular_file(out_path, error)) return;
  const fs::path folder = fs::path(out_path).parent_path();
  if (!fs::equivalent(path, out_path, error) &&
      !fs::equivalent(path, folder.empty() ? "." : folder, error)) {
    return;
  }
  constexpr std::string_view kOurs = "HEADLANE";
  const InputFile file(out_path);
  if (file.bytes() == 0) return;
  const int64_t n = std::min(file.bytes(), static_cast<int64_t>(kOurs.size()));
  if (file.read_text(0, n) == kOurs) return;
  fail(Status::kInvalidArgument,
       "%s: is a file of the model that is to be converted, so it is not replaced",
       out_path.c_str());
}

}  // namespace

void convert_model(const std::string& path, const std::string& out_path,
                   const ConvertOptions& options) {
  refuse_to_replace_source(path, out_path);
  PyTorchFiles files;
  if (find_pytorch_files(path, &files)) return convert_pytorch(files, out_path, options);
  if (is_gguf_file(path)) return convert_gguf(path, out_path, options);
  refuse_other_than_model_folder(path);
  convert_huggingface(path, out_path, options);
}

}  // namespace headlane
