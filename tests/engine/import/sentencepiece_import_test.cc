// Folders with SentencePiece models that are not as they should be, and older ones that are.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "engine/import/source/json_file.h"
#include "engine/import/tokenizers/tokenizer.h"
#include "tests/support/expect_error.h"
#include "tests/support/tokenizer_testing.h"

namespace headlane {
namespace {

// A copy of a golden folder's tokenizer.
class Copy {
 public:
  explicit Copy(const std::string& name) {
    for (const auto& entry :
         std::filesystem::directory_iterator(HEADLANE_GOLDEN_DIR "/sentencepiece/" + name)) {
      const std::string file = entry.path().filename().string();
      if (file != "texts.json") write(file, read_file(entry.path().string()));
    }
  }

  void write(const std::string& file, const std::string& bytes) {
    write_file(folder_.file(file), bytes);
  }
  void write(const std::string& file, const Json& value) { write(file, value.dump()); }
  void remove(const std::string& file) { std::filesystem::remove(folder_.file(file)); }
  Json read(const std::string& file) const { return read_json_file(folder_.file(file)); }
  void update(const std::string& file, const Json& changes) {
    Json value = read(file);
    value.update(changes);
    write(file, value);
  }

  ImportedTokenizer import() const { return import_tokenizer(folder_.path()); }
  void expect_refused(Status status, const std::string& words) const {
    EXPECT_ERROR(import(), status, words);
  }

 private:
  TempDir folder_;
};

TEST(ImportSentencePiece, RefusesAPointerOfGitLfs) {
  Copy copy("t5");
  copy.write("spiece.model", std::string("version https://git-lfs.github.com/spec/v1\n"));
  copy.expect_refused(Status::kBadFile, "spiece.model is not the file itself, only a pointer");
}

TEST(ImportSentencePiece, RefusesOtherClasses) {
  const std::pair<const char*, const char*> others[] = {{"marian", "T5Tokenizer"},
                                                        {"m2m100", "NllbTokenizer"},
                                                        {"nllb", "XLMRobertaTokenizerFast"},
                                                        {"t5", "AlbertTokenizer"}};
  for (const auto& [name, other] : others) {
    Copy copy(name);
    copy.update("tokenizer_config.json", {{"tokenizer_class", other}});
    copy.expect_refused(Status::kUnsupported, "\"tokenizer_class\"");
    copy.update("tokenizer_config.json", {{"tokenizer_class", nullptr}});
    EXPECT_NO_THROW(copy.import()) << name;
  }
  Copy copy("nllb");
  copy.update("tokenizer_config.json", {{"tokenizer_class", "NllbTokenizerFast"}});
  EXPECT_NO_THROW(copy.import());
}

TEST(ImportSentencePiece, NamesTheFileThatIsMissingOrBroken) {
  const std::pair<const char*, const char*> needed[] = {
      {"marian", "target.spm"}, {"marian", "vocab.json"}, {"marian_separate", "target_vocab.json"}};
  for (const auto& [name, file] : needed) {
    Copy copy(name);
    copy.remove(file);
    copy.expect_refused(Status::kIo, file);
  }
  const std::pair<const char*, const char*> broken[] = {
      {"marian", "target.spm"}, {"marian", "source.spm"},   {"nllb", "sentencepiece.bpe.model"},
      {"t5", "spiece.model"},   {"nllb", "tokenizer.json"}, {"m2m100", "special_tokens_map.json"},
      {"m2m100", "vocab.json"}};
  for (const auto& [name, file] : broken) {
    Copy copy(name);
    copy.write(file, std::string("{no model"));
    copy.expect_refused(Status::kBadFile,
                        std::string(file).ends_with(".spm") ? "SentencePiece" : file);
  }
}

TEST(ImportSentencePiece, ReadsMarianVocabulariesWithGaps) {
  Copy copy("marian");
  Json vocab = copy.read("vocab.json");
  const int64_t last = vocab["<pad>"].get<int64_t>();
  vocab["<pad>"] = last + 5;
  copy.write("vocab.json", vocab);
  const ImportedTokenizer imported = copy.import();
  EXPECT_TRUE(imported.vocab.ends_with("\n\n\n\n\n\n\n<pad>\n"));
  vocab["<pad>"] = 3 * last;
  copy.write("vocab.json", vocab);
  copy.expect_refused(Status::kBadFile, "\"<pad>\" is " + std::to_string(3 * last));
  vocab["<pad>"] = 0;
  copy.write("vocab.json", vocab);
  copy.expect_refused(Status::kBadFile, "each once");
  vocab["<pad>"] = "0";
  copy.write("vocab.json", vocab);
  copy.expect_refused(Status::kBadFile, "\"<pad>\" is");
  vocab["<pad>"] = last;
  vocab["a\nb"] = last + 1;
  copy.write("vocab.json", vocab);
  vocab[std::string("a\0b", 3)] = last + 2;
  copy.write("vocab.json", vocab);
  copy.expect_refused(Status::kUnsupported, "a token with a newline and one with a zero byte");
  copy.write("vocab.json", Json::array({1}));
  copy.expect_refused(Status::kBadFile, "vocab.json is no object");
}

TEST(ImportSentencePiece, ReadsM2M100sLanguages) {
  Copy copy("m2m100");
  const int64_t n_pieces = static_cast<int64_t>(copy.read("vocab.json").size());
  copy.remove("special_tokens_map.json");
  Json spec = copy.import().spec;
  EXPECT_EQ(spec["source_language"], "en");
  EXPECT_EQ(spec["languages"].front(), Json({{"name", "af"}, {"id", n_pieces}}));
  EXPECT_EQ(spec["languages"].back(), Json({{"name", "zu"}, {"id", n_pieces + 99}}));
  copy.update("tokenizer_config.json", {{"language_codes", "wmt21"}, {"src_lang", "de"}});
  spec = copy.import().spec;
  EXPECT_EQ(spec["languages"].back(), Json({{"name", "de"}, {"id", n_pieces + 7}}));
  EXPECT_EQ(spec["source_language"], "de");
  copy.update("tokenizer_config.json", {{"src_lang", "fr"}});
  copy.expect_refused(Status::kBadFile, "\"fr\"");
  copy.update("tokenizer_config.json", {{"language_codes", "mine"}});
  copy.expect_refused(Status::kUnsupported, "mine");
}

// As folders were before tokenizer.json: languages and the mask follow the pieces.
TEST(ImportSentencePiece, ReadsNllbsLanguagesFromLists) {
  Copy copy("nllb");
  const ImportedTokenizer expected = copy.import();
  copy.remove("tokenizer.json");
  ImportedTokenizer listed = copy.import();
  EXPECT_EQ(listed.vocab, expected.vocab);
  // No list says which white space the mask takes.
  EXPECT_EQ(listed.spec["languages"], expected.spec["languages"]);
  EXPECT_EQ(listed.spec["special_ids"], expected.spec["special_ids"]);
  copy.update("special_tokens_map.json", {{"additional_special_tokens", nullptr}});
  copy.expect_refused(Status::kBadFile, "languages");

  Copy decoder("nllb");
  Json added = Json::object();
  const Json file = decoder.read("tokenizer.json");
  for (const Json& token : file["added_tokens"]) {
    added[std::to_string(token["id"].get<int64_t>())] = token;
  }
  decoder.remove("tokenizer.json");
  decoder.update("tokenizer_config.json", {{"added_tokens_decoder", added}});
  EXPECT_EQ(decoder.import().spec.dump(), expected.spec.dump());
  EXPECT_EQ(decoder.import().vocab, expected.vocab);
  added["x1"] = added["1"];
  decoder.update("tokenizer_config.json", {{"added_tokens_decoder", added}});
  decoder.expect_refused(Status::kBadFile, "\"x1\"");
}

TEST(ImportSentencePiece, RefusesAddedTokensThatContradict) {
  Copy copy("nllb");
  Json file = copy.read("tokenizer.json");
  file["added_tokens"].back()["id"] = 5000;
  copy.write("tokenizer.json", file);
  copy.expect_refused(Status::kBadFile, "\"<mask>\"");
  file["added_tokens"].back()["id"] = 4;
  copy.write("tokenizer.json", file);
  copy.expect_refused(Status::kBadFile, "\"<mask>\"");
}

// transformers 4.57.6 and 5.24.0 append such a token, if only as the text of a role that no model
// of the family has.
TEST(ImportSentencePiece, RefusesSpecialTokensThatTheVocabularyLacks) {
  for (const char* folder : {"marian", "m2m100", "nllb", "t5"}) {
    SCOPED_TRACE(folder);
    Copy copy(folder);
    copy.remove("special_tokens_map.json");  // it would count first
    copy.update("tokenizer_config.json", {{"cls_token", "<new>"}});
    copy.write("config.json", Json({{"vocab_size", 4096}}));
    copy.expect_refused(Status::kUnsupported, "special token \"<new>\" is not in the vocabulary");
    copy.update("tokenizer_config.json", {{"cls_token", nullptr}});
    copy.write("special_tokens_map.json", Json({{"sep_token", {{"content", "<new>"}}}}));
    copy.expect_refused(Status::kUnsupported, "special token \"<new>\" is not in the vocabulary");
    // They cannot be meant where the model has no row for them.
    copy.write("config.json", Json({{"vocab_size", 100}}));
    EXPECT_EQ(copy.import().vocab.find("<new>"), std::string::npos);
  }
}

TEST(ImportSentencePiece, CountsT5sExtraIdsDown) {
  Copy copy("t5");
  const int64_t n_pieces = 600;
  copy.update("tokenizer_config.json", {{"extra_ids", nullptr}});
  ImportedTokenizer imported = copy.import();
  EXPECT_EQ(std::count(imported.vocab.begin(), imported.vocab.end(), '\n'), n_pieces + 100);
  EXPECT_TRUE(imported.vocab.ends_with("\n<extra_id_1>\n<extra_id_0>\n"));
  for (int64_t bad : {-1, 65537}) {
    copy.update("tokenizer_config.json", {{"extra_ids", bad}});
    copy.expect_refused(Status::kBadFile, "\"extra_ids\" is " + std::to_string(bad));
  }
  // Special tokens are text, or objects with flags.
  copy.update("tokenizer_config.json",
              {{"extra_ids", 0}, {"eos_token", {{"content", "</s>"}, {"lstrip", false}}}});
  EXPECT_EQ(copy.import().spec["ids_after"], Json::array({1}));
  copy.update("tokenizer_config.json", {{"eos_token", "</end>"}});
  copy.expect_refused(Status::kUnsupported, "\"</end>\"");
  copy.update("tokenizer_config.json", {{"eos_token", 7}});
  copy.expect_refused(Status::kBadFile, "\"eos_token\"");
}

TEST(ImportSentencePiece, RefusesNllbOfOtherPieces) {
  Copy copy("nllb");
  copy.write("sentencepiece.bpe.model",
             read_file(HEADLANE_GOLDEN_DIR "/sentencepiece/t5/spiece.model"));
  copy.expect_refused(Status::kBadFile, "piece 0 is not \"<unk>\"");
}

// transformers 5 saves such folders.
TEST(ImportSentencePiece, RefusesFoldersWithoutTheModel) {
  Copy copy("nllb");
  copy.remove("sentencepiece.bpe.model");
  copy.expect_refused(Status::kUnsupported, "SentencePiece model that the original folder has");
}

}  // namespace
}  // namespace headlane
