// tests/golden/families.json, from which tests/checks/models makes a part of docs/models.md: each
// family has golden models, and what the page says is refused is refused with that sentence.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/api/precision.h"

namespace headlane::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json read_json(const fs::path& path) { return json::parse(std::ifstream(path)); }

class Families : public testing::Test {
 protected:
  Families() {
    for (const json& kind : table_.at("kinds")) {
      for (const std::string folder : kind.at("golden")) find_golden(folder);
    }
  }

  void find_golden(const std::string& folder) {
    for (const auto& entry : fs::directory_iterator(golden_encoder(folder))) {
      if (!entry.is_directory()) continue;
      golden_[read_json(entry.path() / "config.json").at("model_type")].push_back(entry.path());
    }
    for (auto& [type, folders] : golden_) std::sort(folders.begin(), folders.end());
  }

  // The sentence with what the table leaves to the family.
  std::string sentence(std::string text, const json& family) const {
    std::string all;
    for (const json& one : table_.at("families")) {
      all += (all.empty() ? "" : ", ") + one.at("model_type").get<std::string>();
    }
    const std::map<std::string, std::string> places = {{"{all}", all},
                                                       {"{class}", family.at("class")}};
    for (const auto& [place, value] : places) {
      for (size_t at; (at = text.find(place)) != std::string::npos;) {
        text.replace(at, place.size(), value);
      }
    }
    return text;
  }

  const json table_ = read_json(golden_encoder("families.json"));
  std::map<std::string, std::vector<fs::path>> golden_;  // by model_type
};

TEST_F(Families, HaveGoldenModels) {
  std::vector<std::string> listed;
  for (const json& family : table_.at("families")) {
    const std::string type = listed.emplace_back(family.at("model_type"));
    ASSERT_TRUE(golden_.contains(type)) << type;
    const std::string folder = golden_.at(type).front().parent_path().filename();
    EXPECT_GE(golden_.at(type).size(), folder == "encoder_decoder" ? 1u : 3u) << type;
  }
  for (const auto& [type, folders] : golden_) {
    EXPECT_EQ(std::count(listed.begin(), listed.end(), type), 1) << type;
  }
}

TEST_F(Families, RefuseByName) {
  int n_refused = 0;
  for (const json& row : table_.at("refused")) {
    const json& types = row.at("model_types");
    for (const json& family : table_.at("families")) {
      const std::string type = family.at("model_type");
      if (types.is_array() && std::find(types.begin(), types.end(), type) == types.end()) continue;
      SCOPED_TRACE(type + " " + row.at("change").dump());
      const TempDir temp;
      const std::string folder = temp.file("model"), out = temp.file("model.headlane");
      fs::copy(golden_.at(type).front(), folder, fs::copy_options::recursive);
      json config = read_json(folder + "/config.json");
      config.update(row.at("change"));
      write_file(folder + "/config.json", config.dump());
      const headlane_status status = headlane_convert(folder.c_str(), out.c_str(), nullptr);
      EXPECT_TRUE(status == HEADLANE_UNSUPPORTED || status == HEADLANE_BAD_FILE);
      EXPECT_EQ(headlane_error(), folder + "/" + sentence(row.at("sentence"), family));
      EXPECT_FALSE(fs::exists(out));
      ++n_refused;
    }
  }
  EXPECT_GE(n_refused, 50);
}

// Models for a task, when they are taken for their encoder.
TEST_F(Families, SayThatAHeadIsLeftOut) {
  const TempDir temp;
  std::string log;
  headlane_convert_options options = HEADLANE_INIT(headlane_convert_options);
  options.log = [](void* to, headlane_log_level, const char* message) {
    *static_cast<std::string*>(to) += message;
  };
  options.log_user = &log;
  const auto told = [&](const std::string& golden, const std::string& words) {
    log.clear();
    check(headlane_convert(golden_encoder(golden).c_str(), temp.file("m.headlane").c_str(),
                           &options));
    return log.find(words) != std::string::npos;
  };
  EXPECT_TRUE(told("encoders/roberta_masked_lm_old",
                   "config.json field \"architectures\" is of a model ForMaskedLM; the encoder is "
                   "converted, and not that head"))
      << log;
  EXPECT_FALSE(told("encoders/roberta_head_dim_7", "architectures")) << log;
  EXPECT_TRUE(told("language_models/gemma3_images",
                   "config.json: the model takes texts alone; of "
                   "its part for images, 23 tensors are left out"))
      << log;
}

}  // namespace
}  // namespace headlane::test
