// Ids equal to those of the `tokenizers` library, which golden/tokenizer/make.py has written down.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "engine/import/tokenizers/tokenizer.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tokenizer_testing.h"

namespace headlane {
namespace {

using nlohmann::json;

// The folder has a vocab.txt and no more: BERT's own settings.
std::unique_ptr<Tokenizer> bert_tokenizer() {
  const ImportedTokenizer imported = import_tokenizer(HEADLANE_GOLDEN_DIR "/tokenizer");
  return make_test_tokenizer(imported.spec, imported.vocab);
}

TEST(TokenizerGolden, MatchesTheLibrary) {
  const auto tokenizer = bert_tokenizer();
  const std::vector<std::string> lines = read_lines(golden_path("lines.txt"));
  const std::vector<std::string> ids = read_lines(golden_path("ids.txt"));
  ASSERT_GE(lines.size(), 2200u);
  ASSERT_EQ(lines.size(), ids.size());
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(encode(*tokenizer, lines[i]), parse_ids(ids[i])) << "line " << i + 1;
  }
}

TEST(TokenizerGolden, CutsWhatItDoesNotNeedToRead) {
  const auto tokenizer = bert_tokenizer();
  const std::vector<std::string> lines = read_lines(golden_path("lines.txt"));
  for (size_t i = 0; i < lines.size(); i += 7) {
    const std::vector<int32_t> whole = encode(*tokenizer, lines[i]);
    for (int64_t max_len : {2, 3, 7, 30, 512}) {
      std::vector<int32_t> cut = whole;
      if (static_cast<int64_t>(cut.size()) > max_len) {
        cut.resize(static_cast<size_t>(max_len));
        cut.back() = whole.back();
      }
      EXPECT_EQ(encode(*tokenizer, lines[i], max_len), cut) << "line " << i + 1;
    }
  }
}

TEST(TokenizerGolden, MatchesTheLibraryInOtherSettings) {
  const std::vector<std::string> lines = read_lines(golden_path("case_lines.txt"));
  const json golden = json::parse(read_file(golden_path("cases.json")));
  json vocab;
  for (const json& token : golden["vocab"]) vocab[token.get<std::string>()] = vocab.size();
  ASSERT_GE(golden["cases"].size(), 16u);
  for (const json& item : golden["cases"]) {
    SCOPED_TRACE(item["name"]);
    json file = item["tokenizer"];
    file["model"]["vocab"] = vocab;
    const TempDir folder;
    write_file(folder.file("tokenizer.json"), file.dump());
    write_file(folder.file("tokenizer_config.json"),
               R"({"tokenizer_class": "PreTrainedTokenizerFast"})");
    const ImportedTokenizer imported = import_tokenizer(folder.path());
    const auto tokenizer = make_test_tokenizer(imported.spec, imported.vocab);
    const int64_t max_len = item["max_len"].is_null() ? kNoLimit : item["max_len"].get<int64_t>();
    ASSERT_EQ(item["ids"].size(), lines.size());
    for (size_t i = 0; i < lines.size(); ++i) {
      EXPECT_EQ(encode(*tokenizer, lines[i], max_len), parse_ids(item["ids"][i]))
          << "line " << i + 1;
    }
  }
}

TEST(TokenizerGolden, MatchesTheLibraryInPairs) {
  const auto tokenizer = bert_tokenizer();
  const std::vector<std::string> lines = read_lines(golden_path("sentences.txt"));
  const json golden = json::parse(read_file(golden_path("pairs.json")));
  ASSERT_GE(golden.size(), 390u);
  const auto line = [&](const json& at) {
    return at.get<int>() < 0 ? std::string() : lines.at(at.get<size_t>());
  };
  for (const json& item : golden) {
    std::vector<int32_t> ids, types;
    tokenizer->encode_pair(line(item["first"]), line(item["second"]),
                           {.max_len = item["max_len"].get<int64_t>()}, &ids, &types);
    EXPECT_EQ(ids, item["ids"].get<std::vector<int32_t>>()) << item;
    EXPECT_EQ(types, item["types"].get<std::vector<int32_t>>()) << item;
  }
}

TEST(TokenizerGolden, SurvivesDamagedLines) {
  const auto tokenizer = bert_tokenizer();
  const std::vector<std::string> lines = read_lines(golden_path("lines.txt"));
  std::mt19937 random(11);
  for (int round = 0; round < 5000; ++round) {
    std::string text = lines[random() % lines.size()].substr(0, 200);
    for (int n_edits = 0; n_edits < 5 && !text.empty(); ++n_edits) {
      text[random() % text.size()] = static_cast<char>(random());
    }
    const int64_t max_len = 2 + static_cast<int64_t>(random() % 100);
    const std::vector<int32_t> ids = encode(*tokenizer, text, max_len);
    ASSERT_LE(static_cast<int64_t>(ids.size()), max_len);
    for (int32_t id : ids) ASSERT_TRUE(id >= 0 && id < tokenizer->vocab_size());
  }
}

}  // namespace
}  // namespace headlane
