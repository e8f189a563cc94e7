// headlane generate: language models with a tokenizer against transformers' own texts, and what the
// command says to mistakes.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/command/model_fixture.h"

namespace headlane::test {
namespace {

using nlohmann::json;

const std::string kModels = HEADLANE_GOLDEN_DIR "/language_models/";

class Generate : public CommandTest {
 protected:
  std::string converted(const std::string& name) const {
    const std::string model = dir_.file(name + ".headlane");
    const Finished done = run_headlane({"convert", kModels + name, "-o", model});
    EXPECT_EQ(done.status, 0) << done.err;
    return model;
  }

  static Finished generate(const std::string& model, const std::vector<std::string>& more,
                           const std::string& input = "") {
    std::vector<std::string> arguments = {"generate", "-m", model, "--max-new-tokens", "12"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_headlane(arguments, {.input = input, .more = {}});
  }

  static std::string output(const std::string& model, const std::vector<std::string>& more,
                            const std::string& input = "") {
    const Finished done = generate(model, more, input);
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(done.err, "");
    return done.out;
  }
};

class GenerateTexts : public Generate, public testing::WithParamInterface<const char*> {
 protected:
  const std::string model_ = converted(GetParam());
  const json texts_ = json::parse(read_file(kModels + GetParam() + "/texts.json"));
};

TEST_P(GenerateTexts, AreThoseOfTransformers) {
  ASSERT_EQ(texts_.size(), 10u);
  std::vector<std::string> prompts = {"--json", "--batch", "4", "--"};
  for (const json& text : texts_) prompts.push_back(text["prompt"]);
  std::istringstream in(output(model_, prompts));
  std::string line;
  for (const json& text : texts_) {
    ASSERT_TRUE(std::getline(in, line));
    const json answer = json::parse(line);
    EXPECT_EQ(answer["prompt"], text["prompt"]);
    EXPECT_EQ(answer["ids"], text["ids"]) << text["prompt"];
    EXPECT_EQ(answer["text"], text["text"]) << text["prompt"];
    EXPECT_EQ(answer["finish_reason"], text["ids"].size() < 12 ? "stop" : "length");
  }
  EXPECT_FALSE(std::getline(in, line));
}

// One prompt's text is printed while it grows; the whole is the same.
TEST_P(GenerateTexts, StreamTheSame) {
  for (const json& text : texts_) {
    const std::string prompt = text["prompt"], expected = text["text"];
    EXPECT_EQ(output(model_, {"--", prompt}), expected + "\n");
    EXPECT_EQ(output(model_, {"--echo", "--", prompt}), prompt + expected + "\n");
  }
}

TEST_P(GenerateTexts, GuessingChangesNothing) {
  std::vector<std::string> prompts = {"--json", "--stop", "zz", "--"};
  for (const json& text : texts_) prompts.push_back(text["prompt"]);
  const std::string expected = output(model_, prompts), prompt = texts_[0]["prompt"];
  for (const std::vector<std::string>& how :
       {std::vector<std::string>{"--speculate", "5"}, {"--draft", model_}}) {
    std::vector<std::string> guessing = how;
    guessing.insert(guessing.end(), prompts.begin(), prompts.end());
    EXPECT_EQ(output(model_, guessing), expected);
    guessing = how;
    guessing.insert(guessing.end(), {"--", prompt});
    EXPECT_EQ(output(model_, guessing), output(model_, {"--", prompt}));  // as it grows
    guessing.insert(guessing.begin(), "--stats");
    EXPECT_NE(generate(model_, guessing).err.find("guesses were right"), std::string::npos);
    guessing.insert(guessing.begin(), {"--beams", "2"});
    EXPECT_EQ(generate(model_, guessing).status, 2);
  }
}

TEST_P(GenerateTexts, EndBeforeAStop) {
  const std::string prompt = texts_[0]["prompt"], whole = texts_[0]["text"];
  const size_t begin = whole.find("as") == std::string::npos ? whole.size() / 2 : whole.find("as");
  size_t end = begin + 2;
  while (end < whole.size() && (static_cast<unsigned char>(whole[end]) & 0xC0) == 0x80) ++end;
  const std::string stop = whole.substr(begin, end - begin);
  const std::string expected = whole.substr(0, whole.find(stop));
  EXPECT_EQ(output(model_, {"--stop", stop, "--stop", "no such text", prompt}), expected + "\n");
  const json answer =
      json::parse(output(model_, {"--stop", "no such text", "--stop", stop, "--json", prompt}));
  EXPECT_EQ(answer["text"], expected);
  EXPECT_EQ(answer["finish_reason"], "stop");
  EXPECT_EQ(output(model_, {"--stop", "no such text", prompt}), whole + "\n");
}

INSTANTIATE_TEST_SUITE_P(Models, GenerateTexts, testing::Values("llama_texts", "qwen2_texts"),
                         [](const auto& param) { return std::string(param.param); });

TEST_F(Generate, TakesLinesOfIds) {
  const std::string model = converted("mistral");
  const std::string one = output(model, {"--ids", "--", "4 5 6"});
  const std::string two = output(model, {"--ids", "-i", "-"}, "4 5 6\n7 8\n");
  EXPECT_TRUE(two.starts_with(one));
  EXPECT_EQ(std::count(two.begin(), two.end(), '\n'), 2);
  const json answer = json::parse(output(model, {"--ids", "--json", "--", "4 5 6"}));
  EXPECT_FALSE(answer.contains("text"));
  EXPECT_FALSE(answer["ids"].empty());
}

TEST_F(Generate, TakesAFileOfIds) {
  const std::string model = converted("mistral");
  const std::string file = dir_.file("ids.txt");
  write_file(file, "4 5 6\n7 8\n");
  EXPECT_EQ(output(model, {"--ids", file}), output(model, {"--ids", "-i", file}));
  EXPECT_EQ(generate(model, {"--ids", dir_.file("none.txt")}).status, 1);
}

// As transformers' generate() takes it.
TEST_F(Generate, DrawsWhereTheFolderSaysSo) {
  const TempDir folder;
  for (const char* file :
       {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}) {
    write_file(folder.file(file), read_file(kModels + "llama_texts/" + file));
  }
  json own = json::parse(read_file(kModels + "llama_texts/generation_config.json"));
  own.update({{"do_sample", true}, {"temperature", 1.5}, {"top_k", 40}, {"top_p", 0.9}});
  write_file(folder.file("generation_config.json"), own.dump());
  const std::string model = dir_.file("drawn.headlane"), plain = converted("llama_texts");
  ASSERT_EQ(run_headlane({"convert", folder.path(), "-o", model}).status, 0);
  const std::vector<std::string> prompts = {"a", "b", "c"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), prompts.begin(), prompts.end());
    return more;
  };
  const std::string greedy = output(plain, prompts);
  EXPECT_EQ(output(model, prompts),
            output(plain, with({"--temperature", "1.5", "--top-k", "40", "--top-p", "0.9"})));
  EXPECT_NE(output(model, prompts), greedy);
  EXPECT_EQ(output(model, with({"--temperature", "0"})), greedy);
  EXPECT_EQ(output(model, with({"--beams", "1"})), greedy);
  EXPECT_EQ(output(model, with({"--top-k", "1"})), greedy);
  own["typical_p"] = 0.5;
  write_file(folder.file("generation_config.json"), own.dump());
  const Finished refused = run_headlane({"convert", folder.path(), "-o", dir_.file("other")});
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.err.find("\"typical_p\" is 0.5"), std::string::npos) << refused.err;
}

TEST_F(Generate, TellsLogProbabilities) {
  const std::string model = converted("llama_texts");
  const json answer = json::parse(output(model, {"--json", "--logprobs", "3", "a"}));
  ASSERT_EQ(answer["logprobs"].size(), answer["ids"].size());
  for (size_t i = 0; i < answer["ids"].size(); ++i) {
    const json& token = answer["logprobs"][i];
    EXPECT_EQ(token["id"], answer["ids"][i]);
    ASSERT_EQ(token["top"].size(), 3u);
    EXPECT_EQ(token["top"][0]["id"], token["id"]);  // the likeliest was taken
    EXPECT_EQ(token["top"][0]["logprob"], token["logprob"]);
    EXPECT_EQ(token["top"][0]["token"], token["token"]);
    EXPECT_GE(token["top"][0]["logprob"], token["top"][1]["logprob"]);
  }
  EXPECT_EQ(generate(model, {"--logprobs", "3", "a"}).status, 2);
}

// The probabilities that are told are those that the tokens were chosen by.
TEST_F(Generate, KeepsKeysInFewerBits) {
  const std::string model = converted("llama_texts");
  const std::string plain = output(model, {"--json", "--logprobs", "1", "a"});
  EXPECT_EQ(output(model, {"--json", "--logprobs", "1", "--cache", "f32", "a"}), plain);
  for (const char* cache : {"bf16", "int8"}) {
    const std::string told = output(model, {"--json", "--logprobs", "1", "--cache", cache, "a"});
    EXPECT_NE(told, plain);
    const json answer = json::parse(told);
    for (size_t i = 0; i < answer["ids"].size(); ++i) {
      EXPECT_EQ(answer["logprobs"][i]["top"][0]["id"], answer["ids"][i]);
    }
  }
  EXPECT_EQ(generate(model, {"--cache", "int4", "a"}).status, 2);
}

TEST_F(Generate, DrawsBySeed) {
  const std::string model = converted("llama_texts");
  const auto drawn = [&](const char* seed, const char* batch) {
    return output(model, {"--temperature", "1.5", "--seed", seed, "--batch", batch, "a", "b", "c"});
  };
  EXPECT_EQ(drawn("1", "1"), drawn("1", "3"));
  EXPECT_NE(drawn("1", "3"), drawn("2", "3"));
  const std::string greedy = output(model, {"a", "b", "c"});
  EXPECT_EQ(output(model, {"--temperature", "0", "a", "b", "c"}), greedy);
  EXPECT_NE(drawn("1", "1"), greedy);
  // Nothing is as likely as the likeliest token.
  EXPECT_EQ(output(model, {"--temperature", "1.5", "--min-p", "1", "a", "b", "c"}), greedy);
  EXPECT_NE(output(model, {"--temperature", "1.5", "--min-p", "1e-30", "a", "b", "c"}), greedy);
}

TEST_F(Generate, SaysWhatIsWrong) {
  const std::string model = converted("llama_texts");
  const auto message = [&](const std::vector<std::string>& more, int status = 1) {
    const Finished done = generate(model, more);
    EXPECT_EQ(done.status, status);
    EXPECT_EQ(done.out, "");
    return done.err;
  };
  std::string longest;
  for (int i = 0; i < 700; ++i) longest += "q \xe2\x98\xba ";
  EXPECT_NE(message({longest}).find("and the model has room for 640, its answer's included"),
            std::string::npos);
  EXPECT_NE(message({"--ids", "4 99999"}).find("99999"), std::string::npos);
  EXPECT_NE(message({"--ids", ""}).find("the prompt is empty"), std::string::npos);
  EXPECT_NE(message({"--stop", "", "a"}, 2).find("--stop is empty"), std::string::npos);
  EXPECT_NE(message({"--beams", "2", "--temperature", "1", "a"}, 2), "");
  const Finished translate = run_headlane({"translate", "-m", model, "a"});
  EXPECT_EQ(translate.status, 1);
  EXPECT_EQ(translate.err,
            "headlane: " + model + ": is a language model; headlane generate runs it\n");
  const Finished embed = run_headlane({"embed", "-m", model, "a"});
  EXPECT_EQ(embed.status, 1);
  EXPECT_NE(embed.err, "");
  EXPECT_EQ(embed.out, "");
}

// A model that is something else is refused by what it is.
TEST_F(Generate, RefusesOtherModels) {
  const std::string translator = HEADLANE_GOLDEN_DIR "/../../examples/translate/zh-en.headlane";
  const Finished done = generate(translator, {"a"});
  EXPECT_EQ(done.status, 1);
  EXPECT_EQ(done.err,
            "headlane: " + translator + ": is not a language model; headlane translate runs it\n");
}

}  // namespace
}  // namespace headlane::test
