// A golden encoder-decoder's folder, to be changed in one place and converted.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/file/container.h"
#include "engine/import/convert.h"
#include "engine/import/source/safetensors.h"
#include "engine/spec/config.h"
#include "tests/support/expect_error.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_dir.h"

namespace headlane {

// Appended to, since gcc 12 sees an overlap in the insertion that "a" + std::string() is.
inline std::string quoted(const std::string& name) {
  std::string result = "\"";
  return result.append(name).append("\"");
}

inline std::string golden_folder(const std::string& model) {
  return std::string(HEADLANE_GOLDEN_DIR) + "/encoder_decoder/" + model;
}

// A golden folder's copy, to be changed.
class EncoderDecoderImport : public testing::Test {
 protected:
  void copy(const std::string& model) {
    std::filesystem::remove_all(hf_);
    std::filesystem::create_directory(hf_);
    for (const auto& file : std::filesystem::directory_iterator(golden_folder(model))) {
      const std::string name = file.path().filename().string();
      const bool is_models =
          name.find("config") != std::string::npos || name.find("safetensors") != std::string::npos;
      if (is_models) std::filesystem::copy(file.path(), hf_ + "/" + name);
    }
  }
  void patch(const std::string& name, const nlohmann::json& change) {
    nlohmann::json file = nlohmann::json::parse(read_file(hf_ + "/" + name));
    file.merge_patch(change);  // a null removes the field
    write_file(hf_ + "/" + name, file.dump());
  }
  // Changes the tensors of a model of one file.
  void change_tensors(const std::function<void(std::map<std::string, TestTensor>*)>& change) {
    const std::string path = hf_ + "/model.safetensors";
    std::map<std::string, TestTensor> tensors;
    {
      const SafetensorsFile file(path);
      const std::string bytes = read_file(path);
      for (const auto& [name, entry] : file.entries()) {
        tensors[name] = {
            name, entry.type_name, entry.shape,
            bytes.substr(static_cast<size_t>(entry.offset), static_cast<size_t>(entry.bytes))};
      }
    }
    change(&tensors);
    std::vector<TestTensor> list;
    list.reserve(tensors.size());
    for (const auto& [name, tensor] : tensors)
      list.push_back({name, tensor.dtype, tensor.shape, tensor.data});
    write_file(path, safetensors_bytes(list));
  }

  Container convert(const ConvertOptions& options = {}) {
    convert_model(hf_, out_, options);
    return Container::open(out_);
  }
  ModelConfig convert_config() { return ModelConfig::from_json(convert().config(), out_); }

  // The model's file with the change must be refused, by a sentence with these words after the
  // file's name.
  void refuse(const std::string& model, const std::string& file, const nlohmann::json& change,
              Status status, const std::string& words) {
    copy(model);
    patch(file, change);
    std::filesystem::remove(out_);
    EXPECT_ERROR(convert(), status, file + words);
    EXPECT_FALSE(std::filesystem::exists(out_));
  }
  void refuse_config(const std::string& model, const nlohmann::json& change, Status status,
                     const std::string& words) {
    refuse(model, "config.json", change, status, " field " + words);
  }
  void refuse_generation(const nlohmann::json& change, Status status, const std::string& words) {
    refuse("marian_shared", "generation_config.json", change, status, " field " + words);
  }

  const TempDir dir_;
  const std::string hf_ = dir_.file("hf");
  const std::string out_ = dir_.file("m.headlane");
};

}  // namespace headlane
