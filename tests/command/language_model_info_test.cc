// headlane info of a language model: what it takes, before a weight is read.
#include <nlohmann/json.hpp>

#include "tests/command/model_fixture.h"

namespace headlane::test {
namespace {

using nlohmann::json;

class LanguageModelInfo : public CommandTest {
 protected:
  LanguageModelInfo() {
    const Finished done =
        run_headlane({"convert", HEADLANE_GOLDEN_DIR "/language_models/llama_texts", "-o", model_});
    EXPECT_EQ(done.status, 0) << done.err;
  }

  json facts(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"info", model_, "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished done = run_headlane(arguments);
    EXPECT_EQ(done.status, 0) << done.err;
    return json::parse(done.out);
  }

  const std::string model_ = dir_.file("model.headlane");
};

TEST_F(LanguageModelInfo, TellsMemoryAtAContext) {
  const json all = facts({}), half = facts({"--context", "320"}),
             more = facts({"--context", "321"});
  EXPECT_EQ(all["context"], 640);
  EXPECT_EQ(half["context"], 320);
  const int64_t token = all["cache_token_bytes"];
  EXPECT_GT(token, 0);
  // A token's keys and values, and what lists of tokens take, in multiples of 64.
  const int64_t one = more["context_bytes"].get<int64_t>() - half["context_bytes"].get<int64_t>();
  EXPECT_GE(one, token);
  EXPECT_LE(one, token + 256);
  EXPECT_EQ(half["memory_bytes"].get<int64_t>(),
            half["context_bytes"].get<int64_t>() + half["packed_bytes"].get<int64_t>());
  EXPECT_LT(facts({"--precision", "bf16"})["cache_token_bytes"], token);
}

TEST_F(LanguageModelInfo, TellsMemoryOfAFormatOfTheCache) {
  const json own = facts({});
  for (const std::string cache : {"f32", "bf16", "int8"}) {
    const json all = facts({"--cache", cache});
    EXPECT_EQ(all["cache_token_bytes"], own["cache_token_bytes_" + cache]);
    EXPECT_EQ(all["context_bytes"] < own["context_bytes"], cache != "f32");
  }
  EXPECT_EQ(facts({"--cache", "f32"})["context_bytes"], own["context_bytes"]);
  EXPECT_LE(own["cache_token_bytes_int8"], own["cache_token_bytes_bf16"]);  // rows are padded
  EXPECT_EQ(run_headlane({"info", model_, "--cache", "int4"}).status, 2);
}

TEST_F(LanguageModelInfo, IsPrintedForPeople) {
  const Finished done = run_headlane({"info", model_, "--context", "100"});
  EXPECT_EQ(done.status, 0) << done.err;
  for (const char* name : {"n_parameters", "cache_token_bytes", "context_bytes", "memory_bytes"}) {
    EXPECT_NE(done.out.find(name), std::string::npos) << name;
  }
}

TEST_F(LanguageModelInfo, SaysWhatIsWrong) {
  const Finished done = run_headlane({"info", model_, "--context", "641"});
  EXPECT_EQ(done.status, 1);
  EXPECT_NE(done.err.find("--context is 641, and the model has room for 640 tokens"),
            std::string::npos)
      << done.err;
  const std::string translator = HEADLANE_GOLDEN_DIR "/../../examples/translate/zh-en.headlane";
  const Finished other = run_headlane({"info", translator, "--context", "10"});
  EXPECT_EQ(other.status, 1);
  EXPECT_NE(other.err.find("is not a language model"), std::string::npos) << other.err;
  EXPECT_EQ(run_headlane({"info", translator, "--cache", "bf16"}).err, other.err);
}

}  // namespace
}  // namespace headlane::test
