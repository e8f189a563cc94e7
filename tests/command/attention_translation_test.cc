// headlane attention on a model that translates.
#include <cfloat>

#include "tests/command/picture.h"
#include "tests/command/translate_fixture.h"

namespace headlane::test {
namespace {

using nlohmann::json;

class AttentionTranslation : public TranslateTest {
 protected:
  static Finished attention(const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"attention", "-m", kExample, kFineDay};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_headlane(arguments);
  }

  static json maps_of(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished done = attention(arguments);
    EXPECT_EQ(done.status, 0) << done.err;
    return json::parse(done.out);
  }

  // The tokens of its own translation.
  static const std::vector<std::string>& source() {
    static const std::vector<std::string> tokens = {"\xe2\x96\x81", "\xe4\xbb\x8a", "\xe5\xa4\xa9",
                                                    "\xe5\xa4\xa9", "\xe6\xb0\x94", "\xe5\xbe\x88",
                                                    "\xe5\xa5\xbd", "</s>"};
    return tokens;
  }
  static std::vector<std::string> target() {
    const std::string blank = "\xe2\x96\x81";
    return {"<pad>",     blank + "It",        "'",           "s",
            blank + "a", blank + "beautiful", blank + "day", blank + "today"};
  }
};

TEST_F(AttentionTranslation, JsonHasAllParts) {
  const json maps = maps_of();
  EXPECT_EQ(maps["text"], kFineDay);
  EXPECT_EQ(maps["target"], "It's a beautiful day today");
  ASSERT_EQ(maps["parts"].size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    const json& part = maps["parts"][i];
    EXPECT_EQ(part["part"], std::vector<std::string>({"encoder", "decoder", "cross"})[i]);
    EXPECT_EQ(part["rows"], json(i == 0 ? source() : target()));
    EXPECT_EQ(part["columns"], json(i == 1 ? target() : source()));
    ASSERT_EQ(part["layers"].size(), 2u);
    EXPECT_EQ(part["layers"][1]["layer"], 1);
    ASSERT_EQ(part["layers"][1]["heads"].size(), 4u);
    EXPECT_EQ(part["layers"][1]["heads"][3]["head"], 3);
  }
}

// A row is e_j / sum e_j: of n rounded quotients by a sum of n rounded terms, n + 2 roundings each
// at most; here they are added in float64. A decoder sees no token that has not come.
TEST_F(AttentionTranslation, RowsSumToOneAndTheDecoderIsMasked) {
  const json maps = maps_of();
  for (const json& part : maps["parts"]) {
    for (const json& layer : part["layers"]) {
      for (const json& head : layer["heads"]) {
        const json& rows = head["probabilities"];
        ASSERT_EQ(rows.size(), part["rows"].size());
        for (size_t i = 0; i < rows.size(); ++i) {
          ASSERT_EQ(rows[i].size(), part["columns"].size());
          double sum = 0;
          for (size_t j = 0; j < rows[i].size(); ++j) {
            sum += rows[i][j].get<double>();
            if (part["part"] == "decoder" && j > i) {
              EXPECT_EQ(rows[i][j], 0);
            }
          }
          EXPECT_NEAR(sum, 1, 10.0 * FLT_EPSILON);
        }
      }
    }
  }
}

TEST_F(AttentionTranslation, PartLayerAndHeadAreParts) {
  const json all = maps_of();
  const json cross = maps_of({"--part", "cross"});
  EXPECT_EQ(cross["parts"], json::array({all["parts"][2]}));
  const json one = maps_of({"--part", "decoder", "--layer", "1", "--head", "2"});
  EXPECT_EQ(one["parts"][0]["layers"][0]["heads"],
            json::array({all["parts"][1]["layers"][1]["heads"][2]}));
}

// Its own translation, given to it, changes nothing; another one changes what the decoder looks at.
TEST_F(AttentionTranslation, TheTargetMayBeGiven) {
  const json own = maps_of();
  EXPECT_EQ(maps_of({"--target", "It's a beautiful day today"}), own);
  const json other = maps_of({"--target", "It's cold"});
  EXPECT_EQ(other["target"], "It's cold");
  EXPECT_EQ(other["parts"][0], own["parts"][0]);
  const json rows = other["parts"][2]["rows"];
  ASSERT_GT(rows.size(), 4u);
  EXPECT_EQ(json(std::vector<json>(rows.begin(), rows.begin() + 4)),
            json(std::vector<std::string>({target()[0], target()[1], target()[2], target()[3]})));
  const auto row = [](const json& maps, size_t i) {
    return maps["parts"][2]["layers"][1]["heads"][0]["probabilities"][i];
  };
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(row(other, i), row(own, i));
  EXPECT_NE(row(other, 4), row(own, 4));
}

TEST_F(AttentionTranslation, TablesPagesAndPictures) {
  const Finished what = attention({});
  EXPECT_TRUE(
      what.out.starts_with("encoder: layers 0 to 1, heads 0 to 3, 8 tokens\n"
                           "decoder: layers 0 to 1, heads 0 to 3, 8 tokens\n"
                           "cross-attention: layers 0 to 1, heads 0 to 3, 8 tokens on 8 "
                           "tokens\n--part encoder, decoder or cross; --layer L"))
      << what.out;
  const Finished three = attention({"--layer", "1", "--head", "0"});
  for (const char* heading :
       {"encoder: layer 1", "\ndecoder: layer 1", "\ncross-attention: layer"}) {
    EXPECT_TRUE(contains(three.out, heading)) << three.out;
  }
  const Finished one =
      attention({"--layer", "1", "--head", "0", "--part", "cross", "--target", "It's"});
  EXPECT_TRUE(one.out.starts_with("cross-attention: layer 1, head 0, 4 tokens on 8 tokens\n"))
      << one.out;
  EXPECT_EQ(lines_of(one.out).size(), 8u);

  const std::string page = dir_.file("page.html");
  ASSERT_EQ(attention({"--html", page}).status, 0);
  EXPECT_TRUE(contains(read_file(page), "\"part\":\"cross\""));
  // Rows and columns count differently: the picture is as high as there are rows.
  const auto picture = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"--png", dir_.file("out.png")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished done = attention(arguments);
    EXPECT_EQ(done.status, 0) << done.err;
    return read_picture(dir_.file("out.png"));
  };
  const std::vector<std::string> chosen = {"--layer", "1", "--head", "0"};
  const Picture short_one = picture({"--layer", "1", "--head", "0", "--target", "It's"});
  const Picture long_one = picture(chosen);
  EXPECT_EQ(long_one.height - short_one.height, 4 * 56) << "a value's cell is 56 pixels high";
  EXPECT_GT(picture({}).colours().size(), 100u);
  EXPECT_GT(picture({"--part", "encoder", "--layer", "0"}).colours().size(), 100u);
}

TEST_F(AttentionTranslation, ThePageShowsEachPart) {
  if (std::system("chromium --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "no chromium";
  const std::string page = dir_.file("page.html");
  ASSERT_EQ(attention({"--html", page, "--target", "It's"}).status, 0);
  for (const auto& [hash, label, cells] :
       {std::tuple{"", "encoder, layer 0, head 0", 64},
        {"#part=decoder&layer=1&head=3", "decoder, layer 1, head 3", 16},
        {"#part=cross&head=2", "cross, layer 0, head 2", 32}}) {
    const Finished done = run_program(
        "chromium", {"--dump-dom", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                     "--disable-dev-shm-usage", "--disable-background-networking",
                     "--user-data-dir=" + dir_.file("profile"), "file://" + page + hash});
    ASSERT_EQ(done.status, 0) << done.err;
    EXPECT_TRUE(contains(done.out, "aria-label=\"" + std::string(label) + "\""));
    size_t n = 0;
    for (size_t at = 0; (at = done.out.find("data-value=", at)) != std::string::npos; ++at) ++n;
    EXPECT_EQ(n, static_cast<size_t>(cells)) << hash;
  }
}

TEST_F(AttentionTranslation, LanguagesBeginTargets) {
  const std::string model = polyglot();
  const auto rows = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"attention", "-m", model, "yes", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished done = run_headlane(arguments);
    EXPECT_EQ(done.status, 0) << done.err;
    return json::parse(done.out)["parts"][2]["rows"];
  };
  EXPECT_EQ(rows({"--target-lang", "fr"})[1], "__fr__");
  const json given = rows({"--target-lang", "fr", "--target", "no"});
  EXPECT_EQ(given[0], "</s>");
  EXPECT_EQ(given[1], "__fr__");
  EXPECT_GT(given.size(), 2u);
}

TEST_F(AttentionTranslation, WhatIsNotThereIsRefused) {
  expect_failure(attention({"--layer", "2"}), "--layer is 2, the encoder has layers 0 to 1");
  expect_failure(attention({"--layer", "2", "--part", "cross"}),
                 "--layer is 2, the decoder has layers 0 to 1");
  expect_failure(attention({"--head", "4"}), "--head is 4");
  std::string many;
  for (int i = 0; i < 64; ++i) many += "a b ";
  expect_failure(attention({"--target", many}), "--target has too many tokens");
  expect_failure(run_headlane({"attention", "-m", kExample, ""}), "the text has no tokens");
  expect_failure(run_headlane({"attention", "-m", model(), "we", "--part", "cross"}),
                 "has no decoder");
  expect_failure(run_headlane({"attention", "-m", model(), "we", "--target", "we"}),
                 "has no decoder");
  EXPECT_EQ(attention({"--part", "middle"}).status, 2);
}

}  // namespace
}  // namespace headlane::test
