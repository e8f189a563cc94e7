// Prompts of a model, in every command that takes texts for vectors.
#include <nlohmann/json.hpp>

#include "tests/command/model_fixture.h"

namespace headlane::test {
namespace {

using nlohmann::json;

class CommandPrompts : public CommandTest {
 protected:
  // The golden model with a default prompt.
  std::string prompted() {
    const std::string folder = dir_.file("hf"), path = dir_.file("m.headlane");
    std::filesystem::copy(golden_folder("head_dim_17_max_normalize"), folder,
                          std::filesystem::copy_options::recursive);
    write_file(folder + "/config_sentence_transformers.json",
               R"({"prompts": {"query": "the dog: ", "passage": "we "},
                   "default_prompt_name": "query"})");
    const Finished done = run_headlane({"convert", folder, "-o", path});
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_EQ(done.err, "");
    return path;
  }
  static std::string said(std::vector<std::string> arguments) {
    const Finished done = run_headlane(arguments);
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_NE(done.out, "");
    return done.out;
  }
};

TEST_F(CommandPrompts, EmbedPutsThemBeforeTexts) {
  const std::string path = prompted();
  const auto embed = [&](const std::string& text, std::vector<std::string> more) {
    std::vector<std::string> all = {"embed", "-m", path, text};
    all.insert(all.end(), more.begin(), more.end());
    return said(all);
  };
  const std::string none = embed("the dog: run", {"--prompt", ""});
  EXPECT_EQ(embed("run", {}), none);
  EXPECT_EQ(embed("run", {"--prompt-name", "query"}), none);
  EXPECT_EQ(embed("run", {"--prompt", "the dog: "}), none);
  EXPECT_NE(embed("run", {"--prompt", ""}), none);
  EXPECT_EQ(embed("run", {"--prompt-name", "passage"}), embed("we run", {"--prompt", ""}));
  EXPECT_EQ(embed("run", {"--prompt-name", "document"}), embed("run", {"--prompt", ""}));
  EXPECT_EQ(embed("run", {"--query"}), none);
  EXPECT_EQ(embed("run", {"--document"}), embed("run", {"--prompt", ""}));
}

TEST_F(CommandPrompts, EmbedMakesVectorsAsItIsTold) {
  const std::string path = prompted();
  const auto vector = [&](std::vector<std::string> more) {
    std::vector<std::string> all = {"embed", "-m", path, "we ran"};
    all.insert(all.end(), more.begin(), more.end());
    return json::parse(said(all)).get<std::vector<double>>();
  };
  const std::vector<double> whole = vector({});
  ASSERT_EQ(whole.size(), 51u);
  EXPECT_EQ(vector({"--truncate-dim", "3"}), std::vector<double>(whole.begin(), whole.begin() + 3));
  EXPECT_EQ(vector({"--truncate-dim", "52"}), whole);
  EXPECT_EQ(vector({"--pooling", "max"}), whole) << "the model's own";
  EXPECT_NE(vector({"--pooling", "lasttoken"}), whole);
  const Finished none = run_headlane({"embed", "-m", path, "--truncate-dim", "0", "run"});
  EXPECT_EQ(none.status, 2) << none.err;
  EXPECT_EQ(run_headlane({"embed", "-m", path, "--pooling", "first", "run"}).status, 2);
}

TEST_F(CommandPrompts, SimilarityAndAttentionToo) {
  const std::string path = prompted();
  const std::string prompted_cosine =
      said({"similarity", "-m", path, "run", "we", "--prompt", "the cat "});
  const auto cosines = [](const std::string& out) {
    return out.substr(out.find("pairs")).substr(6, 5);
  };
  const std::string as_text =
      said({"similarity", "-m", path, "the cat run", "the cat we", "--prompt", ""});
  EXPECT_EQ(cosines(prompted_cosine), cosines(as_text));
  const auto tokens = [](const std::string& out) { return json::parse(out)["tokens"]; };
  const json by_default = tokens(said({"attention", "-m", path, "run", "--json"}));
  EXPECT_EQ(by_default,
            tokens(said({"attention", "-m", path, "the dog: run", "--prompt", "", "--json"})));
  EXPECT_NE(by_default, tokens(said({"attention", "-m", path, "run", "--prompt", "", "--json"})));
}

TEST_F(CommandPrompts, InfoShowsThem) {
  const std::string path = prompted();
  const std::string text = said({"info", path});
  EXPECT_TRUE(contains(text, "\"the dog: \"  (put before texts by default)\n")) << text;
  EXPECT_TRUE(contains(text, "  passage              \"we \"\n")) << text;
  const json facts = json::parse(said({"info", path, "--json"}));
  EXPECT_EQ(facts["config"]["prompts"]["texts"],
            (json{{"query", "the dog: "}, {"passage", "we "}}));
  EXPECT_EQ(facts["config"]["prompts"]["default"], "query");
  EXPECT_FALSE(json::parse(said({"info", model(), "--json"}))["config"].contains("prompts"));
}

TEST_F(CommandPrompts, OthersAreNamed) {
  expect_failure(run_headlane({"embed", "-m", prompted(), "--prompt-name", "title", "run"}),
                 "the model has no prompt \"title\"; it has: document, passage, query");
  const Finished both =
      run_headlane({"embed", "-m", model(), "--prompt-name", "query", "--prompt", "x", "run"});
  EXPECT_EQ(both.status, 2) << both.err;
  for (const std::vector<std::string>& other :
       {std::vector<std::string>{"--document"}, {"--prompt", "x"}, {"--prompt-name", "query"}}) {
    std::vector<std::string> all = {"embed", "-m", model(), "--query", "run"};
    all.insert(all.end(), other.begin(), other.end());
    EXPECT_EQ(run_headlane(all).status, 2) << other.front();
  }
}

TEST_F(CommandPrompts, AFolderThatDoesNotSayHowToPool) {
  const std::string folder = golden_folder("head_dim_33_odd"), out = dir_.file("m.headlane");
  const Finished done = run_headlane({"convert", folder, "-o", out});
  EXPECT_EQ(done.status, 0);
  EXPECT_TRUE(done.err.starts_with("headlane: note: " + folder + ": has no modules.json"))
      << done.err;
  EXPECT_EQ(json::parse(said({"info", out, "--json"}))["config"]["head"]["pooling"], "mean");
  const Finished told = run_headlane({"convert", folder, "-o", out, "--pooling", "cls"});
  EXPECT_EQ(told.status, 0);
  EXPECT_EQ(told.err, "");
  EXPECT_EQ(json::parse(said({"info", out, "--json"}))["config"]["head"]["pooling"], "cls");
  EXPECT_EQ(run_headlane({"convert", folder, "-o", out, "--pooling", "last"}).status, 2);
}

}  // namespace
}  // namespace headlane::test
