// Ids equal to those of the `tokenizers` library for tokenizers of all of its kinds of models, and
// for each of its steps: golden/tokenizer_json/make.py has written down hashes of them.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/file/json_fields.h"
#include "engine/import/tokenizers/tokenizer.h"
#include "tests/support/expect_error.h"
#include "tests/support/golden_texts.h"
#include "tests/support/sanitizers.h"
#include "tests/support/tokenizer_testing.h"

namespace headlane {
namespace {

using nlohmann::json;

const std::string kFolder = HEADLANE_GOLDEN_DIR "/tokenizer_json/";

ImportedTokenizer import_golden(const std::string& name) {
  return import_tokenizer(kFolder + name);
}

std::unique_ptr<Tokenizer> golden_json_tokenizer(const std::string& name) {
  const ImportedTokenizer imported = import_golden(name);
  return make_tokenizer(imported.spec, imported.views(), name);
}

class TokenizerJson : public testing::TestWithParam<const char*> {};

TEST_P(TokenizerJson, MatchesTheLibrary) {
  const auto tokenizer = golden_json_tokenizer(GetParam());
  const std::vector<std::string> texts = golden_texts();
  const json answers = json::parse(read_file(kFolder + GetParam() + "/answers.json"));
  ASSERT_GE(texts.size(), 5000u);
  ASSERT_EQ(texts.size(), answers["n_lines"]);
  const std::string hashes = answers["hashes"];
  ASSERT_EQ(hashes.size(), 8 * texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::vector<int32_t> ids = encode(*tokenizer, texts[i]);
    const std::string key = std::to_string(i);
    if (answers["ids"].contains(key)) {
      EXPECT_EQ(ids, answers["ids"][key].get<std::vector<int32_t>>()) << texts[i];
    }
    EXPECT_EQ(hash_of_ids(ids), nth_hash(hashes, i)) << "text " << i << ": " << texts[i];
    if (answers["decoded"].contains(key)) {
      EXPECT_EQ(tokenizer->decode(ids), answers["decoded"][key].get<std::string>());
    }
  }
}

TEST_P(TokenizerJson, CutsAtTheEnd) {
  const auto tokenizer = golden_json_tokenizer(GetParam());
  const std::vector<std::string> texts = golden_texts();
  for (size_t i = 0; i < texts.size(); i += 23) {
    const std::vector<int32_t> whole = encode(*tokenizer, texts[i]);
    for (int64_t max_len : {2, 3, 7, 30}) {
      const std::vector<int32_t> cut = encode(*tokenizer, texts[i], max_len);
      ASSERT_EQ(cut.size(), std::min(whole.size(), static_cast<size_t>(max_len)));
      const auto n_same = static_cast<ptrdiff_t>(cut.size()) - tokenizer->n_special();
      EXPECT_TRUE(std::equal(cut.begin(), cut.begin() + n_same, whole.begin())) << texts[i];
      if (tokenizer->n_special() > 1) {
        EXPECT_EQ(cut.back(), whole.back());
      }
    }
  }
}

// Time squared, or a stack frame for each character, would show in texts so long.
TEST_P(TokenizerJson, TakesLongTexts) {
  const auto tokenizer = golden_json_tokenizer(GetParam());
  for (const char* unit : {"a", " ", "\n", "\xCC\x81", "\xE2\x96\x81", "\xE4\xBD\xA0", "'s", "a1",
                           "1", "<s>", "\xF0\x9F\x98\x80", " \n", "!", "\xFF"}) {
    std::string text, begin;
    while (text.size() < (size_t{1} << 17)) text += unit;
    while (begin.size() < 256) begin += unit;
    // No tokens if the steps before the model leave nothing, whatever the length.
    EXPECT_EQ(encode(*tokenizer, text).empty(), encode(*tokenizer, begin).empty()) << unit;
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, TokenizerJson,
                         testing::Values("xlm_roberta", "t5", "gpt2", "roberta", "llama3", "qwen2",
                                         "llama2", "suffix_bpe", "prefix_bpe", "word_level",
                                         "gemma", "word_piece", "o200k"),
                         [](const auto& param) { return std::string(param.param); });

// A model whose ids are the bytes of each piece, with those of "</w>" behind it.
Json probe_spec() {
  Json added = added_token(256);
  return {{"type", "pipeline"},
          {"n_pieces", 256},
          {"model",
           {{"type", "BPE"},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", "</w>"},
            {"fuse_unk", false},
            {"byte_fallback", true},
            {"ignore_merges", false}}},
          {"normalizer", nullptr},
          {"pre_tokenizer", nullptr},
          {"decoder", nullptr},
          {"ids_before", Json::array()},
          {"ids_after", Json::array()},
          {"added_tokens", Json::array({added})},
          {"special_ids", Json::array()}};
}

std::string probe_vocab() {
  std::string vocab;
  for (int byte = 0; byte < 256; ++byte) {
    char token[8];
    std::snprintf(token, sizeof token, "<0x%02X>\n", byte);
    vocab += token;
  }
  return vocab + "<s>\n";
}

TEST(TokenizerSteps, MatchTheLibrary) {
  const std::vector<std::string> texts = golden_texts();
  const json cases = json::parse(read_file(kFolder + "steps.json"));
  ASSERT_GE(cases.size(), 110u);
  size_t n_seen = 0;
  for (const json& item : cases) {
    SCOPED_TRACE(item["name"]);
    Json spec = probe_spec();
    spec["normalizer"] = parse_json(item["normalizer"].dump(), "normalizer");
    spec["pre_tokenizer"] = parse_json(item["pre_tokenizer"].dump(), "pre_tokenizer");
    const auto tokenizer = make_test_tokenizer(spec, probe_vocab());
    const std::string hashes = item["hashes"];
    // A quarter of the texts, another one for the next step; under sanitizers, which take minutes
    // for as many, a forty-eighth.
    constexpr size_t kParts = kUnderAddressSanitizer ? 48 : 4;
    for (size_t i = 20 * (n_seen++ % kParts); i < texts.size(); i += 20 * kParts) {
      std::vector<int32_t> ids;
      for (size_t j = i; j < std::min(texts.size(), i + 20); ++j) {
        tokenizer->encode(texts[j], kNoLimit, &ids);
      }
      EXPECT_EQ(hash_of_ids(ids), nth_hash(hashes, i / 20)) << "from text " << i;
    }
  }
}

void expect_json_refused(const Json& spec, Status status, const char* sentence) {
  EXPECT_ERROR(make_test_tokenizer(spec, probe_vocab()), status, sentence);
}

TEST(TokenizerSteps, RefuseWhatTheyDoNotHave) {
  Json spec = probe_spec();
  spec["normalizer"] = {{"type", "Other"}};
  expect_json_refused(spec, Status::kUnsupported, "does not support a step of type \"Other\"");
  spec = probe_spec();
  spec["pre_tokenizer"] = {{"type", "Other"}};
  expect_json_refused(spec, Status::kUnsupported, "does not support a step of type \"Other\"");
  spec["pre_tokenizer"] = {
      {"type", "Split"}, {"pattern", {{"Regex", "(?<x>a)"}}}, {"behavior", "Isolated"}};
  expect_json_refused(spec, Status::kUnsupported,
                      "the regular expression \"(?<x>a)\": the group (?<x");
  spec["pre_tokenizer"] = {
      {"type", "Split"}, {"pattern", {{"String", ""}}}, {"behavior", "Isolated"}};
  expect_json_refused(spec, Status::kBadFile, "\"String\" is empty");
  spec["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"String", "a"}}}, {"behavior", "x"}};
  expect_json_refused(spec, Status::kBadFile, "field \"behavior\" is \"x\"");
  spec["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "ab"}};
  expect_json_refused(spec, Status::kBadFile, "is not one character");
  spec = probe_spec();
  spec["decoder"] = {{"type", "Sequence"}, {"decoders", Json::array()}};
  for (int i = 0; i < 65; ++i) spec["decoder"]["decoders"].push_back({{"type", "Fuse"}});
  expect_json_refused(spec, Status::kBadFile, "has more than 64 steps");
}

TEST(TokenizerPipeline, RefusesBrokenSpecs) {
  Json spec = probe_spec();
  spec["model"]["type"] = "Other";
  expect_json_refused(spec, Status::kUnsupported, "does not support a model of type \"Other\"");
  spec = probe_spec();
  spec["special_ids"] = Json::array({257});
  expect_json_refused(spec, Status::kBadFile, "has the id 257, but the vocabulary 257 tokens");
  spec = probe_spec();
  spec["added_tokens"] = Json::array({added_token(256), added_token(256)});
  expect_json_refused(spec, Status::kBadFile, "there twice");
  spec = probe_spec();
  spec["model"] = {{"type", "WordLevel"}, {"unk_token", "none"}};
  expect_json_refused(spec, Status::kBadFile, "\"unk_token\" is not in the vocabulary");
  spec["model"] = {{"type", "Unigram"}, {"unk_id", 0}, {"byte_fallback", false}};
  expect_json_refused(spec, Status::kBadFile, "the tensor of scores has 0 bytes");
}

// Tensors of a good file, of which one is changed.
TEST(TokenizerPipeline, RefusesBrokenTensors) {
  const ImportedTokenizer unigram = import_golden("xlm_roberta"), bpe = import_golden("gpt2");
  const auto refused = [](const ImportedTokenizer& good, std::string TokenizerBytes::*tensor,
                          const std::string& bytes, const char* sentence) {
    ImportedTokenizer broken = good;
    broken.*tensor = bytes;
    EXPECT_ERROR(make_tokenizer(broken.spec, broken.views(), "test"), Status::kBadFile, sentence);
  };
  std::string scores = unigram.scores;
  scores[6] = '\xF0';
  scores[7] = '\x7F';  // infinity
  refused(unigram, &TokenizerBytes::scores, scores, "a score is not a number");
  refused(unigram, &TokenizerBytes::scores, scores.substr(8), "the tensor of scores has");
  refused(unigram, &TokenizerBytes::charsmap, unigram.charsmap.substr(0, 700), "character map");
  refused(unigram, &TokenizerBytes::charsmap, "", "character map");
  std::string merges = bpe.merges;
  merges[3] = '\x01';
  refused(bpe, &TokenizerBytes::merges, merges, "merge 0 has an id that is none of the model's");
  refused(bpe, &TokenizerBytes::merges, merges.substr(1), "the tensor of merges has");
  ImportedTokenizer broken = unigram;
  broken.spec["model"]["unk_id"] = 100000;
  EXPECT_ERROR(make_tokenizer(broken.spec, broken.views(), "test"), Status::kBadFile,
               "\"unk_id\" is none of the model's tokens");
}

// Each of these doubles the text.
TEST(TokenizerPipeline, BoundsTheGrowthOfATextInItsSteps) {
  Json spec = probe_spec();
  const Json replace = {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aa"}};
  Json steps = Json::array();
  for (int i = 0; i < 30; ++i) steps.push_back(replace);
  spec["normalizer"] = {{"type", "Sequence"}, {"normalizers", steps}};
  const auto tokenizer = make_test_tokenizer(spec, probe_vocab());
  EXPECT_ERROR(encode(*tokenizer, std::string(100, 'a')), Status::kBadFile, "of a text of 100");
  spec["normalizer"] = replace;
  spec["normalizer"]["content"] = std::string(65, 'a');
  expect_json_refused(spec, Status::kBadFile, "field \"content\" has 65 bytes; 64 is the limit");
}

TEST(TokenizerPipeline, FindsAddedTokens) {
  const auto tokenizer = golden_json_tokenizer("word_level");
  EXPECT_EQ(tokenizer->token(tokenizer->find("[MASK]")), "[MASK]");
  EXPECT_EQ(tokenizer->token(tokenizer->find("!?")), "!?");
  EXPECT_EQ(tokenizer->find("no such token"), -1);
}

// A character that has no token is an error where the unknown token has none either.
TEST(TokenizerPipeline, SaysWhatHasNoToken) {
  Json spec = probe_spec();
  spec["model"]["byte_fallback"] = false;
  EXPECT_TRUE(encode(*make_test_tokenizer(spec, probe_vocab()), "a").empty());
  spec["model"]["unk_token"] = "<unk>";
  const auto tokenizer = make_test_tokenizer(spec, probe_vocab());
  EXPECT_ERROR(encode(*tokenizer, "a"), Status::kUnsupported, "nor is \"<unk>\"");
}

}  // namespace
}  // namespace headlane
