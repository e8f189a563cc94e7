// Prompts, pooling and settings of a folder against sentence-transformers, by way of the C++
// classes: tests/golden/sentence_transformers.
#include <filesystem>
#include <headlane/headlane.hpp>
#include <nlohmann/json.hpp>

#include "tests/api/encoder.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const char* const kFolder = HEADLANE_GOLDEN_DIR "/bert/head_dim_17_max_normalize";

json golden() {
  return json::parse(read_file(HEADLANE_GOLDEN_DIR "/sentence_transformers/vectors.json"));
}

class SentenceTransformers : public testing::Test {
 protected:
  // The golden folder with those files in place of its own, and before that those of `on_top`, a
  // folder of modules.
  std::string convert(const json& files, const headlane_convert_options* options = nullptr,
                      const std::string& on_top = "") {
    const std::string folder = dir_.file("hf"), path = dir_.file("m.headlane");
    fs::remove_all(folder);
    fs::copy(kFolder, folder, fs::copy_options::recursive);
    if (!on_top.empty()) {
      fs::copy(HEADLANE_GOLDEN_DIR "/sentence_transformers/" + on_top, folder,
               fs::copy_options::recursive | fs::copy_options::overwrite_existing);
    }
    for (const auto& [name, content] : files.items()) {
      const fs::path file = fs::path(folder) / name;
      fs::remove(file);
      fs::create_directories(file.parent_path());
      if (!content.is_null()) write_file(file.string(), content.dump());
    }
    check(headlane_convert(folder.c_str(), path.c_str(), options));
    return path;
  }

  TempDir dir_;
};

// As the golden test of the folder itself: four times what PyTorch's own float32 is off by, with
// modules behind the transformer by the texts of the case, four times rounding 1 at the least.
TEST_F(SentenceTransformers, VectorsAreTheirs) {
  const json all = golden();
  const double off = json::parse(
      read_file(std::string(kFolder) + "/manifest.json"))["pooled_float32_from_float64"];
  // Without the normalization at the end vectors are as long as hidden states are.
  const double off_unpooled = json::parse(
      read_file(std::string(kFolder) + "/manifest.json"))["hidden_float32_from_float64"];
  ASSERT_GE(all["cases"].size(), 20u);
  const auto texts = all["texts"].get<std::vector<std::string>>();
  for (const json& one : all["cases"]) {
    SCOPED_TRACE(one["name"]);
    const Model model(convert(one["files"], nullptr, one.value("folder", "")));
    Session session(model);
    TokenizeOptions options;
    const std::string given = one.value("prompt", "");
    if (one.contains("prompt")) options.prompt = given.c_str();
    if (one.contains("prompt_name")) {
      options.prompt = model.find_prompt(one["prompt_name"].get<std::string>());
    }
    const std::vector<float> vectors = session.embed(texts, options);
    const size_t d = vectors.size() / texts.size();
    ASSERT_EQ(static_cast<int64_t>(d), model.facts().d_vector);
    ASSERT_EQ(one["vectors"][0].size(), d);
    const double least = one.contains("off") ? std::max(one["off"].get<double>(), 6e-8) : off;
    const double bound = 4 * (model.facts().normalize != 0 ? least : std::max(least, off_unpooled));
    for (size_t i = 0; i < vectors.size(); ++i) {
      ASSERT_NEAR(vectors[i], one["vectors"][i / d][i % d].get<double>(), bound) << i;
    }
  }
}

TEST_F(SentenceTransformers, PromptsOfAModel) {
  const json prompts = {{"query", "the dog: "}, {"passage", "we ran "}};
  const Model model(convert({{"config_sentence_transformers.json",
                              {{"prompts", prompts}, {"default_prompt_name", "query"}}}}));
  EXPECT_EQ(model.facts().n_prompts, 2);
  EXPECT_STREQ(model.facts().default_prompt, "the dog: ");
  EXPECT_STREQ(model.prompt(0).name, "passage");
  EXPECT_STREQ(model.prompt(0).text, "we ran ");
  EXPECT_EQ(model.prompt(0).is_default, 0);
  EXPECT_STREQ(model.prompt(1).name, "query");
  EXPECT_EQ(model.prompt(1).is_default, 1);
  EXPECT_THROW(model.prompt(2), Error);
  EXPECT_THROW(model.prompt(-1), Error);
  EXPECT_STREQ(model.find_prompt("passage"), "we ran ");
  EXPECT_STREQ(model.find_prompt("document"), "") << "as in sentence-transformers";
  try {
    model.find_prompt("title");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), HEADLANE_INVALID_ARGUMENT);
    EXPECT_STREQ(error.what(),
                 "the model has no prompt \"title\"; it has: document, passage, query");
  }
  // Ids are those of the text alone unless a prompt is given.
  TokenizeOptions options;
  EXPECT_EQ(model.tokenize("the dog: we"), [&] {
    options.prompt = model.facts().default_prompt;
    return model.tokenize("we", options);
  }());
  EXPECT_NE(model.tokenize("we"), model.tokenize("we", options));
}

TEST_F(SentenceTransformers, AModelWithoutPrompts) {
  const Model model(convert(json::object()));
  EXPECT_EQ(model.facts().n_prompts, 0);
  EXPECT_STREQ(model.facts().default_prompt, "");
  EXPECT_STREQ(model.find_prompt("query"), "");
  EXPECT_THROW(model.find_prompt("title"), Error);
}

TEST_F(SentenceTransformers, PoolingByOption) {
  headlane_convert_options options = HEADLANE_INIT(headlane_convert_options);
  std::string log;
  options.log = [](void* to, headlane_log_level, const char* message) {
    *static_cast<std::string*>(to) += message;
  };
  options.log_user = &log;
  const json plain = {{"modules.json", nullptr}};
  const auto pooling = [&](const json& files, const char* wanted) {
    log.clear();
    options.pooling = wanted;
    const Model model(convert(files, &options));
    return std::string(model.facts().pooling) + (model.facts().normalize != 0 ? ", length 1" : "");
  };
  EXPECT_EQ(pooling(plain, nullptr), "mean");
  EXPECT_NE(log.find("has no modules.json"), std::string::npos) << log;
  for (const char* wanted : {"mean", "cls", "max", "none"}) {
    EXPECT_EQ(pooling(plain, wanted), wanted);
    EXPECT_EQ(log, "");
  }
  EXPECT_EQ(pooling(json::object(), nullptr), "max, length 1");
  EXPECT_EQ(pooling(json::object(), "cls"), "cls, length 1");
  EXPECT_EQ(pooling(json::object(), "none"), "none");
  EXPECT_EQ(log, "");
  options.pooling = "lasttoken";
  EXPECT_EQ(headlane_convert(kFolder, dir_.file("other").c_str(), &options),
            HEADLANE_INVALID_ARGUMENT);
  EXPECT_STREQ(headlane_error(),
               "pooling is \"lasttoken\"; it must be one of: none, mean, cls, max");
  options.pooling = "mean";
  const std::string bart = HEADLANE_GOLDEN_DIR "/encoder_decoder/bart";
  EXPECT_EQ(headlane_convert(bart.c_str(), dir_.file("other").c_str(), &options),
            HEADLANE_UNSUPPORTED);
}

}  // namespace
}  // namespace headlane::test
