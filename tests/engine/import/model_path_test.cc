// People give these to the converter in place of a model's folder.
#include "engine/import/source/model_path.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "engine/import/convert.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

class ModelPath : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& bytes) {
    std::filesystem::create_directories(std::filesystem::path(dir_.file(name)).parent_path());
    write_file(dir_.file(name), bytes);
    return dir_.file(name);
  }
  void refuse(const std::string& path, Status status, const std::string& words) {
    EXPECT_ERROR(convert_model(path, dir_.file("out"), {}), status, words);
    EXPECT_FALSE(std::filesystem::exists(dir_.file("out")));
  }

  TempDir dir_;
};

TEST_F(ModelPath, FilesOfOtherPrograms) {
  const std::pair<std::string, std::string> files[] = {
      {"model.onnx", "ONNX"},
      {"model.h5", "HDF5"},
      {"model.msgpack", "Flax"},
      {"model.pt", "torch.save, which is a Python pickle"},
      {"model.bin", "torch.save"},
      {"model.pth", "torch.save"},
      {"config.json", "JSON"},
      {"model.headlane", ".headlane file already"},
      {"notes.txt", "is a file, not a folder"}};
  for (const auto& [name, what] : files) {
    const std::string bytes = name == "model.headlane" ? "HEADLANE\1" : "";
    const std::string path = write("files/" + name, bytes);
    refuse(path, Status::kUnsupported, path + ": is ");
    refuse(path, Status::kUnsupported, what);
    refuse(path, Status::kUnsupported, "give the model's folder, which has config.json");
  }
  refuse(write("files/zip", "PK\3\4"), Status::kUnsupported, "torch.save");
  refuse(write("files/pickle", "\x80\2}"), Status::kUnsupported, "torch.save");
  refuse(dir_.file("none"), Status::kIo, "none: there is no such file or folder");
}

TEST_F(ModelPath, FilesOfTheModelAreNotReplaced) {
  namespace fs = std::filesystem;
  for (const char* name : {"bert/head_dim_8_cls", "gguf/qwen2.gguf"}) {
    SCOPED_TRACE(name);
    const std::string source = dir_.file("source");
    fs::copy(std::string(HEADLANE_GOLDEN_DIR "/") + name, source, fs::copy_options::recursive);
    const bool folder = fs::is_directory(source);
    const std::string own = folder ? source + "/model.safetensors" : source;
    const std::string bytes = read_file(own);
    EXPECT_ERROR(convert_model(source, own, {}), Status::kInvalidArgument,
                 own + ": is a file of the model that is to be converted");
    EXPECT_EQ(read_file(own), bytes);
    // The result may stand beside them, and take the place of an earlier one.
    const std::string out = folder ? source + "/model.headlane" : source + ".headlane";
    for (int i = 0; i < 2; ++i) EXPECT_NO_THROW(convert_model(source, out, {}));
    fs::remove_all(source);
  }
}

// A slip in the name of the result, which may also be the other file of two that are read.
TEST_F(ModelPath, NoFileThatIsReadIsReplaced) {
  namespace fs = std::filesystem;
  const auto copy = [&](const std::string& from, const std::string& to) {
    fs::copy(HEADLANE_GOLDEN_DIR "/" + from, dir_.file(to), fs::copy_options::recursive);
  };
  copy("bert/head_dim_8_cls", "folder");
  copy("layers/encoder_pre_norm_final", "module");
  const std::pair<const char*, const char*> pairs[] = {
      {"folder", "folder/1_Pooling/config.json"},
      {"folder", "folder/../folder/config.json"},
      {"module/model.safetensors", "module/config.json"}};
  for (const auto& [source, out] : pairs) {
    const std::string bytes = read_file(dir_.file(out));
    EXPECT_ERROR(convert_model(dir_.file(source), dir_.file(out), {}), Status::kInvalidArgument,
                 std::string(out) + ": is a file of the model that is to be converted");
    EXPECT_EQ(read_file(dir_.file(out)), bytes);
  }
  // What is beside the model is no file of it.
  write("other.json", "{}");
  EXPECT_NO_THROW(convert_model(dir_.file("folder"), dir_.file("folder/../other.json"), {}));
  EXPECT_NO_THROW(
      convert_model(dir_.file("folder"), write("folder/results/m.headlane", "HEADLANE"), {}));
}

TEST_F(ModelPath, FoldersOfTheHubsCache) {
  write("hub/snapshots/0123abc/config.json", "{}");
  refuse(
      dir_.file("hub"), Status::kUnsupported,
      "hub: is a folder of the hub's cache; give the folder of a snapshot, which is the model's: " +
          dir_.file("hub/snapshots/0123abc"));
  write("hub/snapshots/4567def/config.json", "{}");
  refuse(dir_.file("hub"), Status::kUnsupported, dir_.file("hub/snapshots/4567def"));
}

TEST_F(ModelPath, FoldersWithoutAConfig) {
  std::filesystem::create_directories(dir_.file("folder"));
  refuse(dir_.file("folder"), Status::kIo, "folder: has no config.json; give the model's folder");
  write("folder/model-q4_0.gguf", "GGUF");
  refuse(dir_.file("folder"), Status::kUnsupported,
         "folder: has no config.json, and model-q4_0.gguf is a GGUF file");
}

TEST_F(ModelPath, PointersOfGitLfs) {
  const std::string pointer =
      "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 90868376\n";
  const std::string words = " is not the file itself, only a pointer of git-lfs to it";
  refuse(write("model.bin", pointer), Status::kBadFile, "model.bin" + words);
  for (const char* name : {"config.json", "modules.json"}) {
    write("folder/config.json", R"({"model_type": "bert"})");
    refuse(std::filesystem::path(write(std::string("folder/") + name, pointer)).parent_path(),
           Status::kBadFile, name + words);
    std::filesystem::remove(dir_.file(std::string("folder/") + name));
  }
  for (const char* name : {"tokenizer.json", "vocab.txt", "tokenizer_config.json"}) {
    write("folder/config.json", R"({"model_type": "bert"})");
    write("folder/vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n");
    write(std::string("folder/") + name, pointer);
    refuse(dir_.file("folder"), Status::kBadFile, name + words);
    std::filesystem::remove(dir_.file(std::string("folder/") + name));
  }
}

}  // namespace
}  // namespace headlane
