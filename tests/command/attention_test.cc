// headlane attention: its table, its JSON, its picture.
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <headlane/headlane.hpp>
#include <sstream>

#include "tests/command/attention_fixture.h"
#include "tests/command/picture.h"
#include "tests/support/lines.h"
#include "tools/headlane/picture/attention_colour.h"

namespace headlane::test {
namespace {

using nlohmann::json;

class Attention : public AttentionTest {
 protected:
  // All of it by the C API: [2 layers, 5 heads, n, n].
  std::vector<float> by_the_api(const std::string& text) const {
    const headlane::Model model(model_);
    const headlane::Batch batch = headlane::Batch().add(model.tokenize(text));
    const auto n = static_cast<int64_t>(batch.n_tokens());
    std::vector<float> p(static_cast<size_t>(2 * 5 * n * n));
    headlane_attention_maps maps = HEADLANE_INIT(headlane_attention_maps);
    maps.data = p.data();
    maps.layer_stride = maps.seq_stride = 5 * n * n;
    maps.head_stride = n * n;
    maps.query_stride = n;
    headlane::Outputs outputs;
    outputs.attention = &maps;
    headlane::Session(model).encode(batch.get(), outputs);
    return p;
  }

  static std::vector<float> flat(const json& maps) {
    std::vector<float> p;
    for (const json& layer : maps["layers"]) {
      for (const json& head : layer["heads"]) {
        for (const json& row : head["probabilities"]) {
          for (const json& value : row) p.push_back(value.get<float>());
        }
      }
    }
    return p;
  }

  void expect_no_temporaries(size_t n_files) const { EXPECT_EQ(dir_.n_entries(), n_files + 1); }
};

TEST_F(Attention, JsonIsWhatTheApiGives) {
  for (const int n : {3, 60}) {
    const json maps = maps_of(text_of(n));
    EXPECT_EQ(maps["model"], "hostile.headlane");
    EXPECT_EQ(maps["text"], text_of(n));
    EXPECT_EQ(maps["tokens"].size(), static_cast<size_t>(n));
    EXPECT_EQ(maps["layers"][1]["layer"], 1);
    EXPECT_EQ(maps["layers"][1]["heads"][4]["head"], 4);
    EXPECT_TRUE(flat(maps) == by_the_api(text_of(n))) << n << " tokens";
  }
}

TEST_F(Attention, JsonNamesTheTokens) {
  const json tokens = maps_of(text_of(23))["tokens"];
  EXPECT_EQ(tokens[0], "[CLS]");
  EXPECT_EQ(tokens[1], "a");
  for (size_t k = 0; k < hostile_tokens().size(); ++k) {
    EXPECT_EQ(tokens[2 * k + 2], hostile_tokens()[k]);
  }
  EXPECT_EQ(tokens[22], "[SEP]");
}

// A row is e_j / sum e_j: of n rounded quotients by a sum of n rounded terms, n + 2 roundings each
// at most; here they are added in float64.
TEST_F(Attention, RowsSumToOne) {
  const json maps = maps_of(text_of(60));
  for (const json& layer : maps["layers"]) {
    for (const json& head : layer["heads"]) {
      for (const json& row : head["probabilities"]) {
        double sum = 0;
        for (const json& value : row) sum += value.get<double>();
        EXPECT_NEAR(sum, 1, 62.0 * FLT_EPSILON);
      }
    }
  }
}

TEST_F(Attention, LayerAndHeadAreParts) {
  const std::string text = text_of(9);
  const json all = maps_of(text);
  const json layer = maps_of(text, {"--layer", "1"}), head = maps_of(text, {"--head", "3"});
  ASSERT_EQ(layer["layers"].size(), 1u);
  EXPECT_EQ(layer["layers"][0], all["layers"][1]);
  ASSERT_EQ(head["layers"].size(), 2u);
  ASSERT_EQ(head["layers"][1]["heads"].size(), 1u);
  EXPECT_EQ(head["layers"][1]["heads"][0], all["layers"][1]["heads"][3]);
  const json one = maps_of(text, {"--layer", "0", "--head", "2"});
  EXPECT_EQ(one["layers"][0]["heads"], json::array({all["layers"][0]["heads"][2]}));
}

TEST_F(Attention, JsonGoesWhereItIsTold) {
  const std::string text = text_of(5), file = dir_.file("out.json");
  const Finished to_file = attention(text, {"--json", file});
  ASSERT_EQ(to_file.status, 0) << to_file.err;
  EXPECT_EQ(to_file.out + to_file.err, "");
  EXPECT_EQ(read_file(file), attention(text, {"--json"}).out);
  EXPECT_EQ(read_file(file), attention(text, {"--json", "-"}).out);
  // The name of a file is never taken for the text, nor the text for one.
  EXPECT_EQ(read_file(file), run_headlane({"attention", "-m", model_, "--json", text}).out);
  expect_no_temporaries(1);
}

TEST_F(Attention, TableHasTheTokensOnBothAxes) {
  const std::string text = "a \xe7\x8c\xab <!--<script> b";
  const Finished done = attention(text, {"--layer", "1", "--head", "2"});
  ASSERT_EQ(done.status, 0) << done.err;
  std::istringstream in(done.out);
  std::string title, meaning, empty, header;
  for (std::string* line : {&title, &meaning, &empty, &header}) std::getline(in, *line);
  EXPECT_EQ(title, "layer 1, head 2, 6 tokens");
  EXPECT_EQ(header, "              [CLS]      a     \xe7\x8c\xab <!-...      b  [SEP]");
  const json maps = maps_of(text, {"--layer", "1", "--head", "2"});
  for (size_t i = 0; i < 6; ++i) {
    std::string token, value;
    in >> token;
    EXPECT_EQ(token, maps["tokens"][i]);
    for (size_t j = 0; j < 6; ++j) {
      in >> value;
      EXPECT_EQ(value.size(), 6u) << "four decimals";
      const double p = maps["layers"][0]["heads"][0]["probabilities"][i][j].get<double>();
      EXPECT_NEAR(std::stod(value), p, 0.5001e-4);
    }
  }
}

TEST_F(Attention, WithoutAChoiceItSaysWhatThereIs) {
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{}, {"--layer", "1"}, {"--head", "1"}}) {
    const Finished done = attention("a b", more);
    EXPECT_EQ(done.status, 0) << done.err;
    EXPECT_TRUE(contains(done.out, "--layer L --head H")) << done.out;
  }
  EXPECT_TRUE(attention("a b", {}).out.starts_with("layers 0 to 1, heads 0 to 4, 4 tokens\n"));
}

TEST_F(Attention, WhatIsNotThereIsRefused) {
  expect_failure(attention("a", {"--layer", "2"}), "--layer is 2, the model has layers 0 to 1");
  expect_failure(attention("a", {"--head", "5"}), "--head is 5, the model has heads 0 to 4");
  expect_failure(run_headlane({"attention", "-m", model(), "we", "--layer", "1"}),
                 "--layer is 1, the model has layer 0 only");
  const std::string without = model("head_dim_5_one_type_gelu_new");
  expect_failure(run_headlane({"attention", "-m", without, "a"}), "the file has no tokenizer");
  for (const char* option : {"--html", "--png", "--json"}) {
    const std::string nowhere = dir_.file("no/out");
    expect_failure(attention("a", {option, nowhere}), nowhere);
    expect_failure(attention("a", {option, dir_.path()}), dir_.path());
  }
  expect_no_temporaries(0);
}

TEST_F(Attention, BytesThatAreNotUtf8AreReplaced) {
  const json maps = maps_of("a \xff");
  EXPECT_EQ(maps["text"], "a \xef\xbf\xbd");
}

// Without fonts the first pixel that is not white is the corner of the matrix's border; its cells
// begin at the next one and are 56 pixels wide and high.
TEST_F(Attention, PictureHasTheCellsEvenWithoutFonts) {
  const std::string fonts = dir_.file("fonts.conf"), png = dir_.file("out.png");
  write_file(fonts, "<?xml version=\"1.0\"?><fontconfig></fontconfig>");
  const Settings no_fonts{.input = "", .more = {"FONTCONFIG_FILE=" + fonts}};
  const Finished done = attention("a b", {"--layer", "1", "--head", "2", "--png", png}, no_fonts);
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(done.out, "");
  const Picture picture = read_picture(png);
  const auto corner = std::find_if(picture.pixels.begin(), picture.pixels.end(),
                                   [](uint32_t colour) { return colour != 0xffffff; });
  const std::vector<float> p = flat(maps_of("a b", {"--layer", "1", "--head", "2"}));
  ASSERT_EQ(p.size(), 16u);
  const float largest = *std::max_element(p.begin(), p.end());
  for (size_t k = 0; k < 16; ++k) {
    const auto x = static_cast<std::ptrdiff_t>(29 + 56 * (k % 4));
    const auto y = static_cast<std::ptrdiff_t>(29 + 56 * (k / 4));
    const uint32_t colour = *(corner + y * picture.width + x);
    const tool::Rgb rgb = tool::attention_colour(static_cast<double>(p[k] / largest));
    EXPECT_NEAR(colour >> 16, 255 * rgb.red, 1) << k;  // cairo's rounding
    EXPECT_NEAR(colour >> 8 & 255, 255 * rgb.green, 1) << k;
    EXPECT_NEAR(colour & 255, 255 * rgb.blue, 1) << k;
  }
}

TEST_F(Attention, PicturesOfAnySelectionComeOut) {
  const std::string png = dir_.file("out.png");
  for (const int n : {3, 60, 300}) {
    for (const std::vector<std::string>& which :
         {std::vector<std::string>{}, {"--layer", "1"}, {"--layer", "1", "--head", "0"}}) {
      std::vector<std::string> more = which;
      more.insert(more.end(), {"--png", png});
      const Finished done = attention(text_of(n), more);
      ASSERT_EQ(done.status, 0) << done.err;
      EXPECT_EQ(done.out + done.err, "");
      const Picture picture = read_picture(png);
      EXPECT_GT(picture.width, 400);
      EXPECT_GT(picture.height, 300);
      EXPECT_GT(picture.colours().size(), 100u) << "colours of the legend alone are more";
    }
  }
  expect_no_temporaries(1);
}

}  // namespace
}  // namespace headlane::test
