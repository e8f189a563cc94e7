// Finds the two files that a PyTorch module lies in, and says whether a path is one at all.
#include <filesystem>

#include "engine/base/error.h"
#include "engine/file/json.h"
#include "engine/import/pytorch/pytorch.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

namespace fs = std::filesystem;
using json = Json;

// The file of the folder that has the usual name, or else the only one with its extension; "" if
// there is none or several.
std::string find_file(const fs::path& dir, const char* usual, const char* extension) {
  if (file_exists((dir / usual).string())) return (dir / usual).string();
  std::string found;
  std::error_code error;
  for (fs::directory_iterator at(dir, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() != extension) continue;
    if (!found.empty()) return "";
    found = at->path().string();
  }
  return found;
}

bool is_hugging_face(const std::string& config_path) {
  const json config = read_json_file(config_path);
  return config.is_object() && json_has(config, "model_type", config_path);
}

// The JSON beside a file of weights that was named itself.
PyTorchFiles files_of_weights(const fs::path& weights) {
  const std::string own = fs::path(weights).replace_extension(".json").string();
  const std::string usual = (weights.parent_path() / "config.json").string();
  const std::string& config = file_exists(own) ? own : usual;
  if (!file_exists(config)) {
    fail(Status::kIo, "%s: the module's arguments are neither in %s nor in %s", weights.c_str(),
         own.c_str(), usual.c_str());
  }
  if (is_hugging_face(config)) {
    fail(Status::kUnsupported, "%s: %s is a Hugging Face model's, which is converted by its folder",
         weights.c_str(), config.c_str());
  }
  return {weights.string(), config};
}

}  // namespace

bool find_pytorch_files(const std::string& path, PyTorchFiles* files) {
  const fs::path p = path;
  std::error_code error;
  if (!fs::is_directory(p, error)) {
    if (p.extension() != ".safetensors") return false;
    *files = files_of_weights(p);
    return true;
  }
  *files = {find_file(p, "model.safetensors", ".safetensors"),
            find_file(p, "config.json", ".json")};
  if (files->config.empty()) return false;
  const json config = read_json_file(files->config);
  const auto has = [&](const char* key) {
    return config.is_object() && json_has(config, key, files->config);
  };
  const bool is_module = has("nhead") || has("num_heads") || has("d_model") || has("embed_dim");
  if (!is_module || has("model_type")) return false;
  if (files->weights.empty()) {
    fail(Status::kBadFile, "%s: has no model.safetensors, and not just one other .safetensors file",
         path.c_str());
  }
  return true;
}

}  // namespace headlane
