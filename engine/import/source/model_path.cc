#include "engine/import/source/model_path.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "engine/file/input_file.h"
#include "engine/import/source/json_file.h"

namespace headlane {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWanted =
    "give the model's folder, which has config.json, model.safetensors and the tokenizer's files";
constexpr const char* kSave =
    "save the model as safetensors, as save_pretrained of transformers does";

constexpr const char* kJsonFile = "one of a model's JSON files";

struct FolderFormat {
  std::string_view begins;  // the file's first bytes; "": any
  std::string_view ends;    // the file's name; "": any
  const char* what;
};
constexpr FolderFormat kFormats[] = {
    {"HEADLANE", "", "a .headlane file already"},
    {"", ".gguf", "a GGUF file, of llama.cpp, which can be given itself"},
    {"", ".onnx", "an ONNX file"},
    {"\x89HDF", "", "an HDF5 file, of Keras"},
    {"", ".h5", "an HDF5 file, of Keras"},
    {"", ".msgpack", "a file of Flax"},
    {"", ".tflite", "a file of TensorFlow Lite"},
    {"", ".bin.index.json", "the index of files of torch.save, which are Python pickles"},
    {"", ".json", kJsonFile},
    {"PK\x03\x04", "", "a file of torch.save, which is a Python pickle"},
    {"\x80\x02", "", "a file of torch.save, which is a Python pickle"},
    {"", ".pt", "a file of torch.save, which is a Python pickle"},
    {"", ".pth", "a file of torch.save, which is a Python pickle"},
    {"", ".bin", "a file of torch.save, which is a Python pickle"},
    {"", ".ckpt", "a checkpoint of a training program's"},
};

const char* name_format(const std::string& path, std::string_view beginning) {
  for (const FolderFormat& format : kFormats) {
    if (beginning.starts_with(format.begins) && path.ends_with(format.ends)) return format.what;
  }
  return nullptr;
}

[[noreturn]] void fail_as_file(const std::string& path) {
  const InputFile file(path);
  refuse_lfs_pointer(file);
  const char* what = name_format(path, file.read_text(0, std::min<int64_t>(file.bytes(), 8)));
  fail(Status::kUnsupported, "%s: is %s; %s", path.c_str(), what ? what : "a file, not a folder",
       kWanted);
}

// Their names, sorted; none if the folder cannot be read.
std::vector<std::string> list_folder(const fs::path& dir) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(dir, error), end; !error && at != end; at.increment(error)) {
    names.push_back(at->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// A folder of the hub's cache, models--NAME--NAME, has the model's folders beneath "snapshots".
void refuse_hub_folder(const std::string& path) {
  const fs::path snapshots = fs::path(path) / "snapshots";
  const std::vector<std::string> names = list_folder(snapshots);
  if (names.empty()) return;
  std::string folders;
  for (const std::string& name : names) {
    folders += (folders.empty() ? "" : ", ") + printable((snapshots / name).string());
  }
  fail(
      Status::kUnsupported,
      "%s: is a folder of the hub's cache; give the folder of a snapshot, which is the model's: %s",
      path.c_str(), folders.c_str());
}

}  // namespace

void refuse_other_than_model_folder(const std::string& path) {
  std::error_code error;
  if (fs::is_regular_file(path, error)) fail_as_file(path);
  if (fs::status(path, error).type() == fs::file_type::not_found) {
    fail(Status::kIo, "%s: there is no such file or folder", path.c_str());
  }
  if (!fs::is_directory(path, error)) return;  // opening its config.json gives the reason
  if (file_exists(path + "/config.json") || file_exists(path + "/modules.json")) return;
  refuse_hub_folder(path);
  for (const std::string& name : list_folder(path)) {
    const char* what = name_format(name, "");
    if (what == nullptr || what == kJsonFile) continue;
    fail(Status::kUnsupported, "%s: has no config.json, and %s is %s; %s", path.c_str(),
         printable(name).c_str(), what, kWanted);
  }
  fail(Status::kIo, "%s: has no config.json; %s", path.c_str(), kWanted);
}

void refuse_adapter(const std::string& dir) {
  constexpr const char* kAdapter = "adapter_config.json";
  if (!file_exists(dir + "/" + kAdapter)) return;
  fail(Status::kUnsupported,
       "%s: has an adapter (%s), which changes the weights; merge it into the model first, and %s",
       dir.c_str(), kAdapter, kSave);
}

void fail_without_weights(const std::string& dir) {
  for (const std::string& name : list_folder(dir)) {
    if (name == "adapter_model.safetensors") {
      fail(Status::kUnsupported,
           "%s: has the weights of an adapter (%s), not of a model; merge them into the model "
           "first, and %s",
           dir.c_str(), name.c_str(), kSave);
    }
    const char* what = name_format(name, "");
    if (what == nullptr || what == kJsonFile) continue;
    fail(Status::kUnsupported, "%s: has no model.safetensors, and %s is %s; %s", dir.c_str(),
         printable(name).c_str(), what, kSave);
  }
  fail(Status::kIo, "%s: has neither model.safetensors nor model.safetensors.index.json",
       dir.c_str());
}

}  // namespace headlane
