// A tokenizer obeys some of a folder's files: golden/tokenizer_folders/make.py has written
// down what transformers makes of small folders.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/import/tokenizers/tokenizer.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tokenizer_testing.h"

namespace headlane {
namespace {

using nlohmann::json;

void write_files(const TempDir& folder, const json& files) {
  for (const auto& [name, content] : files.items()) {
    write_file(folder.file(name),
               content.is_string() ? content.get<std::string>() : content.dump());
  }
}

json golden_folders() {
  return json::parse(read_file(HEADLANE_GOLDEN_DIR "/tokenizer_folders/folders.json"));
}

json files_of_folder(const std::string& name) {
  const json all = golden_folders();
  for (const json& folder : all["folders"]) {
    if (folder["name"] == name) return folder["files"];
  }
  ADD_FAILURE() << "no folder " << name;
  return {};
}

ImportedTokenizer import_folder_files(const json& files) {
  const TempDir folder;
  write_files(folder, files);
  return import_tokenizer(folder.path());
}

TEST(TokenizerFolders, MatchTransformers) {
  const json all = golden_folders();
  int n_equal = 0, n_refused = 0;
  for (const json& folder : all["folders"]) {
    SCOPED_TRACE(folder["name"]);
    if (folder.contains("differ")) {  // the versions of transformers do
      EXPECT_THROW(import_folder_files(folder["files"]), Error);
      ++n_refused;
      continue;
    }
    const ImportedTokenizer imported = import_folder_files(folder["files"]);
    const auto tokenizer = make_test_tokenizer(imported.spec, imported.vocab);
    for (size_t i = 0; i < all["texts"].size(); ++i) {
      EXPECT_EQ(encode(*tokenizer, all["texts"][i].get<std::string>()),
                folder["ids"][i].get<std::vector<int32_t>>())
          << all["texts"][i];
    }
    ++n_equal;
  }
  EXPECT_GE(n_equal, 70);
  EXPECT_GE(n_refused, 8);
}

// Two texts, and the types of their tokens as they reach the model.
TEST(TokenizerFolders, MatchTransformersInPairs) {
  const json all = golden_folders();
  int n_equal = 0, n_refused = 0, n_untyped = 0;
  for (const json& folder : all["folders"]) {
    if (folder.contains("differ")) continue;
    if (!folder.contains("pairs") && !folder.contains("pairs_differ")) continue;
    SCOPED_TRACE(folder["name"]);
    const ImportedTokenizer imported = import_folder_files(folder["files"]);
    const auto tokenizer = make_test_tokenizer(imported.spec, imported.vocab);
    if (folder.contains("pairs_differ")) {
      EXPECT_ERROR(tokenizer->n_special_of_pair(), Status::kUnsupported,
                   "does not take pairs of texts: its tokenizer.json has another template");
      ++n_refused;
      continue;
    }
    const bool types_differ = folder.contains("types_differ");
    if (types_differ) {
      EXPECT_ERROR(tokenizer->check_pair_types(), Status::kUnsupported, "does not say the types");
      ++n_untyped;
    } else {
      EXPECT_NO_THROW(tokenizer->check_pair_types());
    }
    for (size_t i = 0; i < all["pairs"].size(); ++i) {
      std::vector<int32_t> ids, types;
      tokenizer->encode_pair(all["pairs"][i][0].get<std::string>(),
                             all["pairs"][i][1].get<std::string>(), {.max_len = kNoLimit}, &ids,
                             &types);
      EXPECT_EQ(ids, folder["pairs"][i][0].get<std::vector<int32_t>>()) << all["pairs"][i];
      EXPECT_EQ(types, folder["pairs"][i][1].get<std::vector<int32_t>>()) << all["pairs"][i];
    }
    ++n_equal;
  }
  EXPECT_GE(n_equal, 100);
  EXPECT_GE(n_refused, 4);
  EXPECT_GE(n_untyped, 30);
}

// A text is cut at the end that some file names.
TEST(TokenizerFolders, MatchTransformersInWhatTheyCut) {
  constexpr int64_t kCut = 6;
  const json all = golden_folders();
  int n_left = 0;
  for (const json& folder : all["folders"]) {
    if (!folder.contains("cut") || folder.contains("differ")) continue;
    SCOPED_TRACE(folder["name"]);
    const ImportedTokenizer imported = import_folder_files(folder["files"]);
    n_left += imported.spec.contains("truncation_side");
    const auto tokenizer = make_test_tokenizer(imported.spec, imported.vocab);
    for (size_t i = 0; i < all["texts"].size(); ++i) {
      EXPECT_EQ(encode(*tokenizer, all["texts"][i].get<std::string>(), kCut),
                folder["cut"][i].get<std::vector<int32_t>>())
          << all["texts"][i];
    }
    for (size_t i = 0; i < all["pairs"].size(); ++i) {
      std::vector<int32_t> ids, types;
      tokenizer->encode_pair(all["pairs"][i][0].get<std::string>(),
                             all["pairs"][i][1].get<std::string>(), {.max_len = kCut}, &ids,
                             &types);
      EXPECT_EQ(ids, folder["cut_pairs"][i].get<std::vector<int32_t>>()) << all["pairs"][i];
    }
  }
  EXPECT_GE(n_left, 7);
}

// A class is read, or refused by its name, whichever file says it.
TEST(TokenizerFolders, RefuseOtherClasses) {
  for (const char* name :
       {"BertJapaneseTokenizer", "LlamaTokenizerFast", "DebertaTokenizer", "X"}) {
    for (const char* file : {"tokenizer_config.json", "config.json"}) {
      for (const char* made_from : {"vocab.txt alone", "tokenizer.json alone"}) {
        json files = files_of_folder(made_from);
        files[file]["tokenizer_class"] = name;
        EXPECT_ERROR(import_folder_files(files), Status::kUnsupported,
                     std::string(file) + " field \"tokenizer_class\" is \"" +
                         std::string(name).substr(0, 7));
      }
    }
  }
  json files = files_of_folder("vocab.txt alone");
  files["tokenizer_config.json"] = {{"tokenizer_class", "PreTrainedTokenizerFast"}};
  EXPECT_ERROR(import_folder_files(files), Status::kUnsupported, "needs tokenizer.json");
  files["tokenizer_config.json"] = {{"tokenizer_class", "T5Tokenizer"}};
  EXPECT_ERROR(import_folder_files(files), Status::kUnsupported, "SentencePiece model is not here");
  files["tokenizer_config.json"] = json::object();
  files["config.json"] = {{"model_type", "t5"}};
  EXPECT_ERROR(import_folder_files(files), Status::kUnsupported, "no \"tokenizer_class\" says so");
}

// Without its files there is no tokenizer to refuse: config.json cannot be removed.
TEST(TokenizerFolders, HaveNoTokenizerWithoutFiles) {
  EXPECT_TRUE(
      import_folder_files({{"config.json", {{"model_type", "bert"}, {"tokenizer_class", "X"}}}})
          .spec.is_null());
  // Whoever gives settings of a tokenizer meant to give its vocabulary too.
  const ImportedTokenizer none =
      import_folder_files({{"config.json", {{"model_type", "bert"}}},
                           {"tokenizer_config.json", {{"model_max_length", 512}}}});
  EXPECT_TRUE(none.spec.is_null());
  EXPECT_NE(none.left_out.find(": none of its files has the vocabulary of its tokenizer; the "
                               "converted model takes and gives token ids, not texts"),
            std::string::npos)
      << none.left_out;
}

// BERT's own class would read another tokenizer from these files, and that of any file needs
// tokenizer.json.
TEST(TokenizerFolders, RefuseXlmRobertasWithBertsClass) {
  const json config = {{"model_type", "bert"}};
  const json unigram = {{"model", {{"type", "Unigram"}, {"unk_id", 3}, {"vocab", json::array()}}}};
  const json classes[] = {json::object(), {{"tokenizer_class", "PreTrainedTokenizerFast"}}};
  for (const json& tokenizer_config : classes) {
    for (const bool has_json : {false, true}) {
      if (has_json && !tokenizer_config.empty()) continue;
      json files = {{"config.json", config}, {"sentencepiece.bpe.model", "any"}};
      if (has_json) files["tokenizer.json"] = unigram;
      if (!tokenizer_config.empty()) files["tokenizer_config.json"] = tokenizer_config;
      EXPECT_ERROR(import_folder_files(files), Status::kUnsupported,
                   "XLM-RoBERTa's (Unigram) tokenizer in a BERT, which Headlane reads");
    }
  }
}

json xlm_roberta_files() {
  const std::string folder = HEADLANE_GOLDEN_DIR "/tokenizer_json/xlm_roberta/";
  return {{"config.json", {{"model_type", "bert"}}},
          {"tokenizer.json", json::parse(read_file(folder + "tokenizer.json"))},
          {"tokenizer_config.json", {{"tokenizer_class", "XLMRobertaTokenizerFast"}}}};
}

TEST(TokenizerFolders, ReadXlmRobertasWithBert) {
  const ImportedTokenizer imported = import_folder_files(xlm_roberta_files());
  EXPECT_EQ(imported.spec["type"], Json("pipeline"));
  EXPECT_FALSE(imported.charsmap.empty());
  EXPECT_FALSE(imported.spec["normalizer"].contains("precompiled_charsmap"));
}

// transformers 5 takes these from the class, and 4 from tokenizer.json.
TEST(TokenizerFolders, RefuseXlmRobertasWithOtherSettings) {
  const auto refused = [](const char* part, auto change) {
    json files = xlm_roberta_files();
    change(files["tokenizer.json"]);
    EXPECT_ERROR(import_folder_files(files), Status::kUnsupported,
                 "its \"" + std::string(part) + "\" is not that of XLMRobertaTokenizer");
    files["tokenizer_config.json"]["tokenizer_class"] = "PreTrainedTokenizerFast";
    EXPECT_EQ(import_folder_files(files).spec["type"], Json("pipeline"));
  };
  refused("model", [](json& file) { file["model"]["byte_fallback"] = true; });
  refused("post_processor", [](json& file) { file["post_processor"] = nullptr; });
  refused("pre_tokenizer",
          [](json& file) { file["pre_tokenizer"] = file["pre_tokenizer"]["pretokenizers"][1]; });
  refused("pre_tokenizer", [](json& file) {
    file["pre_tokenizer"]["pretokenizers"][1]["prepend_scheme"] = "first";
  });
  refused("normalizer", [](json& file) {
    file["normalizer"] = {{"type", "Sequence"},
                          {"normalizers", json::array({file["normalizer"], {{"type", "NFC"}}})}};
  });
}

// Files of other ages, and steps that change no words.
TEST(TokenizerFolders, ReadXlmRobertasOfAllAges) {
  json files = xlm_roberta_files();
  json& file = files["tokenizer.json"];
  file["pre_tokenizer"]["pretokenizers"][1] = {{"type", "Metaspace"},
                                               {"replacement", "\xE2\x96\x81"},
                                               {"str_rep", "\xE2\x96\x81"},
                                               {"add_prefix_space", true}};
  const json blanks = {{"type", "Replace"}, {"pattern", {{"Regex", " {2,}"}}}, {"content", " "}};
  file["normalizer"] = {{"type", "Sequence"},
                        {"normalizers", json::array({file["normalizer"], blanks})}};
  EXPECT_EQ(import_folder_files(files).spec["type"], Json("pipeline"));
}

TEST(TokenizerFolders, LeaveOutMbartsTokenizers) {
  const json folders[] = {
      {{"config.json", {{"model_type", "mbart"}}}, {"sentencepiece.bpe.model", "any"}},
      {{"config.json", {{"model_type", "mbart"}}},
       {"sentencepiece.bpe.model", "any"},
       {"tokenizer_config.json", {{"tokenizer_class", "MBart50TokenizerFast"}}}}};
  for (const json& files : folders) {
    const ImportedTokenizer imported = import_folder_files(files);
    EXPECT_TRUE(imported.spec.is_null());
    EXPECT_NE(imported.left_out.find("token ids, not texts"), std::string::npos);
  }
  // Tokenizers that Headlane has are read: Chinese BART's is BERT's.
  json chinese = files_of_folder("vocab.txt alone");
  chinese["config.json"]["model_type"] = "bart";
  chinese["tokenizer_config.json"] = {{"tokenizer_class", "BertTokenizer"}};
  EXPECT_EQ(import_folder_files(chinese).spec["type"], "wordpiece");
  EXPECT_EQ(import_folder_files(chinese).left_out, "");
}

TEST(TokenizerFolders, RefuseFieldsThatChangeIds) {
  const std::pair<const char*, json> fields[] = {
      {"split_special_tokens", true},
      {"truncation_side", "middle"},
      {"init_inputs", {7}},
      {"fast_tokenizer_files", {"tokenizer.json", "tokenizer.4.0.0.json"}},
      {"auto_map", {{"AutoTokenizer", {"own.Tokenizer", nullptr}}}}};
  for (const auto& [field, value] : fields) {
    json files = files_of_folder("tokenizer.json alone");
    files["tokenizer_config.json"] = json::object();
    files["tokenizer_config.json"][field] = value;
    EXPECT_ERROR(import_folder_files(files), Status::kUnsupported, field);
  }
}

TEST(TokenizerFolders, RefuseTokensWithoutAnIdOfTheirOwn) {
  const auto refused = [](const json& files, Status status, const char* words) {
    EXPECT_ERROR(import_folder_files(files), status, words);
  };
  json files = files_of_folder("a line twice");
  files["tokenizer_config.json"] = {{"additional_special_tokens", {"[NEW]"}}};
  refused(files, Status::kUnsupported, "would get the id of another token");
  files = files_of_folder("holes");
  files["tokenizer_config.json"] = {{"additional_special_tokens", {"[NEW]"}}};
  refused(files, Status::kUnsupported, "would get the id of another token");
  files = files_of_folder("vocab.txt alone");
  files["added_tokens.json"] = {{"[NEW]", 30}};
  refused(files, Status::kBadFile, "has the id 30, but the next id is 21");
  files["added_tokens.json"] = {{"[NEW]", 21}, {"[X]", 21}};
  refused(files, Status::kBadFile, "the id 21 twice");
  files = files_of_folder("vocab.txt alone");
  files["tokenizer_config.json"] = {{"cls_token", nullptr}};
  refused(files, Status::kUnsupported, "\"cls_token\" is null");
  files["tokenizer_config.json"] = {{"cls_token", 1}};
  refused(files, Status::kBadFile, "cls_token");
  files["tokenizer_config.json"] = {{"extra_special_tokens", {{"x", "[X]"}, {"y", "[Y]"}}}};
  refused(files, Status::kUnsupported, "extra_special_tokens");
  files["tokenizer_config.json"] = {{"additional_special_tokens", {"a"}}};
  files["special_tokens_map.json"] = {{"additional_special_tokens", {"b"}}};
  refused(files, Status::kUnsupported, "make the lists equal");
  files = files_of_folder("no added tokens, BertTokenizer");
  files["tokenizer_config.json"] = {
      {"bos_token", {{"content", "[CLS]"}, {"normalized", false}, {"rstrip", true}}}};
  refused(files, Status::kUnsupported, "name the token \"[CLS]\", with another \"rstrip\"");
}

// A token that only a default names is left out where the model has no row for it.
TEST(TokenizerFolders, AddDefaultTokensIfTheModelHasRows) {
  json files = files_of_folder("no mask");
  EXPECT_TRUE(import_folder_files(files).vocab.ends_with("\n[MASK]\n"));
  files["config.json"]["vocab_size"] = 21;
  EXPECT_EQ(import_folder_files(files).vocab.find("[MASK]"), std::string::npos);
}

}  // namespace
}  // namespace headlane
