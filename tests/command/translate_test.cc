// headlane translate.
#include <set>

#include "tests/command/translate_fixture.h"

namespace headlane::test {
namespace {

using nlohmann::json;

using Translate = TranslateTest;

TEST_F(Translate, AFineDay) { EXPECT_EQ(output({kFineDay}), "It's a beautiful day today\n"); }

// Whatever the file's weights are computed in: the first sources, since tests/api/translate_example
// takes all of them.
TEST_F(Translate, GivesTheIdsAndTextsOfTransformers) {
  constexpr size_t kFirst = 64;
  const std::string file = dir_.file("source_ids");
  write_file(file, first_lines(kPairs + "/source_ids.txt", kFirst));
  for (const char* precision : {"f32", "bf16", "int8"}) {
    for (const char* beams : {"1", "4"}) {
      const std::string golden = beams == std::string("1") ? "/greedy_ids.txt" : "/beam4_ids.txt";
      EXPECT_EQ(output({"--precision", precision, "--beams", beams, "--ids", "-i", file}),
                first_lines(kPairs + golden, kFirst))
          << precision << ", beams " << beams;
    }
  }
  EXPECT_EQ(output({"--beams", "1", "-i", kPairs + "/sources.txt"}),
            read_file(kPairs + "/greedy.txt"));
}

TEST_F(Translate, ReadsArgumentsFileAndStandardInputAlike) {
  const std::string texts = sources(40), file = dir_.file("texts");
  write_file(file, texts);
  std::vector<std::string> arguments = {"--"};
  for (const std::string& text : lines_of(texts)) arguments.push_back(text);
  const std::string expected = output({"-i", file});
  EXPECT_EQ(lines_of(expected).size(), 40u);
  EXPECT_EQ(output({}, texts), expected);
  EXPECT_EQ(output({"-i", "-"}, texts), expected);
  EXPECT_EQ(output(arguments), expected);
}

// However sources are put into batches, by however many threads, to the last digit of a score.
TEST_F(Translate, AnswersDoNotDependOnTheBatch) {
  const std::string texts = sources(100);
  for (const std::vector<std::string>& search :
       {std::vector<std::string>{"--beams", "4", "--n-best", "4"},
        {"--beams", "1"},
        {"--sample", "--seed", "7", "--n-best", "2"}}) {
    const auto by = [&](const std::string& batch, const std::string& threads) {
      std::vector<std::string> more = {"--json", "--batch", batch, "--threads", threads};
      more.insert(more.end(), search.begin(), search.end());
      return output(more, texts);
    };
    const std::string expected = by("32", "2");
    EXPECT_EQ(lines_of(expected).size(), 100u);
    EXPECT_TRUE(by("1", "1") == expected);
    EXPECT_TRUE(by("5", "3") == expected);
    EXPECT_TRUE(by("100", "2") == expected);
  }
}

TEST_F(Translate, EmptyLinesGiveEmptyLines) {
  EXPECT_EQ(output({}, "\n" + kFineDay + "\n\n  \n" + kFineDay),
            "\nIt's a beautiful day today\n\n\nIt's a beautiful day today\n");
  EXPECT_EQ(output({}), "");
  EXPECT_EQ(output({""}), "\n");
  EXPECT_EQ(output({"--n-best", "2", ""}), "\n\n") << "as many lines for each text";
  EXPECT_EQ(output({"--stream"}, "\n" + kFineDay + "\n\n"), "\nIt's a beautiful day today\n\n");
  EXPECT_EQ(output({"--json", ""}), "{\"text\":\"\",\"answers\":[]}\n");
  EXPECT_EQ(output({"--ids"}, "\n  \n"), "\n\n");
}

TEST_F(Translate, JsonHasTextsScoresAndIds) {
  const std::string texts = sources(20) + "\n";
  const std::vector<std::string> plain = lines_of(output({"--n-best", "3"}, texts));
  const std::vector<std::string> scored = lines_of(output({"--n-best", "3", "--scores"}, texts));
  const std::vector<std::string> objects = lines_of(output({"--n-best", "3", "--json"}, texts));
  ASSERT_EQ(objects.size(), 21u);
  ASSERT_EQ(plain.size(), 63u);
  ASSERT_EQ(scored.size(), 63u);
  for (size_t i = 0; i < 20; ++i) {
    const json object = json::parse(objects[i]);
    EXPECT_EQ(object["text"], lines_of(texts)[i]);
    ASSERT_EQ(object["answers"].size(), 3u);
    for (size_t k = 0; k < 3; ++k) {
      const json& answer = object["answers"][k];
      EXPECT_EQ(answer["text"], plain[3 * i + k]);
      char score[32];
      std::snprintf(score, sizeof score, "%.4f\t", answer["score"].get<double>());
      EXPECT_EQ(score + plain[3 * i + k], scored[3 * i + k]);
      EXPECT_EQ(answer["ids"].back(), 0) << "the end";
      if (k > 0) {
        EXPECT_LE(answer["score"], object["answers"][k - 1]["score"]);
      }
    }
  }
  const json ids = json::parse(output({"--ids", "--json", "2 429 518 518 483 512 367 417 0"}));
  EXPECT_EQ(ids["ids"], json({2, 429, 518, 518, 483, 512, 367, 417, 0}));
  EXPECT_FALSE(ids["answers"][0].contains("text"));
}

TEST_F(Translate, OptionsOfTheSearchSteerIt) {
  const auto first = [](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = more;
    arguments.insert(arguments.end(), {"--json", kFineDay});
    return json::parse(output(arguments))["answers"][0];
  };
  EXPECT_EQ(first({"--max-length", "3"})["ids"].size(), 3u);
  EXPECT_GE(first({"--min-length", "20"})["ids"].size(), 20u);
  EXPECT_EQ(first({"--max-length", "20", "--min-length", "20"})["ids"].size(), 20u);
  // Scores are sums over lengths, the length being 8: the beginning counts as one of its tokens.
  const double mean = first({"--beams", "2"})["score"];
  const double sum = first({"--beams", "2", "--length-penalty", "0"})["score"];
  const double square = first({"--beams", "2", "--length-penalty", "2"})["score"];
  EXPECT_NEAR(sum, 8 * mean, 1e-6);
  EXPECT_NEAR(square, mean / 8, 1e-6);
  for (const char* when : {"first", "never", "heuristic"}) {
    EXPECT_EQ(first({"--early-stopping", when})["text"], "It's a beautiful day today");
  }
  // Where the end may not come, the model says the same again and again, unless that is penalised.
  const auto n_different = [&](const char* penalty) {
    const json answer =
        first({"--repetition-penalty", penalty, "--min-length", "30", "--beams", "1"});
    const std::vector<int> ids = answer["ids"];
    return std::set<int>(ids.begin(), ids.end()).size();
  };
  EXPECT_GT(n_different("3"), n_different("1"));
}

TEST_F(Translate, SamplesFollowTheirSeed) {
  const auto samples = [](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"--sample", "--n-best", "8", kFineDay};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return output(arguments);
  };
  const std::string hot = samples({"--temperature", "3", "--seed", "1"});
  EXPECT_EQ(lines_of(hot).size(), 8u);
  EXPECT_EQ(samples({"--temperature", "3", "--seed", "1"}), hot);
  EXPECT_NE(samples({"--temperature", "3", "--seed", "2"}), hot);
  std::string likeliest;
  for (int i = 0; i < 8; ++i) likeliest += "It's a beautiful day today\n";
  EXPECT_EQ(samples({"--temperature", "3", "--top-k", "1"}), likeliest);
  EXPECT_EQ(samples({"--temperature", "3", "--top-p", "1e-6"}), likeliest);
  EXPECT_NE(samples({"--temperature", "9", "--top-k", "2"}), likeliest);
}

TEST_F(Translate, StreamsTheSameText) {
  const std::string texts = sources(12);
  EXPECT_EQ(output({"--stream"}, texts), output({"--beams", "1"}, texts));
  EXPECT_EQ(output({"--stream", "--ids", "2 429 518 518 483 512 367 417 0"}),
            output({"--beams", "1", "--ids", "2 429 518 518 483 512 367 417 0"}));
  EXPECT_EQ(output({"--stream", "--sample", "--seed", "3"}, texts),
            output({"--sample", "--seed", "3"}, texts));
}

TEST_F(Translate, LongTextsAreCutAndSaidToBe) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += kFineDay;
  const Finished done = translate({text, kFineDay});
  EXPECT_EQ(done.status, 0);
  EXPECT_EQ(done.err, "headlane: 1 of 2 texts had more than 64 tokens and were cut\n");
  EXPECT_EQ(lines_of(done.out).size(), 2u);
}

TEST_F(Translate, BytesThatAreNotUtf8AreText) {
  const Finished done = translate({"--json", "\xff" + kFineDay});
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(json::parse(done.out)["text"], "\xef\xbf\xbd" + kFineDay);
}

TEST_F(Translate, StatisticsAreOnStandardError) {
  const Finished done = translate({"--stats", kFineDay});
  EXPECT_EQ(done.status, 0);
  EXPECT_EQ(done.out, "It's a beautiful day today\n");
  for (const char* words : {"model opened in ", "1 sources of 8 tokens, 8 target tokens, ",
                            " sources/s, ", " target tokens/s\n"}) {
    EXPECT_TRUE(contains(done.err, words)) << done.err;
  }
}

TEST_F(Translate, WhatCannotBeDoneIsSaid) {
  expect_failure(translate_by(model(), {"we"}), "has no decoder");
  expect_failure(translate({"--n-best", "5", kFineDay}), "n_best is 5");
  expect_failure(translate({"--beams", "997", kFineDay}), "max_beams is 997");
  expect_failure(translate({"--max-length", "65", kFineDay}),
                 "--max-length is 65, but the model's targets have at most 64 tokens");
  expect_failure(translate({"--min-length", "9", "--max-length", "8", kFineDay}),
                 "min_new_tokens is 9");
  expect_failure(translate({"--target-lang", "en", kFineDay}),
                 "--target-lang is en, but the model has no tokens for languages");
  expect_failure(translate({"--ids", "996"}), "line 1: id 996 is not in the range from 0 to 995");
  expect_failure(translate({"--ids", "1 x"}), "line 1: \"x\" is not a token id");
  std::string many;
  for (int i = 0; i < 65; ++i) many += "5 ";
  expect_failure(translate({"--ids", many}), "there are 65 ids, but the model takes at most 64");
  expect_failure(translate({"-i", dir_.file("missing")}), dir_.file("missing"));
}

TEST_F(Translate, WrongCommandLinesAreUsage) {
  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"--beams", "0"},
                                                {"--temperature", "1"},
                                                {"--sample", "--temperature", "0"},
                                                {"--sample", "--top-p", "1.5"},
                                                {"--sample", "--beams", "2"},
                                                {"--early-stopping", "soon"},
                                                {"--stream", "--beams", "2"},
                                                {"--stream", "--n-best", "2"},
                                                {"--stream", "--json"},
                                                {"--scores", "--json"},
                                                {"--batch", "0"}}) {
    std::vector<std::string> more = wrong;
    more.push_back(kFineDay);
    const Finished done = translate(more);
    EXPECT_EQ(done.status, 2) << wrong[0] << " " << wrong.back();
    EXPECT_EQ(done.out, "");
  }
}

TEST_F(Translate, LanguagesAreFoundByName) {
  const std::string model = polyglot();
  const auto ids_of = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = more;
    arguments.insert(arguments.end(), {"--json", "yes"});
    const Finished done = translate_by(model, arguments);
    EXPECT_EQ(done.status, 0) << done.err;
    return json::parse(done.out)["answers"][0]["ids"];
  };
  // Their tokens are those after the 501 pieces.
  const json info = json::parse(run_headlane({"info", "--json", model}).out);
  const std::vector<std::string> names = info["tokenizer"]["languages"];
  ASSERT_EQ(names.size(), 100u);
  for (const char* name : {"en", "fr", "zh"}) {
    const auto place = std::find(names.begin(), names.end(), name) - names.begin();
    EXPECT_EQ(ids_of({"--target-lang", name})[0], 501 + place) << name;
  }
  EXPECT_NE(ids_of({"--target-lang", "fr", "--source-lang", "zh"}),
            ids_of({"--target-lang", "fr", "--source-lang", "en"}));
  EXPECT_TRUE(contains(run_headlane({"info", model}).out, "\nlanguages          100\n"));
  expect_failure(translate_by(model, {"yes"}), "--target-lang is needed: the model has 100");
  expect_failure(translate_by(model, {"--target-lang", "xx", "yes"}),
                 "--target-lang is xx, which is not one of the model's 100 languages");
  expect_failure(translate_by(model, {"--target-lang", "fr", "--source-lang", "xx", "yes"}),
                 "--source-lang is xx");
}

TEST_F(Translate, AModelsOwnTargetNeedsNoSaying) {
  const Finished done = translate_by(polyglot(520), {"--json", "yes"});
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(json::parse(done.out)["answers"][0]["ids"][0], 520);
}

// The other commands on a model with a decoder.
TEST_F(Translate, OtherCommandsSayWhatThereIs) {
  const std::string info = run_headlane({"info", kExample}).out;
  for (const char* line :
       {"architecture       encoder_decoder", "n_decoder_layers   2", "n_decoder_heads    4",
        "decoder_d_ff       384", "decoder_vocab_size 996", "max_target_len     64",
        "n_beams            4"}) {
    EXPECT_TRUE(contains("\n" + info, "\n" + std::string(line) + "\n")) << line;
  }
  EXPECT_FALSE(contains(info, "languages"));
  expect_failure(run_headlane({"embed", "-m", kExample, kFineDay}), "no pooling");
  expect_failure(run_headlane({"similarity", "-m", kExample, kFineDay, kFineDay}), "no pooling");
  const std::string ids = dir_.file("ids"), npy = dir_.file("out.npy");
  write_file(ids, "2 429 0\n7 0\n");
  const Finished done = run_headlane({"encode", "-m", kExample, "--ids", ids, "-o", npy});
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(read_npy(npy).shape, (std::vector<int64_t>{5, 128}));
}

}  // namespace
}  // namespace headlane::test
