// headlane perplexity beside transformers' own numbers (golden/language_models/make_perplexity.py).
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/command/model_fixture.h"
#include "tests/support/sanitizers.h"

namespace headlane::test {
namespace {

using nlohmann::json;

const std::string kPerplexityModels = HEADLANE_GOLDEN_DIR "/language_models/";

std::string first_lines(int n) {
  std::istringstream in(read_file(HEADLANE_GOLDEN_DIR "/corpus/sentences.txt"));
  std::string text;
  std::string line;
  for (int i = 0; i < n && std::getline(in, line); ++i) text += line + "\n";
  return text;
}

class Perplexity : public CommandTest {
 protected:
  std::string converted(const std::string& name) const {
    const std::string model = dir_.file(name + ".headlane");
    const Finished done = run_headlane({"convert", kPerplexityModels + name, "-o", model});
    EXPECT_EQ(done.status, 0) << done.err;
    return model;
  }
};

TEST_F(Perplexity, IsThatOfTransformers) {
  const json golden = json::parse(read_file(kPerplexityModels + "perplexity.json"));
  const std::string text = dir_.file("text.txt");
  write_file(text, first_lines(200));
  for (const auto& [name, cases] : golden.items()) {
    const std::string model = converted(name);
    for (const json& expected : cases) {
      // Under AddressSanitizer the shortest context, whose windows overlap, touches the same
      // memory.
      if (kUnderAddressSanitizer && expected["context"] != 40) continue;
      SCOPED_TRACE(name + " " + expected.dump().substr(0, 60));
      std::vector<std::string> arguments = {
          "perplexity", "-m", model, "-i", text, "--json", "--context", expected["context"].dump()};
      if (expected["stride"] != 0) {
        arguments.insert(arguments.end(), {"--stride", expected["stride"].dump()});
      }
      const Finished done = run_headlane(arguments);
      ASSERT_EQ(done.status, 0) << done.err;
      std::istringstream lines(done.out);
      std::string line;
      ASSERT_TRUE(std::getline(lines, line));
      const json first = json::parse(line);
      const json& logprobs = expected["logprobs"];
      ASSERT_EQ(first["tokens"].size(), logprobs.size());
      for (size_t i = 0; i < logprobs.size(); ++i) {
        EXPECT_NEAR(first["tokens"][i]["logprob"], logprobs[i].get<double>(), 1e-4);
      }
      std::string last;
      while (std::getline(lines, line)) last = line;
      const json result = json::parse(last);
      EXPECT_EQ(result["tokens"], expected["tokens"]);
      const double value = expected["perplexity"];
      EXPECT_NEAR(result["perplexity"], value, 1e-4 * value);
      EXPECT_NEAR(result["error"], expected["error"].get<double>(), 1e-3 * value);
    }
  }
}

TEST_F(Perplexity, IsPrintedForPeople) {
  const std::string model = converted("llama_texts");
  const Finished done = run_headlane({"perplexity", "-m", model, "--context", "64"},
                                     {.input = first_lines(40), .more = {}});
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_TRUE(done.out.starts_with("perplexity ")) << done.out;
  EXPECT_NE(done.out.find(" +/- "), std::string::npos) << done.out;
}

TEST_F(Perplexity, OfACacheInFewerBits) {
  const std::string model = converted("llama_texts");
  const auto value = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"perplexity", "-m", model, "--context", "64", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished done = run_headlane(arguments, {.input = first_lines(40), .more = {}});
    EXPECT_EQ(done.status, 0) << done.err;
    const size_t last = done.out.rfind('\n', done.out.size() - 2);
    return json::parse(done.out.substr(last + 1))["perplexity"].get<double>();
  };
  const double plain = value({});
  EXPECT_EQ(value({"--cache", "f32"}), plain);
  for (const char* cache : {"bf16", "int8"}) {
    const double rounded = value({"--cache", cache});
    EXPECT_NE(rounded, plain);
    EXPECT_NEAR(rounded, plain, 0.01 * plain) << cache;
  }
}

TEST_F(Perplexity, SaysWhatIsWrong) {
  const std::string model = converted("llama_texts");
  const auto message = [&](const std::vector<std::string>& more, const std::string& input) {
    std::vector<std::string> arguments = {"perplexity", "-m", model};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished done = run_headlane(arguments, {.input = input, .more = {}});
    EXPECT_EQ(done.status, 1);
    EXPECT_EQ(done.out, "");
    return done.err;
  };
  EXPECT_NE(message({}, "a b").find("fewer than a window of 512"), std::string::npos);
  EXPECT_NE(message({}, "").find("fewer than a window of 512"), std::string::npos);
  EXPECT_NE(message({"--context", "9999"}, "a b").find("the model has room for 640"),
            std::string::npos);
  EXPECT_NE(message({"--context", "16", "--stride", "17"}, "a b").find("--stride is 17"),
            std::string::npos);
  EXPECT_NE(message({"-i", "/no/such/file"}, "").find("/no/such/file: cannot be read"),
            std::string::npos);
}

}  // namespace
}  // namespace headlane::test
