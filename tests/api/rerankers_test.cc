// Rerankers that are language models: what of their folders is refused, and how pairs become
// conversations. That their scores are right is what golden_classify_test.cc shows.
#include <filesystem>
#include <functional>
#include <headlane/headlane.hpp>
#include <nlohmann/json.hpp>

#include "tests/api/encoder.h"
#include "tests/support/temp_dir.h"

namespace headlane::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Rerankers : public testing::Test {
 protected:
  // Copies a golden folder, which change() may then change.
  void copy(const std::string& name) {
    fs::remove_all(folder_);
    fs::copy(HEADLANE_GOLDEN_DIR "/classify/" + name, folder_, fs::copy_options::recursive);
  }
  void change(const std::string& file, const std::function<void(json*)>& how) {
    json fields = json::parse(read_file(folder_ + "/" + file));
    how(&fields);
    write_file(folder_ + "/" + file, fields.dump());
  }
  std::string convert_it() {
    check(headlane_convert(folder_.c_str(), path_.c_str(), nullptr));
    return path_;
  }
  void expect_refusal(const std::string& words) {
    EXPECT_NE(headlane_convert(folder_.c_str(), path_.c_str(), nullptr), HEADLANE_OK) << words;
    EXPECT_NE(std::string(headlane_error()).find(words), std::string::npos) << headlane_error();
  }

  TempDir dir_;
  const std::string folder_ = dir_.file("hf"), path_ = dir_.file("m.headlane");
};

const std::string kScore = "1_LogitScore/config.json", kWhole = "config_sentence_transformers.json",
                  kTransformer = "sentence_bert_config.json";

TEST_F(Rerankers, TokensThatTheModelLacks) {
  copy("qwen3_reranker");
  change(kScore, [](json* fields) { (*fields)["true_token_id"] = 100000; });
  expect_refusal("config.json has the id 100000 of a token; the model has 330 tokens");
  copy("qwen3_reranker");
  change(kScore, [](json* fields) { (*fields)["false_token_id"] = -1; });
  expect_refusal("has an id of a token that is less than 0");
  copy("qwen3_reranker");
  change(kScore, [](json* fields) { (*fields)["module_input_name"] = "logits"; });
  expect_refusal("field \"module_input_name\" is \"logits\"; only \"causal_logits\" is supported");
}

TEST_F(Rerankers, ModulesThatDoNotFit) {
  copy("qwen3_reranker");
  change(kWhole, [](json* fields) { (*fields)["model_type"] = "SentenceTransformer"; });
  expect_refusal("modules.json has a LogitScore, but config_sentence_transformers.json");
  copy("qwen3_reranker");
  change("modules.json", [](json* modules) { modules->push_back((*modules)[1]); });
  change("modules.json", [](json* modules) { (*modules)[2]["name"] = "2"; });
  expect_refusal("or a Transformer and a LogitScore");
  copy("qwen3_reranker");
  change(kTransformer, [](json* fields) { (*fields)["transformer_task"] = "any-to-any"; });
  expect_refusal("field \"transformer_task\" is \"any-to-any\"; only \"text-generation\"");
  copy("gemma_reranker");
  change("config.json", [](json* fields) {
    fields->update({{"model_type", "gemma2"},
                    {"architectures", {"Gemma2ForCausalLM"}},
                    {"final_logit_softcapping", 30.0}});
  });
  expect_refusal("logits have a soft cap, of which no score can be made");
  copy("gemma_reranker");
  change("config.json", [](json* fields) {
    fields->update({{"model_type", "gpt2"}, {"architectures", {"GPT2LMHeadModel"}}});
  });
  expect_refusal("of models with a decoder, scores of texts can be made by: llama, mistral");
}

TEST_F(Rerankers, TemplatesThatAreCalledOtherwise) {
  const auto with = [&](const char* key, const json& value, const std::string& words) {
    copy("qwen3_reranker");
    change(kTransformer,
           [&](json* fields) { (*fields)["processing_kwargs"]["chat_template"][key] = value; });
    expect_refusal(words);
  };
  with("continue_final_message", true, "field \"continue_final_message\" is true, which Headlane");
  with("restore_suffix", false, "field \"restore_suffix\" is false; only true is supported");
  copy("qwen3_reranker");
  change(kTransformer,
         [](json* fields) { (*fields)["processing_kwargs"]["text"]["max_length"] = 9; });
  expect_refusal("field \"processing_kwargs\" has \"text\", which Headlane does not obey");
  copy("qwen3_reranker");
  change(kTransformer,
         [](json* fields) { (*fields)["modality_config"]["message"]["format"] = "auto"; });
  expect_refusal("field \"format\" is \"auto\", not one of: flat, structured");
  copy("qwen3_reranker");
  write_file(folder_ + "/chat_template.jinja",
             "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}");
  expect_refusal("the chat template writes pairs without their texts");
}

// What users write is no token with a role, and a pair's end is always the template's.
TEST_F(Rerankers, PairsAreConversations) {
  copy("qwen3_reranker");
  const Model model(convert_it());
  TokenizeOptions options;
  options.prompt = "";
  const auto ids = [&](const std::string& first, const std::string& second) {
    return model.tokenize_pair(first, second, options).ids;
  };
  const std::vector<int32_t> plain = ids("a", "b"), spelt = ids("a", "<|im_end|>");
  const int32_t turn_end = 2;
  EXPECT_EQ(std::count(plain.begin(), plain.end(), turn_end), 1);
  EXPECT_EQ(std::count(spelt.begin(), spelt.end(), turn_end), 1);
  std::string long_text;
  for (int i = 0; i < 200; ++i) long_text += "the cat ";
  const std::vector<int32_t> cut = ids("a", long_text);
  ASSERT_EQ(cut.size(), 60);
  EXPECT_TRUE(std::equal(plain.end() - 5, plain.end(), cut.end() - 5));
  options.truncation = HEADLANE_ONLY_SECOND;
  EXPECT_THROW(ids("a", "b"), Error);
  options.truncation = HEADLANE_LONGEST_FIRST;
  options.prompt = "find it";
  EXPECT_GT(ids("a", "b").size(), plain.size());
}

}  // namespace
}  // namespace headlane::test
