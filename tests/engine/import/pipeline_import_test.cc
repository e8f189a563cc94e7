// tokenizer.json files whose models are BPE, Unigram or WordLevel, made here; golden folders are in
// tests/engine/text.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/import/tokenizers/tokenizer.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tokenizer_testing.h"

namespace headlane {
namespace {

using nlohmann::json;

json bpe_file() {
  return {{"added_tokens", json::array()},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "WhitespaceSplit"}}},
          {"post_processor", nullptr},
          {"decoder", nullptr},
          {"model",
           {{"type", "BPE"},
            {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}, {"aba", 3}, {"<unk>", 4}}},
            {"merges", json::array({"a b", json::array({"ab", "a"})})},
            {"unk_token", "<unk>"}}}};
}

json unigram_file() {
  json file = bpe_file();
  file["model"] = {{"type", "Unigram"},
                   {"unk_id", 0},
                   {"vocab", json::parse(R"([["<unk>", 0], ["a", -1.5], ["ab", -2], ["b", -3]])")}};
  return file;
}

ImportedTokenizer import_file(const json& file) {
  const TempDir folder;
  write_file(folder.file("tokenizer.json"), file.dump());
  write_file(folder.file("tokenizer_config.json"),
             R"({"tokenizer_class": "PreTrainedTokenizerFast"})");
  return import_tokenizer(folder.path());
}

std::vector<int32_t> encode_with(const json& file, std::string_view text) {
  const ImportedTokenizer imported = import_file(file);
  return encode(*make_tokenizer(imported.spec, imported.views(), "test"), text);
}

TEST(ImportPipeline, ReadsMergesOfBothForms) {
  EXPECT_EQ(encode_with(bpe_file(), "aba ab c b"), (std::vector<int32_t>{3, 2, 4, 1}));
}

TEST(ImportPipeline, ReadsModelsWithoutAType) {
  json file = bpe_file();
  file["model"].erase("type");
  EXPECT_EQ(encode_with(file, "abaab"), (std::vector<int32_t>{3, 2}));
}

TEST(ImportPipeline, ReadsScores) {
  EXPECT_EQ(encode_with(unigram_file(), "ab bb\xC3\xA9\xC3\xA9"),
            (std::vector<int32_t>{2, 3, 3, 0}));
}

TEST(ImportPipeline, ReadsRobertasAndSequencesOfPostProcessors) {
  json file = bpe_file();
  const json roberta = {{"type", "RobertaProcessing"}, {"sep", {"b", 1}}, {"cls", {"a", 0}}};
  file["post_processor"] = roberta;
  EXPECT_EQ(encode_with(file, "ab"), (std::vector<int32_t>{0, 2, 1}));
  file["post_processor"] = {{"type", "Sequence"},
                            {"processors", json::array({{{"type", "ByteLevel"}}, roberta})}};
  EXPECT_EQ(encode_with(file, "ab"), (std::vector<int32_t>{0, 2, 1}));
  file["post_processor"]["processors"].push_back(roberta);
  EXPECT_ERROR(import_file(file), Status::kUnsupported, "two steps that add tokens");
}

void expect_refused(const json& file, Status status, const char* sentence) {
  EXPECT_ERROR(import_file(file), status, sentence);
}

TEST(ImportPipeline, RefusesWhatTheEngineHasNot) {
  json file = bpe_file();
  file["model"]["dropout"] = 0.1;
  expect_refused(file, Status::kUnsupported, "merges left out by chance");
  file["model"]["dropout"] = 0.0;
  EXPECT_NO_THROW(import_file(file));
  file = bpe_file();
  file["truncation"] = {{"direction", "Up"}};
  expect_refused(file, Status::kUnsupported, "field \"truncation\": Headlane does not support Up");
  file = bpe_file();
  file["normalizer"] = {{"type", "Other"}};
  expect_refused(file, Status::kUnsupported, "a step of type \"Other\"");
}

TEST(ImportPipeline, RefusesBrokenFiles) {
  json file = bpe_file();
  file["model"]["merges"] = json::array({"a b c"});
  expect_refused(file, Status::kBadFile, "is not two tokens");
  file["model"]["merges"] = json::array({"b b"});
  expect_refused(file, Status::kBadFile, "the token \"bb\" is not in the vocabulary");
  file = bpe_file();
  file["model"]["continuing_subword_prefix"] = "##";
  expect_refused(file, Status::kBadFile, "is shorter than the prefix");
  file = unigram_file();
  file["model"]["vocab"][1] = "a";
  expect_refused(file, Status::kBadFile, "is not a token and its score");
  file = unigram_file();
  file["model"]["unk_id"] = nullptr;
  expect_refused(file, Status::kBadFile, "unk_id");
  const json map = {{"type", "Precompiled"}, {"precompiled_charsmap", "A"}};
  file = unigram_file();
  file["normalizer"] = map;
  expect_refused(file, Status::kBadFile, "is not base64");
  file["normalizer"]["precompiled_charsmap"] = "AAAA";
  expect_refused(file, Status::kBadFile, "character map");
}

}  // namespace
}  // namespace headlane
