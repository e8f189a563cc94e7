// headlane classify and rank.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/command/model_fixture.h"
#include "tests/support/lines.h"

namespace headlane::test {
namespace {

using nlohmann::json;

class CommandClassify : public CommandTest {
 protected:
  static std::string classifier(const std::string& name) { return model("../classify/" + name); }
  static std::string said(const std::vector<std::string>& arguments) {
    const Finished done = run_headlane(arguments);
    EXPECT_EQ(done.status, 0) << done.err;
    return done.out;
  }
  static std::vector<json> lines(const std::string& out) {
    std::vector<json> values;
    for (size_t begin = 0, end; begin < out.size(); begin = end + 1) {
      end = out.find('\n', begin);
      values.push_back(json::parse(out.substr(begin, end - begin)));
    }
    return values;
  }
  static json golden(const std::string& name) {
    return json::parse(read_file(HEADLANE_GOLDEN_DIR "/classify/" + name + "/scores.json"));
  }
};

TEST_F(CommandClassify, ShowsTheLabelsOfAText) {
  const std::string out =
      said({"classify", "-m", classifier("bert_nli"), "The cat sat on the mat."});
  EXPECT_EQ(out, " 0.6490  contradiction\n 0.2885  entailment\n 0.0624  neutral\n");
}

TEST_F(CommandClassify, PrintsJson) {
  const json scores = golden("bert_nli");
  for (const bool pair : {false, true}) {
    std::vector<std::string> arguments = {"classify", "-m", classifier("bert_nli"), "--json",
                                          "The cat sat on the mat."};
    if (pair) arguments.insert(arguments.begin() + 1, {"--pair", "A dog was on a mat."});
    const json line = lines(said(arguments)).at(0);
    EXPECT_EQ(line["text"], "The cat sat on the mat.");
    ASSERT_EQ(line["scores"].size(), 3u);
    const char* const names[] = {"contradiction", "neutral", "entailment"};
    for (const json& score : line["scores"]) {
      const auto label = std::find(names, names + 3, score["label"]) - names;
      EXPECT_NEAR(score["score"].get<double>(),
                  scores[pair ? "pair_scores" : "scores"][0][label].get<double>(), 1e-5);
    }
  }
}

TEST_F(CommandClassify, ManyTexts) {
  const std::string path = dir_.file("lines.txt");
  write_file(path, "we\nthey\n");
  const std::string of_file = said({"classify", "-m", classifier("bert_nli"), "-i", path});
  EXPECT_EQ(of_file, said({"classify", "-m", classifier("bert_nli"), "we", "they"}));
  EXPECT_TRUE(of_file.starts_with("we\n   0.")) << of_file;
  EXPECT_TRUE(contains(of_file, "\nthey\n   0.")) << of_file;
  EXPECT_EQ(lines(said({"classify", "-m", classifier("bert_nli"), "--json", "-i", path})).size(),
            2u);
}

// More texts than one call takes have the scores that each has alone, in their order.
TEST_F(CommandClassify, WindowsOfTexts) {
  const std::string path = dir_.file("many.txt"), nli = classifier("bert_nli");
  std::string text;
  for (int i = 0; i < 400; ++i) {
    text += i % 3 == 0 ? "we sat on mat " + std::to_string(i) + "\n"
                       : std::string(static_cast<size_t>(i % 40), 'a') + " the river was fast\n";
  }
  write_file(path, text);
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{}, {"--pair", "the cat"}, {"--labels", "weather,travel"}}) {
    std::vector<std::string> all = {"classify",       "-m", nli,  "--json",
                                    "--batch-tokens", "64", "-i", path};
    all.insert(all.end(), more.begin(), more.end());
    const std::vector<json> of_file = lines(said(all));
    ASSERT_EQ(of_file.size(), 400u);
    for (const size_t i : {0, 1, 39, 150, 299, 399}) {
      std::vector<std::string> one = {"classify", "-m", nli, "--json", of_file[i]["text"]};
      one.insert(one.end(), more.begin(), more.end());
      EXPECT_EQ(lines(said(one)).at(0), of_file[i]) << i;
    }
  }
}

// Labels, texts and hypotheses are taken as they are.
TEST_F(CommandClassify, LabelsOfTheUsers) {
  const json answer = golden("bert_nli")["zero_shot"][1];  // of one label
  const std::string text = "The cat sat on the mat.";
  const json line = lines(said({"classify", "-m", classifier("bert_nli"), "--json", text,
                                "--labels", " weather ,"}))
                        .at(0);
  ASSERT_EQ(line["scores"].size(), 1u);
  EXPECT_EQ(line["scores"][0]["label"], "weather");
  EXPECT_NEAR(line["scores"][0]["score"].get<double>(), answer["scores"][0][0].get<double>(), 1e-5);
  const auto scores = [&](std::vector<std::string> more) {
    std::vector<std::string> all = {"classify", "-m", classifier("bert_nli"),
                                    "--json",   text, "--labels=--json,[b],++"};
    all.insert(all.end(), more.begin(), more.end());
    return lines(said(all)).at(0)["scores"];
  };
  double sum = 0;
  std::string labels;
  for (const json& score : scores({})) {
    sum += score["score"].get<double>();
    labels += score["label"].get<std::string>() + " ";
  }
  EXPECT_NEAR(sum, 1, 1e-5);
  for (const char* label : {"--json ", "[b] ", "++ "}) EXPECT_TRUE(contains(labels, label));
  EXPECT_NE(scores({"--multi-label"}), scores({}));
  EXPECT_NE(scores({"--template", "about {}"}), scores({}));
  EXPECT_EQ(scores({"--template", "This example is {}."}), scores({}));
}

TEST_F(CommandClassify, RawScores) {
  const json line =
      lines(said({"classify", "-m", classifier("bert_nli"), "--raw", "--json", "we"})).at(0);
  double sum = 0;
  for (const json& score : line["scores"]) sum += score["score"].get<double>();
  EXPECT_GT(std::fabs(sum - 1), 1e-3);
}

TEST_F(CommandClassify, Ranks) {
  const json order = golden("bert_cross_encoder")["order"];
  const std::string folder = HEADLANE_GOLDEN_DIR "/classify/bert_cross_encoder";
  const std::vector<std::string> arguments = {"rank",
                                              "-m",
                                              classifier("bert_cross_encoder"),
                                              "--json",
                                              "The cat sat on the mat.",
                                              "-i",
                                              folder + "/second.txt"};
  const std::vector<json> ranked = lines(said(arguments));
  ASSERT_EQ(ranked.size(), order.size());
  const std::vector<std::string> texts = read_lines(folder + "/second.txt");
  for (size_t i = 0; i < order.size(); ++i) {
    EXPECT_EQ(ranked[i]["document"], order[i]) << i;
    EXPECT_EQ(ranked[i]["text"], texts[order[i].get<size_t>()]);
    EXPECT_LE(ranked[i]["score"], ranked[i == 0 ? 0 : i - 1]["score"]);
  }
  std::vector<std::string> some = arguments;
  some.insert(some.end(), {"--top-k", "2"});
  EXPECT_EQ(lines(said(some)), (std::vector<json>{ranked[0], ranked[1]}));
  some.back() = "1000";
  EXPECT_EQ(lines(said(some)), ranked);
}

TEST_F(CommandClassify, RankPrintsLines) {
  const std::string out = said({"rank", "-m", classifier("bert_cross_encoder"), "--top-k", "2",
                                "The cat sat on the mat.", "A dog was on a mat.", "", "we", "-5"});
  EXPECT_EQ(out, " 0.3725     4  -5\n 0.3575     1  A dog was on a mat.\n");
}

// No text is an option, whatever it looks like.
TEST_F(CommandClassify, TextsAreTakenAsTheyAre) {
  const std::vector<json> ranked =
      lines(said({"rank", "-m", classifier("bert_cross_encoder"), "--json", "--", "--help",
                  "--json", "-x", "++", "[b]", "--"}));
  std::set<std::string> texts;
  for (const json& line : ranked) texts.insert(line["text"]);
  EXPECT_EQ(texts, (std::set<std::string>{"--json", "-x", "++", "[b]", "--"}));
  const json line = lines(said({"classify", "-m", classifier("bert_nli"), "--json", "--pair=--raw",
                                "--", "--labels"}))
                        .at(0);
  EXPECT_EQ(line["text"], "--labels");
}

// By vectors, where the model makes these.
TEST_F(CommandClassify, RanksByCosines) {
  const std::vector<json> ranked = lines(
      said({"rank", "-m", model(), "--json", "the cat", "we", "the cat", "a river in the rain"}));
  ASSERT_EQ(ranked.size(), 3u);
  EXPECT_EQ(ranked[0]["document"], 1);
  EXPECT_NEAR(ranked[0]["score"].get<double>(), 1, 1e-6);
  EXPECT_GE(ranked[1]["score"], ranked[2]["score"]);
}

// The makers' own measure ranks, not always the cosine.
TEST_F(CommandClassify, RanksByTheModelsSimilarity) {
  const TempDir dir;
  const std::string folder = dir.file("folder"), file = dir.file("m.headlane");
  std::filesystem::copy(golden_folder("head_dim_16_mean_normalize"), folder,
                        std::filesystem::copy_options::recursive);
  const std::vector<std::string> texts = {"we", "the cat", "a river in the rain"};
  for (const std::string measure : {"dot", "euclidean", "manhattan"}) {
    write_file(folder + "/config_sentence_transformers.json",
               json{{"similarity_fn_name", measure}}.dump());
    said({"convert", folder, "-o", file});
    std::vector<std::vector<double>> vectors;
    for (const json& line :
         lines(said({"embed", "-m", file, "a cat", texts[0], texts[1], texts[2]}))) {
      vectors.push_back(line.get<std::vector<double>>());
    }
    ASSERT_EQ(vectors.size(), 4u);
    for (const json& ranked :
         lines(said({"rank", "-m", file, "--json", "a cat", texts[0], texts[1], texts[2]}))) {
      const std::vector<double>& other = vectors[ranked["document"].get<size_t>() + 1];
      double product = 0, squares = 0, differences = 0;
      for (size_t i = 0; i < other.size(); ++i) {
        const double difference = vectors[0][i] - other[i];
        product += vectors[0][i] * other[i];
        squares += difference * difference;
        differences += std::abs(difference);
      }
      const double expected = measure == "dot"         ? product
                              : measure == "euclidean" ? -std::sqrt(squares)
                                                       : -differences;
      EXPECT_NEAR(ranked["score"].get<double>(), expected, 1e-5) << measure;
    }
  }
}

TEST_F(CommandClassify, OtherModelsAreRefused) {
  expect_failure(run_headlane({"classify", "-m", model(), "a"}), "is no classifier");
  expect_failure(run_headlane({"rank", "-m", classifier("bert_nli"), "a", "b"}),
                 "texts are ranked by models of one label, but this one has 3");
  expect_failure(
      run_headlane({"classify", "-m", classifier("bert_multi_label"), "a", "--labels", "b"}),
      "none of this model's labels begins with \"entail\"");
  expect_failure(run_headlane({"embed", "-m", classifier("bert_nli"), "a"}),
                 "the model is a classifier");
  expect_failure(run_headlane({"classify", "-m", classifier("bert_nli"), "a", "--labels", "b",
                               "--template", "no place"}),
                 "hypothesis is \"no place\"");
}

TEST_F(CommandClassify, MistakesInTheCommandLine) {
  const std::string nli = classifier("bert_nli");
  const std::vector<std::string> wrong[] = {
      {"rank", "-m", nli},
      {"classify", "-m", nli, "a", "--labels", ","},
      {"classify", "-m", nli, "a", "--labels", "b", "--pair", "c"},
      {"classify", "-m", nli, "a", "--multi-label"},
      {"classify", "-m", nli, "a", "--template", "{}"},
      {"classify", "-m", nli, "a", "--labels", "b", "--raw"},
      {"rank", "-m", nli, "a", "b", "--top-k", "-1"}};
  for (const auto& arguments : wrong)
    EXPECT_EQ(run_headlane(arguments).status, 2) << arguments.back();
}

TEST_F(CommandClassify, InfoShowsLabels) {
  const std::string text = said({"info", classifier("bert_nli")});
  EXPECT_TRUE(contains(text, "outcome            softmax\n")) << text;
  EXPECT_TRUE(contains(text, "\"entailment\"  (entailment: classify --labels works)\n")) << text;
}

}  // namespace
}  // namespace headlane::test
