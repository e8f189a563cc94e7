// headlane tokenize: texts and pairs of texts to the ids that a model gets.
#include <headlane/headlane.hpp>
#include <nlohmann/json.hpp>

#include "tests/command/model_fixture.h"

namespace headlane::test {
namespace {

using nlohmann::json;

class CommandTokenize : public CommandTest {
 protected:
  static Finished tokenize(std::vector<std::string> more, const Settings& settings = {}) {
    std::vector<std::string> all = {"tokenize", "-m", model()};
    all.insert(all.end(), more.begin(), more.end());
    return run_headlane(all, settings);
  }
  static std::string said(const std::vector<std::string>& more, const Settings& settings = {}) {
    const Finished done = tokenize(more, settings);
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(done.err, "");
    return done.out;
  }
  // The line that the library's ids are.
  static std::string line_of(const std::vector<int32_t>& ids) {
    std::string line;
    for (const int32_t id : ids) line += (line.empty() ? "" : " ") + std::to_string(id);
    return line + "\n";
  }
};

TEST_F(CommandTokenize, PrintsALineOfIdsForEachText) {
  const Model library(model());
  const std::string a = line_of(library.tokenize("the dog run")), b = line_of(library.tokenize(""));
  EXPECT_EQ(said({"the dog run", ""}), a + b);
  EXPECT_EQ(said({}, {.input = "the dog run\n\n", .more = {}}), a + b);
  EXPECT_EQ(said({"-i", "-"}, {.input = "\nthe dog run", .more = {}}), b + a);
  write_file(dir_.file("lines.txt"), "the dog run\n");
  EXPECT_EQ(said({"-i", dir_.file("lines.txt")}), a);
}

TEST_F(CommandTokenize, PairsHaveTypes) {
  const Model library(model());
  TokenizeOptions options;
  for (const char* second : {"the cat", "", "--json", "-m", "--", "[\"a\", \"b\"]"}) {
    const TokenPair pair = library.tokenize_pair("the dog", second, options);
    EXPECT_EQ(said({"the dog", std::string("--pair=") + second}), line_of(pair.ids)) << second;
    const json line = json::parse(said({"the dog", std::string("--pair=") + second, "--json"}));
    EXPECT_EQ(line["ids"], pair.ids);
    EXPECT_EQ(line["type_ids"], pair.type_ids);
    EXPECT_EQ(line["tokens"].size(), pair.ids.size());
    EXPECT_EQ(line["tokens"][0], "[CLS]");
  }
  EXPECT_FALSE(json::parse(said({"the dog", "--json"})).contains("type_ids"));
}

TEST_F(CommandTokenize, TextsAreNeverOptions) {
  const Model library(model());
  for (const char* text : {"-1", "- a", "--", "[CLS] a", "a,b", "\"", "\xFF"}) {
    EXPECT_EQ(said({"--", text}), line_of(library.tokenize(text))) << text;
  }
}

TEST_F(CommandTokenize, CutsAsItIsTold) {
  const Model library(model());
  const std::string first = "the dog run the dog run", second = "we a b we a b we a b";
  TokenizeOptions options;
  options.max_len = 13;
  std::string before;
  for (const auto& [name, truncation] : {std::pair{"longest_first", HEADLANE_LONGEST_FIRST},
                                         {"only_first", HEADLANE_ONLY_FIRST},
                                         {"only_second", HEADLANE_ONLY_SECOND}}) {
    options.truncation = truncation;
    const TokenPair pair = library.tokenize_pair(first, second, options);
    EXPECT_EQ(pair.ids.size(), 13u);
    const std::string out =
        said({first, "--pair", second, "--max-length", "13", "--truncation", name});
    EXPECT_EQ(out, line_of(pair.ids));
    EXPECT_NE(out, before);
    before = out;
  }
  options.truncation = HEADLANE_LONGEST_FIRST;
  EXPECT_EQ(said({first, "--max-length", "5"}), line_of([&] {
              options.max_len = 5;
              return library.tokenize(first, options);
            }()));
  expect_failure(
      tokenize({first, "--pair", second, "--max-length", "5", "--truncation", "only_first"}),
      "the first text of a pair has");
  EXPECT_EQ(tokenize({first, "--truncation", "only_first"}).status, 2);
  EXPECT_EQ(tokenize({first, "--pair", second, "--truncation", "first"}).status, 2);
}

TEST_F(CommandTokenize, PutsThePromptBeforeTheFirstText) {
  EXPECT_EQ(said({"run", "--prompt", "the dog "}), said({"the dog run"}));
  EXPECT_EQ(said({"run", "--prompt", "the dog ", "--pair", "we"}),
            said({"the dog run", "--pair", "we"}));
}

TEST_F(CommandTokenize, NamesWhatItCannotDo) {
  expect_failure(run_headlane({"tokenize", "-m", model("head_dim_33_odd"), "a"}),
                 "the file has no tokenizer");
  expect_failure(tokenize({"a", "--source-lang", "fr"}),
                 "the model has no tokens for any languages");
  EXPECT_EQ(run_headlane({"tokenize", "a"}).status, 2);
}

}  // namespace
}  // namespace headlane::test
