#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/import/tokenizers/tokenizer.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tokenizer_testing.h"

namespace headlane {
namespace {

using nlohmann::json;

json added(int64_t id, const char* content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

json element(const char* kind, const char* id) { return {{kind, {{"id", id}, {"type_id", 0}}}}; }

json small_tokenizer() {
  json file = json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null,
    "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                   "strip_accents": null, "lowercase": true},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": {
        "[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
        "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}},
    "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
              "max_input_chars_per_word": 100,
              "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "b": 5, "a": 4}}})");
  file["added_tokens"] = {added(7, "[Y]"), added(2, "[CLS]"), added(6, "[X]")};
  file["post_processor"]["single"] = {element("SpecialToken", "[CLS]"), element("Sequence", "A"),
                                      element("SpecialToken", "[SEP]")};
  return file;
}

ImportedTokenizer import_tokenizer_files(const json& tokenizer_json) {
  const TempDir folder;
  write_file(folder.file("tokenizer.json"), tokenizer_json.dump());
  write_file(folder.file("tokenizer_config.json"),
             R"({"tokenizer_class": "PreTrainedTokenizerFast"})");  // tokenizer.json as it is
  return import_tokenizer(folder.path());
}

ImportedTokenizer import_tokenizer_files(const std::string& vocab, const json& config) {
  const TempDir folder;
  write_file(folder.file("vocab.txt"), vocab);
  if (!config.is_null()) write_file(folder.file("tokenizer_config.json"), config.dump());
  return import_tokenizer(folder.path());
}

// Expects the file to be refused so, in a sentence that has `word` in it.
void expect_import_refused(const json& tokenizer_json, Status status, const std::string& word) {
  try {
    import_tokenizer_files(tokenizer_json);
    ADD_FAILURE() << "accepted: " << word;
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), status) << error.what();
    EXPECT_NE(std::string(error.what()).find("tokenizer.json"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find(word), std::string::npos) << error.what();
  }
}

TEST(ImportTokenizer, ReadsTokenizerJson) {
  const ImportedTokenizer imported = import_tokenizer_files(small_tokenizer());
  EXPECT_EQ(imported.vocab, "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\n[X]\n[Y]\n");
  EXPECT_EQ(imported.spec["n_pieces"], 6);
  EXPECT_EQ(imported.spec["ids_before"], Json::array({2}));
  EXPECT_EQ(imported.spec["ids_after"], Json::array({3}));
  EXPECT_EQ(imported.spec["added_tokens"].size(), 3u);
  const auto tokenizer = make_test_tokenizer(imported.spec, imported.vocab);
  EXPECT_EQ(encode(*tokenizer, "a[X]b[Y][CLS] [SEP]"),
            (std::vector<int32_t>{2, 4, 6, 5, 7, 2, 1, 1, 1, 3}));
  EXPECT_EQ(import_tokenizer_files(small_tokenizer()).spec.dump(), imported.spec.dump());
}

TEST(ImportTokenizer, ReadsBertProcessingAndNoNormalizer) {
  json file = small_tokenizer();
  file["normalizer"] = nullptr;
  file["post_processor"] = {
      {"type", "BertProcessing"}, {"sep", {"[SEP]", 3}}, {"cls", {"[CLS]", 2}}};
  const ImportedTokenizer imported = import_tokenizer_files(file);
  const auto tokenizer = make_test_tokenizer(imported.spec, imported.vocab);
  EXPECT_EQ(encode(*tokenizer, "a B"), (std::vector<int32_t>{2, 4, 1, 3}));
}

// WordPiece may stand between other steps than BERT's; golden/tokenizer_json/word_piece compares
// ids.
TEST(ImportTokenizer, ReadsWordPieceBetweenOtherSteps) {
  const auto type_with = [](const char* pointer, const json& value) {
    json file = small_tokenizer();
    file[json::json_pointer(pointer)] = value;
    return import_tokenizer_files(file).spec["type"];
  };
  EXPECT_EQ(type_with("/decoder", nullptr), Json("wordpiece"));
  EXPECT_EQ(type_with("/normalizer", {{"type", "NFC"}}), Json("pipeline"));
  EXPECT_EQ(type_with("/pre_tokenizer", {{"type", "Whitespace"}}), Json("pipeline"));
  EXPECT_EQ(type_with("/pre_tokenizer", nullptr), Json("pipeline"));
}

// The tensor has zero bytes in place of newlines only where it must.
TEST(ImportTokenizer, ReadsTokensWithNewlines) {
  json file = small_tokenizer();
  file["model"]["vocab"] = {{"[PAD]", 0}, {"[UNK]", 1}, {"[CLS]", 2},
                            {"[SEP]", 3}, {"a\n", 4},   {"b", 5}};
  const ImportedTokenizer imported = import_tokenizer_files(file);
  EXPECT_TRUE(imported.vocab.ends_with(std::string_view("a\n\0b\0[X]\0[Y]\0", 13)));
  const auto tokenizer = make_test_tokenizer(imported.spec, imported.vocab);
  EXPECT_EQ(tokenizer->token(4), "a\n");
  EXPECT_EQ(tokenizer->vocab_size(), 8);
  EXPECT_EQ(encode(*tokenizer, "b[Y]"), (std::vector<int32_t>{2, 5, 7, 3}));
}

TEST(ImportTokenizer, RefusesWhatTheEngineHasNot) {
  const auto refused = [](const char* pointer, const json& value, const char* word) {
    json file = small_tokenizer();
    file[json::json_pointer(pointer)] = value;
    expect_import_refused(file, Status::kUnsupported, word);
  };
  refused("/model/type", "Other", "model");
  refused("/normalizer/type", "Other", "normalizer");
  refused("/pre_tokenizer/type", "Other", "pre_tokenizer");
  refused("/post_processor/type", "OtherProcessing", "post_processor");
  refused("/post_processor/single/1/Sequence/id", "B", "single");
  refused("/post_processor/single/0/SpecialToken/type_id", 1, "single");
  refused("/post_processor/single", json::array(), "single");
  refused("/truncation", {{"direction", "Up"}}, "truncation");
}

TEST(ImportTokenizer, RefusesBadFiles) {
  const auto refused = [](const char* pointer, const json& value, const char* word) {
    json file = small_tokenizer();
    file[json::json_pointer(pointer)] = value;
    expect_import_refused(file, Status::kBadFile, word);
  };
  refused("/model/vocab/b", 12, "vocab");  // more ids than twice the tokens
  refused("/model/vocab/b", 4, "vocab");   // there twice
  refused("/model/vocab/b", -1, "vocab");
  refused("/model/vocab/b", "5", "vocab");
  refused("/model/vocab", json::array(), "vocab");
  refused("/model/vocab", json::object(), "");
  refused("/model/unk_token", "<unk>", "unk_token");
  refused("/model/max_input_chars_per_word", 0, "max_chars_per_word");
  refused("/added_tokens/0/id", 8, "[Y]");  // a gap
  refused("/added_tokens/1/id", 3, "[CLS]");
  refused("/added_tokens/1/lstrip", 1, "lstrip");
  refused("/added_tokens/1", 1, "id");
  refused("/normalizer/lowercase", nullptr, "lowercase");
  refused("/post_processor/special_tokens/[CLS]/ids", json::array({"x"}), "ids_before");
  refused("/post_processor/single/0/SpecialToken/id", "[X]", "[X]");
  refused("/normalizer", "lower", "normalizer");
}

TEST(ImportTokenizer, ReadsVocabTxt) {
  const std::string vocab = "[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\na\r\nb\r\nB";
  const ImportedTokenizer imported = import_tokenizer_files(vocab, nullptr);
  EXPECT_EQ(imported.vocab, "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\nB\n[MASK]\n");
  EXPECT_EQ(imported.spec["added_tokens"].size(), 5u);
  const auto uncased = make_test_tokenizer(imported.spec, imported.vocab);
  EXPECT_EQ(encode(*uncased, "a B [PAD]"), (std::vector<int32_t>{2, 4, 5, 0, 3}));

  const json config = {
      {"do_lower_case", false}, {"cls_token", "a"}, {"sep_token", {{"content", "b"}}}};
  const ImportedTokenizer other = import_tokenizer_files(vocab, config);
  const auto cased = make_test_tokenizer(other.spec, other.vocab);
  EXPECT_EQ(encode(*cased, "B c"), (std::vector<int32_t>{4, 6, 1, 5}));

  EXPECT_THROW(import_tokenizer_files("a\nb\n", nullptr), Error);
  EXPECT_THROW(import_tokenizer_files("", nullptr), Error);
  EXPECT_THROW(import_tokenizer_files(vocab, {{"do_lower_case", 1}}), Error);
  EXPECT_THROW(import_tokenizer_files(vocab, {{"unk_token", "x"}}), Error);
}

TEST(ImportTokenizer, MakesNoneOfAnEmptyFolder) {
  const ImportedTokenizer imported = import_tokenizer(TempDir().path());
  EXPECT_TRUE(imported.spec.is_null());
  EXPECT_TRUE(imported.vocab.empty());
}

}  // namespace
}  // namespace headlane
