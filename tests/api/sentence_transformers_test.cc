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

const char* const kModulesFolder = HEADLANE_GOLDEN_DIR "/bert/head_dim_17_max_normalize";

json golden() {
  return json::parse(read_file(HEADLANE_GOLDEN_DIR "/sentence_transformers/vectors.json"));
}

// It is what a case asks for.
struct AskedVectors {
  explicit AskedVectors(const json& one)
      : prompt(one.value("prompt", "")),
        prompt_name(one.value("prompt_name", one.value("task", ""))) {
    options.tokenize = &tokenize;
    if (one.contains("prompt")) tokenize.prompt = prompt.c_str();
    if (!prompt_name.empty()) options.prompt_name = prompt_name.c_str();
    options.truncate_dim = one.value("truncate_dim", 0);
  }
  AskedVectors(const AskedVectors&) = delete;
  AskedVectors& operator=(const AskedVectors&) = delete;

  std::string prompt, prompt_name;
  TokenizeOptions tokenize;
  EmbedOptions options;
};

class SentenceTransformers : public testing::Test {
 protected:
  // The golden folder with those files in place of its own, and before that those of `on_top`, a
  // folder of modules.
  std::string convert(const json& files, const headlane_convert_options* options = nullptr,
                      const std::string& on_top = "") {
    const std::string folder = dir_.file("hf"), path = dir_.file("m.headlane");
    fs::remove_all(folder);
    fs::copy(kModulesFolder, folder, fs::copy_options::recursive);
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
      read_file(std::string(kModulesFolder) + "/manifest.json"))["pooled_float32_from_float64"];
  // Without the normalization at the end vectors are as long as hidden states are.
  const double off_unpooled = json::parse(
      read_file(std::string(kModulesFolder) + "/manifest.json"))["hidden_float32_from_float64"];
  ASSERT_GE(all["cases"].size(), 20u);
  const auto texts = all["texts"].get<std::vector<std::string>>();
  for (const json& one : all["cases"]) {
    SCOPED_TRACE(one["name"]);
    const Model model(convert(one["files"], nullptr, one.value("folder", "")));
    Session session(model);
    const AskedVectors asked(one);
    const std::vector<float> vectors = session.embed(texts, asked.options);
    const size_t d = vectors.size() / texts.size();
    if (asked.options.truncate_dim == 0) {
      ASSERT_EQ(static_cast<int64_t>(d), model.facts().d_embedding);
    }
    EXPECT_EQ(model.facts().similarity, one["similarity"].get<std::string>());
    ASSERT_EQ(one["vectors"][0].size(), d);
    const double least = one.contains("off") ? std::max(one["off"].get<double>(), 6e-8) : off;
    const double bound = 4 * (model.facts().normalize != 0 ? least : std::max(least, off_unpooled));
    for (size_t i = 0; i < vectors.size(); ++i) {
      ASSERT_NEAR(vectors[i], one["vectors"][i / d][i % d].get<double>(), bound) << i;
    }
  }
}

// On each instruction set: of the text alone, in one batch with the others, and by way of its ids.
TEST_F(SentenceTransformers, EqualBitsInAnyBatch) {
  const json all = golden();
  const auto texts = all["texts"].get<std::vector<std::string>>();
  for (const json& one : all["cases"]) {
    if (!one.contains("folder")) continue;
    SCOPED_TRACE(one["name"]);
    const std::string path = convert(one["files"], nullptr, one["folder"]);
    for (const char* isa : {"ref", "avx2", "avx512"}) {
      ModelOptions on;
      on.isa = isa;
      const Model model(path, on);
      Session session(model);
      AskedVectors asked(one);
      const std::vector<float> together = session.embed(texts, asked.options);
      const size_t d = together.size() / texts.size();
      if (asked.tokenize.prompt == nullptr) asked.tokenize.prompt = model.facts().default_prompt;
      const std::string prompt = asked.tokenize.prompt;
      for (size_t i = 0; i < texts.size(); ++i) {
        const std::vector<float> expected(together.begin() + static_cast<ptrdiff_t>(i * d),
                                          together.begin() + static_cast<ptrdiff_t>((i + 1) * d));
        EXPECT_EQ(session.embed({texts[i]}, asked.options), expected) << isa << " text " << i;
        const std::vector<int32_t> ids = model.tokenize(texts[i], asked.tokenize);
        const std::vector<int64_t> offsets = {0, static_cast<int64_t>(ids.size())};
        headlane_batch batch = HEADLANE_INIT(headlane_batch);
        batch.n_seqs = 1;
        batch.offsets = offsets.data();
        batch.ids = ids.data();
        if (model.facts().leaves_out_prompt != 0 && !prompt.empty()) {
          batch.n_left_out = static_cast<int64_t>(model.tokenize(prompt).size()) - 1;  // [SEP]
        }
        std::vector<float> pooled(static_cast<size_t>(model.facts().d_vector));
        Outputs outputs;
        outputs.pooled = pooled.data();
        outputs.d_pooled = model.facts().d_vector;
        session.encode(batch, outputs);
        pooled.resize(d);
        EXPECT_EQ(pooled, expected) << isa << " text " << i;
      }
    }
  }
}

// Each name of a pooling in place of the model's own gives the bits of a model that was converted
// so.
TEST_F(SentenceTransformers, PoolingOfACall) {
  const json all = golden();
  const auto texts = all["texts"].get<std::vector<std::string>>();
  const std::string own = dir_.file("own.headlane"), none = dir_.file("none.headlane");
  headlane_convert_options options = HEADLANE_INIT(headlane_convert_options);
  fs::rename(convert(json::object()), own);
  options.pooling = "none";
  fs::rename(convert(json::object(), &options), none);
  for (const char* pooling :
       {"mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"}) {
    options.pooling = pooling;
    EmbedOptions plain, asked;
    asked.pooling = pooling;
    const Model converted(convert(json::object(), &options));
    EXPECT_STREQ(converted.facts().pooling, pooling);
    const std::vector<float> expected = Session(converted).embed(texts, plain);
    EXPECT_EQ(Session(Model(own)).embed(texts, asked), expected) << pooling;
    options.pooling = pooling;
    const Model plainly(convert({{"modules.json", nullptr}}, &options));
    EXPECT_EQ(Session(Model(none)).embed(texts, asked), Session(plainly).embed(texts, plain))
        << pooling << " of a model without one";
  }
  const auto refused = [&](const std::string& path, const char* pooling, headlane_status status,
                           const std::string& words) {
    EmbedOptions asked;
    asked.pooling = pooling;
    try {
      Session(Model(path)).embed(texts, asked);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), status);
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    }
  };
  refused(own, "first", HEADLANE_INVALID_ARGUMENT,
          "pooling is \"first\"; it must be one of: mean,");
  refused(own, "none", HEADLANE_INVALID_ARGUMENT, "pooling is \"none\"; it must be one of: mean,");
  refused(none, nullptr, HEADLANE_UNSUPPORTED, "the model has no pooling; say one");
  refused(convert(json::object(), nullptr, "pool_two"), "mean", HEADLANE_UNSUPPORTED,
          "the model has 2 poolings, whose vectors stand side by side");
}

TEST_F(SentenceTransformers, ColumnsOfVectors) {
  const Model model(convert(json::object(), nullptr, "dense_tanh"));
  EXPECT_EQ(model.facts().d_model, 51);
  EXPECT_EQ(model.facts().d_vector, 20);
  EXPECT_EQ(model.facts().d_embedding, 20);
  EXPECT_EQ(model.facts().normalize, 0);
  const json facts = json::parse(model.json())["vectors"];
  EXPECT_EQ(facts, (json{{"columns", 20},
                         {"embedding_columns", 20},
                         {"similarity", "cosine"},
                         {"leaves_out_prompt", false}}));
  Session session(model);
  const std::vector<int64_t> offsets = {0, 2};
  const std::vector<int32_t> ids = {1, 2};
  const headlane_batch batch = {
      .struct_size = sizeof batch, .n_seqs = 1, .offsets = offsets.data(), .ids = ids.data()};
  std::vector<float> row(51, -7.0f);
  headlane_outputs outputs = {.struct_size = sizeof outputs, .pooled = row.data()};
  // A program that knows nothing of such models is not written over.
  EXPECT_EQ(headlane_session_encode(session.get(), &batch, &outputs), HEADLANE_INVALID_ARGUMENT);
  EXPECT_STREQ(
      headlane_error(),
      "outputs.d_pooled is 0; it must be 20, the columns of a vector, since a hidden state "
      "has others");
  outputs.d_pooled = 51;
  EXPECT_EQ(headlane_session_encode(session.get(), &batch, &outputs), HEADLANE_INVALID_ARGUMENT);
  outputs.d_pooled = 20;
  EXPECT_EQ(headlane_session_encode(session.get(), &batch, &outputs), HEADLANE_OK);
  EXPECT_NE(row[19], -7.0f);
  EXPECT_EQ(row[20], -7.0f);
  const int64_t text_offsets[] = {0, 3};
  headlane_texts texts = HEADLANE_INIT(headlane_texts);
  texts.n_texts = 1;
  texts.data = "the";
  texts.data_bytes = 3;
  texts.offsets_64 = text_offsets;
  row.assign(51, -7.0f);
  EXPECT_EQ(headlane_session_embed(session.get(), &texts, nullptr, row.data(), 0),
            HEADLANE_INVALID_ARGUMENT);
  EXPECT_STREQ(headlane_error(), "stride is 0; it must be at least 20, the elements of a vector");
  EXPECT_EQ(headlane_session_embed(session.get(), &texts, nullptr, row.data(), 19),
            HEADLANE_INVALID_ARGUMENT);
  EXPECT_EQ(headlane_session_embed(session.get(), &texts, nullptr, row.data(), 20), HEADLANE_OK);
  EXPECT_EQ(row[20], -7.0f);
  headlane_embed_options options = HEADLANE_INIT(headlane_embed_options);
  options.truncate_dim = 3;
  std::vector<float> cut(51, -7.0f);
  EXPECT_EQ(headlane_session_embed(session.get(), &texts, &options, cut.data(), 3), HEADLANE_OK);
  EXPECT_TRUE(std::equal(cut.begin(), cut.begin() + 3, row.begin()));
  EXPECT_EQ(cut[3], -7.0f);
  options.truncate_dim = -1;
  EXPECT_EQ(headlane_session_embed(session.get(), &texts, &options, cut.data(), 20),
            HEADLANE_INVALID_ARGUMENT);
  options.truncate_dim = 0;
  options.prompt_name = "title";
  EXPECT_EQ(headlane_session_embed(session.get(), &texts, &options, cut.data(), 20),
            HEADLANE_INVALID_ARGUMENT);
  EXPECT_STREQ(headlane_error(), "the model has no prompt \"title\"; it has: document, query");
  headlane_tokenize_options tokenize = HEADLANE_INIT(headlane_tokenize_options);
  tokenize.prompt = "x";
  options.prompt_name = "query";
  options.tokenize = &tokenize;
  EXPECT_EQ(headlane_session_embed(session.get(), &texts, &options, cut.data(), 20),
            HEADLANE_INVALID_ARGUMENT);
  EXPECT_STREQ(headlane_error(), "prompt_name and tokenize.prompt are both set");
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
  options.pooling = "first";
  EXPECT_EQ(headlane_convert(kModulesFolder, dir_.file("other").c_str(), &options),
            HEADLANE_INVALID_ARGUMENT);
  EXPECT_STREQ(headlane_error(),
               "pooling is \"first\"; it must be one of: none, mean, cls, max, "
               "mean_sqrt_len_tokens, weightedmean, lasttoken");
  options.pooling = "mean";
  const std::string bart = HEADLANE_GOLDEN_DIR "/encoder_decoder/bart";
  EXPECT_EQ(headlane_convert(bart.c_str(), dir_.file("other").c_str(), &options),
            HEADLANE_UNSUPPORTED);
}

}  // namespace
}  // namespace headlane::test
