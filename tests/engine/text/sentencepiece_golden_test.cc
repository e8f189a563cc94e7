// Ids and texts equal to those of transformers and of SentencePiece's newer library, which
// golden/sentencepiece/make.py has written down.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/import/tokenizers/tokenizer.h"
#include "tests/support/expect_error.h"
#include "tests/support/golden_texts.h"
#include "tests/support/sanitizers.h"
#include "tests/support/tokenizer_testing.h"

namespace headlane {
namespace {

using nlohmann::json;

std::string folder(const std::string& name) { return HEADLANE_GOLDEN_DIR "/sentencepiece/" + name; }

std::unique_ptr<Tokenizer> golden_tokenizer(const ImportedTokenizer& imported) {
  return make_tokenizer(imported.spec, imported.views(), "golden");
}

std::unique_ptr<Tokenizer> golden_tokenizer(const std::string& name) {
  return golden_tokenizer(import_tokenizer(folder(name)));
}

// Rows of "text", in base 64, "ids" and "decoded".
json rows(const std::string& name, const char* file) {
  return json::parse(read_file(folder(name) + "/" + file));
}

std::string from_base64(const std::string& text) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  uint32_t bits = 0;
  int n_bits = 0;
  for (char c : text) {
    if (c == '=') break;
    bits = bits << 6 | static_cast<uint32_t>(digits.find(c));
    n_bits += 6;
    if (n_bits >= 8) out.push_back(static_cast<char>(bits >> (n_bits -= 8)));
  }
  return out;
}

// `name` is that of a folder. Sources without a target vocabulary of their own are decoded too.
void expect_rows(const Tokenizer& tokenizer, const std::string& name, const char* file,
                 const TextLanguages& languages = {}, int64_t max_len = kNoLimit,
                 bool decoded = true) {
  SCOPED_TRACE(name + "/" + file);
  const json all = rows(name, file);
  ASSERT_GE(all.size(), 30u);
  for (const json& row : all) {
    const std::string text = from_base64(row["text"]);
    std::vector<int32_t> ids;
    tokenizer.encode_with(text, max_len, languages, &ids);
    EXPECT_EQ(ids, row["ids"].get<std::vector<int32_t>>()) << "\"" << text << "\"";
    if (decoded) {
      EXPECT_EQ(tokenizer.decode(row["ids"].get<std::vector<int32_t>>()), row["decoded"])
          << "\"" << text << "\"";
    }
  }
}

// Ids of targets, at random.
void expect_targets(const Tokenizer& tokenizer, const std::string& name) {
  const json all = rows(name, "targets.json");
  ASSERT_GE(all.size(), 30u);
  for (const json& row : all) {
    const auto ids = row["ids"].get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer.decode(ids), row["decoded"]) << row["ids"];
  }
}

TEST(SentencePieceGolden, Marian) {
  const auto tokenizer = golden_tokenizer("marian");
  expect_rows(*tokenizer, "marian", "texts.json");
  expect_rows(*tokenizer, "marian", "cut.json", {}, 9, false);
  expect_targets(*tokenizer, "marian");
  EXPECT_EQ(tokenizer->n_special(), 1);
}

TEST(SentencePieceGolden, MarianOfTwoVocabularies) {
  const auto tokenizer = golden_tokenizer("marian_separate");
  expect_rows(*tokenizer, "marian_separate", "texts.json", {}, kNoLimit, false);
  expect_rows(*tokenizer, "marian_separate", "cut.json", {}, 9, false);
  expect_targets(*tokenizer, "marian_separate");
  EXPECT_NE(tokenizer->vocab_size(), tokenizer->target_vocab_size());
  EXPECT_EQ(tokenizer->language_use(), LanguageUse::kNone);
  EXPECT_NE(tokenizer->find("<pad>"), tokenizer->find_target("<pad>"));
  EXPECT_EQ(tokenizer->target_token(tokenizer->find_target("<pad>")), "<pad>");
}

TEST(SentencePieceGolden, M2M100) {
  const auto tokenizer = golden_tokenizer("m2m100");
  expect_rows(*tokenizer, "m2m100", "texts.json");
  expect_rows(*tokenizer, "m2m100", "zh.json", {"zh", ""});
  expect_rows(*tokenizer, "m2m100", "cut.json", {"zh", "fr"}, 9);
  EXPECT_EQ(tokenizer->languages().size(), 100u);
  EXPECT_EQ(tokenizer->language_id("zh"), tokenizer->find("__zh__"));
}

TEST(SentencePieceGolden, Nllb) {
  const auto tokenizer = golden_tokenizer("nllb");
  expect_rows(*tokenizer, "nllb", "texts.json");
  expect_rows(*tokenizer, "nllb", "zh.json", {"zho_Hans", "fra_Latn"});
  expect_rows(*tokenizer, "nllb", "cut.json", {}, 9);
  EXPECT_EQ(
      tokenizer->languages(),
      (std::vector<std::string_view>{"ace_Latn", "eng_Latn", "fra_Latn", "zho_Hans", "zho_Hant"}));
  EXPECT_EQ(tokenizer->language_id("zho_Hans"), tokenizer->find("zho_Hans"));
}

TEST(SentencePieceGolden, NllbWithTheLanguageBehind) {
  ImportedTokenizer imported = import_tokenizer(folder("nllb"));
  imported.spec["language_after"] = true;
  expect_rows(*golden_tokenizer(imported), "nllb", "legacy.json");
}

TEST(SentencePieceGolden, T5) {
  const auto tokenizer = golden_tokenizer("t5");
  expect_rows(*tokenizer, "t5", "texts.json");
  expect_rows(*tokenizer, "t5", "cut.json", {}, 9);
  EXPECT_EQ(tokenizer->find("<extra_id_0>"), tokenizer->vocab_size() - 1);
}

TEST(SentencePieceGolden, T5WithBytes) {
  const auto tokenizer = golden_tokenizer("t5_bytes");
  expect_rows(*tokenizer, "t5_bytes", "texts.json");
  expect_rows(*tokenizer, "t5_bytes", "cut.json", {}, 9);
}

TEST(SentencePieceGolden, TakesTheLanguagesOfATextWhereTheModelHasThem) {
  const auto marian = golden_tokenizer("marian");
  EXPECT_EQ(marian->language_use(), LanguageUse::kTargetInText);
  EXPECT_EQ(marian->languages(), (std::vector<std::string_view>{"eng", "fra"}));
  std::vector<int32_t> said, written = encode(*marian, ">>fra<< hello");
  marian->encode_with("hello", kNoLimit, {"", "fra"}, &said);
  EXPECT_EQ(said, written);
  EXPECT_EQ(said[0], marian->language_id("fra"));
  said.clear();
  marian->encode_with("hello", 2, {"", "fra"}, &said);
  EXPECT_EQ(said, (std::vector<int32_t>{written.front(), written.back()}));
  EXPECT_EQ(marian->n_special_with({"", "fra"}), 2);
  EXPECT_EQ(marian->n_special_with({}), 1);
  EXPECT_ERROR(marian->n_special_with({"eng", "fra"}), Status::kUnsupported, "source");
  EXPECT_ERROR(marian->n_special_with({"", ">>fra<<"}), Status::kInvalidArgument, ">>fra<<");

  const auto m2m100 = golden_tokenizer("m2m100");
  EXPECT_EQ(m2m100->n_special_with({"en", "zh"}), 2);
  EXPECT_ERROR(m2m100->n_special_with({"en", "xx"}), Status::kInvalidArgument, "\"xx\"");
  EXPECT_ERROR(m2m100->n_special_with({"__en__", ""}), Status::kInvalidArgument, "__en__");
  const auto t5 = golden_tokenizer("t5");
  EXPECT_ERROR(t5->n_special_with({"en", ""}), Status::kUnsupported, "any languages");
  EXPECT_EQ(t5->n_special_with({}), 1);
}

// As make_pairs.py chooses and cuts them.
void expect_pairs(const std::string& name) {
  SCOPED_TRACE(name);
  constexpr size_t kPairs = 5000;
  std::vector<std::string> lines = read_lines(HEADLANE_GOLDEN_DIR "/corpus/sentences.txt");
  lines.emplace_back();
  const json golden = rows(name, "pairs.json");
  const auto used = golden["lines"].get<std::vector<size_t>>();
  ASSERT_GE(used.size(), 50u);  // of BPE with bytes; all of most others
  ImportedTokenizer imported = import_tokenizer(folder(name));
  const auto right = golden_tokenizer(imported);
  imported.spec["truncation_side"] = "left";
  const auto left = golden_tokenizer(imported);
  std::vector<int32_t> five, types;
  for (size_t i = 0; i < kPairs; ++i) {
    if (kUnderAddressSanitizer && i / 5 % 5 != 0) continue;  // five pairs have a hash
    const bool no_first = i % 100 == 0, no_second = i % 150 == 0;
    const std::string first = no_first ? "" : lines[used[i * 7 % used.size()]];
    const std::string second = no_second ? "" : lines[used[(i * 13 + i / 11) % used.size()]];
    const auto max_len = i % 9 == 0 ? kNoLimit : static_cast<int64_t>(6 + i * i % 61);
    const size_t begin = five.size();
    (i / 2 % 2 == 0 ? right : left)
        ->encode_pair(first, second, {.max_len = max_len}, &five, &types);
    const auto row = golden["pairs"].find(std::to_string(i));
    if (row != golden["pairs"].end()) {
      EXPECT_EQ(std::vector<int32_t>(five.begin() + static_cast<ptrdiff_t>(begin), five.end()),
                row->get<std::vector<int32_t>>())
          << "pair " << i;
    }
    if (i % 5 < 4) continue;
    EXPECT_EQ(hash_of_ids(five), nth_hash(golden["hashes"], i / 5)) << "up to pair " << i;
    EXPECT_EQ(types, std::vector<int32_t>(five.size(), 0));
    five.clear();
    types.clear();
  }
}

TEST(SentencePieceGolden, PairsOfTexts) {
  for (const char* name : {"marian", "marian_separate", "m2m100", "nllb", "t5", "t5_bytes"}) {
    expect_pairs(name);
  }
}

}  // namespace
}  // namespace headlane
