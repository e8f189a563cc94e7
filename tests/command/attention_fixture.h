// A model of two layers with five heads, whose vocabulary is what a page has to fear.
#pragma once

#include <nlohmann/json.hpp>

#include "tests/command/model_fixture.h"

namespace headlane::test {

inline const std::vector<std::string>& hostile_tokens() {
  static const std::vector<std::string> tokens = {
      "<script>",
      "</script><script>document.title='taken'</script>",
      "<!--<script>",
      "&amp;",
      "&",
      "\"'`$",
      "\\u003c",
      "[\\]",
      "<img src=x onerror=\"document.title='taken'\">",
      "\xe7\x8c\xab"};
  return tokens;
}

class AttentionTest : public CommandTest {
 protected:
  void SetUp() override {
    namespace fs = std::filesystem;
    using nlohmann::json;
    const std::string folder = dir_.file("folder");
    fs::copy(golden_folder("head_dim_1_two_layers_512"), folder);
    std::string vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
    json added = json::object();
    int n = 5;
    for (const std::string& token : hostile_tokens()) {
      vocab += token + "\n";
      added[std::to_string(n++)] = {{"content", token},
                                    {"single_word", false},
                                    {"lstrip", false},
                                    {"rstrip", false},
                                    {"normalized", false}};
    }
    for (char letter = 'a'; n < 37; ++n) vocab += std::string(1, letter++) + "\n";
    write_file(folder + "/vocab.txt", vocab);
    write_file(folder + "/tokenizer_config.json", json{{"added_tokens_decoder", added}}.dump());
    const Finished done = run_headlane({"convert", folder, "-o", model_});
    ASSERT_EQ(done.status, 0) << done.err;
    fs::remove_all(folder);
  }

  // [CLS], n - 2 letters or hostile tokens, [SEP]
  static std::string text_of(int n) {
    std::string text;
    for (int i = 0; i < n - 2; ++i) {
      const auto k = static_cast<size_t>(i / 2);
      text += i % 2 == 1 && k < hostile_tokens().size()
                  ? hostile_tokens()[k]
                  : std::string(1, static_cast<char>('a' + i * i % 20));
      text += ' ';
    }
    return text;
  }

  Finished attention(const std::string& text, const std::vector<std::string>& more,
                     const Settings& settings = {}) const {
    std::vector<std::string> arguments = {"attention", "-m", model_, text};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_headlane(arguments, settings);
  }

  nlohmann::json maps_of(const std::string& text, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished done = attention(text, arguments);
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(done.err, "");
    return nlohmann::json::parse(done.out);
  }

  const std::string model_ = dir_.file("hostile.headlane");
};

}  // namespace headlane::test
