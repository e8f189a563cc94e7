// Which formats the tensors of a converted file have.
#include "engine/import/write/stored_tensors.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "engine/file/container.h"
#include "engine/import/convert.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

class StoredTensorsTest : public testing::Test {
 protected:
  void convert(const std::string& name, const ConvertOptions& options) {
    convert_model(HEADLANE_GOLDEN_DIR "/language_models/" + name, dir_.file("out"), options);
    file_.emplace(Container::open(dir_.file("out")));
  }
  Format format_of(const std::string& tensor) const { return file_->find(tensor)->dtype; }
  Format of_layer(int i, const std::string& product) const {
    return format_of("decoder.layers." + std::to_string(i) + "." + product + ".weight");
  }

  TempDir dir_;
  std::optional<Container> file_;
};

// Of three layers, the last one is the third of each three.
TEST_F(StoredTensorsTest, Int4OfALanguageModelHasMoreBitsWhereTheyAreWorthIt) {
  ConvertOptions options;
  options.precision = Precision::kInt4;
  convert("llama_linear", options);
  EXPECT_EQ(format_of("lm_head.weight"), Format::kU5Groups);
  EXPECT_EQ(format_of("decoder.embeddings.word"), Format::kU4Groups);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(of_layer(i, "attention.qkv"), Format::kU5Groups) << i;
    EXPECT_EQ(of_layer(i, "attention.out"), Format::kU4Groups) << i;
    EXPECT_EQ(of_layer(i, "ffn.up"), Format::kU4Groups) << i;
    EXPECT_EQ(of_layer(i, "ffn.down"), i == 2 ? Format::kS6Groups : Format::kU4Groups) << i;
  }
  convert("gemma2", options);  // whose logits come from the table of words
  EXPECT_EQ(format_of("decoder.embeddings.word"), Format::kU5Groups);
}

// Who names products, or none, gets what is named.
TEST_F(StoredTensorsTest, Int4WithNamedProductsIsNoMix) {
  ConvertOptions options;
  options.precision = Precision::kInt4;
  options.higher_precision = {"decoder.layers.1.ffn.up"};
  convert("llama_linear", options);
  EXPECT_EQ(format_of("lm_head.weight"), Format::kU4Groups);
  EXPECT_EQ(of_layer(0, "attention.qkv"), Format::kU4Groups);
  EXPECT_EQ(of_layer(1, "ffn.up"), Format::kS8Groups);
  EXPECT_EQ(of_layer(2, "ffn.down"), Format::kU4Groups);
}

}  // namespace
}  // namespace headlane
