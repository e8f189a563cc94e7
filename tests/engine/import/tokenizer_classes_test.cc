// Folders of the classes of transformers: golden/tokenizer_classes/make.py, and make_decoders.py
// for language models, have written down what its versions 4 and 5 make of 6,462 texts.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <span>

#include "engine/import/tokenizers/tokenizer.h"
#include "tests/support/expect_error.h"
#include "tests/support/golden_texts.h"
#include "tests/support/sanitizers.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tokenizer_testing.h"

namespace headlane {
namespace {

using nlohmann::json;

const std::string kFolder = HEADLANE_GOLDEN_DIR "/tokenizer_classes/";

const json& golden() {
  static const json folders = [] {
    json all = json::parse(read_file(kFolder + "folders.json"));
    for (const json& folder : json::parse(read_file(kFolder + "decoders.json"))) {
      all.push_back(folder);
    }
    return all;
  }();
  return folders;
}

json files_of(const std::string& name) {
  for (const json& folder : golden()) {
    if (folder["name"] == name) return folder["files"];
  }
  ADD_FAILURE() << "no folder " << name;
  return {};
}

// The vocabulary of a tokenizer.json as a file of its own, or its merges.
std::string taken(const json& model, const std::string& part) {
  if (part == "vocab") return model["vocab"].dump();
  std::string lines = "#version: 0.2\n";
  for (const json& merge : model["merges"]) {
    lines += merge.is_string() ? merge.get<std::string>()
                               : merge[0].get<std::string>() + " " + merge[1].get<std::string>();
    lines += "\n";
  }
  return lines;
}

std::string content_of(const json& file) {
  if (file.is_string()) return read_file(kFolder + file.get<std::string>());
  if (!file.contains("of")) return file.dump();
  json other = json::parse(read_file(kFolder + file["of"].get<std::string>()));
  if (file.contains("take")) return taken(other["model"], file["take"]);
  other.update(file["set"]);
  return other.dump();
}

ImportedTokenizer import_files(const json& files) {
  const TempDir folder;
  for (const auto& [name, file] : files.items()) write_file(folder.file(name), content_of(file));
  return import_tokenizer(folder.path());
}

class TokenizerClasses : public testing::TestWithParam<size_t> {};

TEST_P(TokenizerClasses, MatchTransformers) {
  const json& folder = golden()[GetParam()];
  SCOPED_TRACE(folder["name"].get<std::string>());
  if (folder.contains("refused")) {
    EXPECT_ERROR(import_files(folder["files"]), Status::kUnsupported,
                 folder["refused"].get<std::string>());
    return;
  }
  const ImportedTokenizer imported = import_files(folder["files"]);
  const auto tokenizer = make_tokenizer(imported.spec, imported.views(), "test");
  const std::vector<std::string> texts = golden_texts();
  ASSERT_GE(texts.size(), 5000u);
  const std::string hashes = folder["hashes"];
  ASSERT_EQ(hashes.size(), (texts.size() + 19) / 20 * 8);
  std::vector<int32_t> ids;
  // Under AddressSanitizer a quarter of the texts, 20 of each 80, touches the same memory in a
  // quarter of the time.
  constexpr size_t kShown = kUnderAddressSanitizer ? 20 : 80;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (i % 80 >= kShown) continue;
    const size_t begin = ids.size();
    tokenizer->encode(texts[i], kNoLimit, &ids);
    const std::string key = std::to_string(i);
    if (folder["ids"].contains(key)) {
      EXPECT_EQ(std::vector<int32_t>(ids.begin() + static_cast<ptrdiff_t>(begin), ids.end()),
                folder["ids"][key].get<std::vector<int32_t>>())
          << texts[i];
    }
    if (folder.contains("texts") && folder["texts"].contains(key)) {
      EXPECT_EQ(tokenizer->decode(std::span(ids).subspan(begin)), folder["texts"][key]);
    }
    if (i % 20 != 19 && i + 1 < texts.size()) continue;
    EXPECT_EQ(hash_of_ids(ids), nth_hash(hashes, i / 20)) << "texts up to " << i;
    ids.clear();
  }
}

INSTANTIATE_TEST_SUITE_P(Folder, TokenizerClasses, testing::Range<size_t>(0, golden().size()),
                         [](const auto& info) {
                           std::string name = golden()[info.param]["name"];
                           for (char& c : name) c = std::isalnum(static_cast<uint8_t>(c)) ? c : '_';
                           return name;
                         });

TEST(TokenizerClassFiles, RefuseWhatTheVersionsReadInDifferentWays) {
  const json files = files_of("roberta, vocabulary alone");
  const std::string merges = content_of(files["merges.txt"]);
  const std::pair<std::string, const char*> changed[] = {
      {merges.substr(merges.find('\n') + 1), "line 1 does not begin with #version"},
      {merges.substr(0, merges.size() - 1), "does not end with a newline"},
      {merges + "#version 2\n", "begins with #version"},
      {merges + "a\r\n", "has a carriage return"},
      {merges + "a\n", "is not two tokens"},
      {merges + "a aaaaaa\n", "is not in the vocabulary"}};
  for (const auto& [text, sentence] : changed) {
    const TempDir folder;
    for (const auto& [name, file] : files.items()) {
      write_file(folder.file(name), name == "merges.txt" ? text : content_of(file));
    }
    EXPECT_ERROR(import_tokenizer(folder.path()), Status::kBadFile, sentence);
  }
}

TEST(TokenizerClassFiles, RefuseFoldersWithoutTheirFiles) {
  json files = files_of("roberta, vocabulary alone");
  files.erase("merges.txt");
  EXPECT_ERROR(
      import_files(files), Status::kUnsupported,
      "\"roberta\", whose tokenizer is \"RobertaTokenizer\", but neither tokenizer.json nor "
      "vocab.json and merges.txt are here");
  files["tokenizer_config.json"] = {{"tokenizer_class", "CamembertTokenizerFast"}};
  EXPECT_ERROR(import_files(files), Status::kUnsupported,
               "is \"CamembertTokenizer\", but neither tokenizer.json nor sentencepiece.bpe.model");
  files["tokenizer.json"] = "mpnet/saved_4/tokenizer.json";
  EXPECT_ERROR(import_files(files), Status::kUnsupported, "but tokenizer.json is of a WordPiece");
}

// The file that older versions made from SentencePiece's lacks a step; transformers 5 does not
// mind.
TEST(TokenizerClassFiles, ReadWhatOlderVersionsSaved) {
  json files = files_of("xlm_roberta, saved by 4");
  json older = json::parse(content_of(files["tokenizer.json"]));
  older["normalizer"]["normalizers"].erase(1);
  const ImportedTokenizer one = import_files(files);
  files["tokenizer.json"] = older;
  const ImportedTokenizer other = import_files(files);
  EXPECT_EQ(one.spec, other.spec);
  EXPECT_EQ(one.charsmap, other.charsmap);
  older["normalizer"]["normalizers"][1]["content"] = "-";
  files["tokenizer.json"] = older;
  EXPECT_ERROR(import_files(files), Status::kUnsupported, "its \"pre_tokenizer\" is not that of");
}

// Settings of tokenizer_config.json that only one of the versions obeys.
TEST(TokenizerClassFiles, RefuseSettingsThatTheVersionsObeyInDifferentWays) {
  const auto refused = [](const char* name, const json& config, const char* sentence) {
    json files = files_of(name);
    files["tokenizer_config.json"] = config;
    EXPECT_ERROR(import_files(files), Status::kUnsupported, sentence);
  };
  refused("gpt2, vocabulary alone", {{"add_bos_token", true}}, "\"add_bos_token\"");
  refused("xlm_roberta, vocabulary alone", {{"add_prefix_space", false}}, "\"add_prefix_space\"");
  const json as_file = {{"tokenizer_class", "PreTrainedTokenizerFast"}};
  json config = as_file;
  config["add_prefix_space"] = true;
  refused("roberta, tokenizer.json of 4 alone", config, "\"add_prefix_space\" is not that of");
  config = as_file;
  config["add_bos_token"] = false;
  config["bos_token"] = "<s>";
  refused("roberta, tokenizer.json of 4 alone", config, "\"add_bos_token\" does not fit");
}

// Language models' classes, without the files that they need or with others.
TEST(TokenizerClassFiles, RefuseOtherFilesOfLanguageModels) {
  json files = files_of("gemma");
  files.erase("tokenizer.json");
  files["tokenizer.model"] = "llama/tokenizer.model";
  EXPECT_ERROR(import_files(files), Status::kUnsupported,
               "which transformers reads from tokenizer.json alone, which is not here");
  files = files_of("llama, pieces");
  files["tokenizer.model"] = "xlm_roberta/sentencepiece.bpe.model";
  EXPECT_ERROR(import_files(files), Status::kUnsupported,
               "Headlane does not support a unigram model, where the class has BPE");
  files["tokenizer.model"] = "camembert/sentencepiece.bpe.model";
  EXPECT_ERROR(import_files(files), Status::kUnsupported, "a unigram model");
  files.erase("tokenizer.model");
  files["vocab.json"] = json::object();
  EXPECT_ERROR(import_files(files), Status::kUnsupported,
               "is \"LlamaTokenizer\", but neither tokenizer.json nor tokenizer.model is here");
  files = files_of("qwen2");
  files["tokenizer_config.json"]["tokenizer_class"] = "LlamaTokenizerFast";
  EXPECT_ERROR(import_files(files), Status::kUnsupported, "write \"Qwen2Tokenizer\"");
  files["tokenizer_config.json"] = {{"tokenizer_class", "Qwen2Tokenizer"}, {"add_eos_token", true}};
  EXPECT_ERROR(import_files(files), Status::kUnsupported, "\"add_eos_token\"");
}

// Ids are those of transformers 4.57.6 and 5.24.0.
TEST(TokenizerClassFiles, AddTheFoldersTokensToThoseOfPieces) {
  const auto ids_of = [](const std::string& folder, const json& config) {
    json files = files_of(folder);
    files["tokenizer_config.json"].update(config);
    const ImportedTokenizer imported = import_files(files);
    std::vector<int32_t> ids;
    make_tokenizer(imported.spec, imported.views(), "test")
        ->encode("a <extra_id_0> b", kNoLimit, &ids);
    return ids;
  };
  const json more = {{"additional_special_tokens", {"<extra_id_0>"}}};
  json both = more;
  both["cls_token"] = "<new>";
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(ids_of("xlm_roberta, vocabulary alone", more), Ids({0, 24, 1002, 4, 28, 2}));
  EXPECT_EQ(ids_of("xlm_roberta, vocabulary alone", both), Ids({0, 24, 1003, 4, 28, 2}));
  EXPECT_EQ(ids_of("camembert, vocabulary alone", more), Ids({5, 28, 995, 8, 32, 6}));
  EXPECT_EQ(ids_of("camembert, vocabulary alone", both), Ids({5, 28, 996, 8, 32, 6}));
  EXPECT_EQ(ids_of("llama, pieces", more), Ids({1, 261, 431, 1400, 276}));
  EXPECT_EQ(ids_of("llama, pieces", both), Ids({1, 261, 431, 1401, 276}));
}

TEST(TokenizerClassFiles, RefuseSettingsOfPiecesAlone) {
  json files = files_of("llama, pieces");
  json& config = files["tokenizer_config.json"];
  config["sp_model_kwargs"] = {{"enable_sampling", true}};
  EXPECT_ERROR(import_files(files), Status::kUnsupported, "\"sp_model_kwargs\"");
  config.erase("sp_model_kwargs");
  config.erase("legacy");
  EXPECT_ERROR(import_files(files), Status::kUnsupported, "\"legacy\" is not false");
}

}  // namespace
}  // namespace headlane
