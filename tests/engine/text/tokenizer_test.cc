#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "engine/base/error.h"
#include "tests/support/tokenizer_testing.h"

namespace headlane {
namespace {

constexpr char kVocab[] =
    "[UNK]\n[CLS]\n[SEP]\n[MASK]\nhello\nworld\nun\n##able\n##a\n##b\n##ble\na\nb\nab\n,\n.\n!\n-"
    "\n[\n"
    "]\n\xC3\xA9\n##\xC3\xA9\ne\n##e\n\xE4\xB8\xAD\n##\xE4\xB8\xAD\n\xE2\x80\x9C\n\xEF\xBF\xBD\n"
    "##\xEF\xBF\xBD\ni\n##\xCC\x87\n##\x01\nA\nE\n";

Json test_spec() {
  Json spec = bert_spec(std::count(std::begin(kVocab), std::end(kVocab), '\n'));
  spec["added_tokens"] = {added_token(0), added_token(1), added_token(2), added_token(3)};
  return spec;
}

std::unique_ptr<Tokenizer> test_tokenizer(const Json& changes = Json::object()) {
  Json spec = test_spec();
  spec.update(changes);
  return make_test_tokenizer(spec, kVocab);
}

// The message of the Error that making a tokenizer ends with.
std::string error_of(const Json& spec, std::string_view vocab) {
  try {
    make_test_tokenizer(spec, vocab);
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), Status::kBadFile);
    return error.what();
  }
  return "";
}

TEST(Tokenizer, EnclosesTextInSpecialTokens) {
  const auto tokenizer = test_tokenizer();
  EXPECT_EQ(encode(*tokenizer, "hello world"), (std::vector<int32_t>{1, 4, 5, 2}));
  EXPECT_EQ(encode(*tokenizer, ""), (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(encode(*tokenizer, " \t\r\n\xE3\x80\x80"), (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(tokenizer->n_special(), 2);
  EXPECT_EQ(tokenizer->vocab_size(), test_spec()["n_pieces"]);
  EXPECT_EQ(tokenizer->token(4), "hello");
}

TEST(Tokenizer, AppendsToIds) {
  std::vector<int32_t> ids = {7, 8, 9};
  test_tokenizer()->encode("hello world hello", 4, &ids);
  EXPECT_EQ(ids, (std::vector<int32_t>{7, 8, 9, 1, 4, 5, 2}));
}

TEST(Tokenizer, DecodesToText) {
  const auto tokenizer = test_tokenizer();
  const auto decoded = [&](std::string_view text) {
    return tokenizer->decode(encode(*tokenizer, text));
  };
  EXPECT_EQ(decoded("hello world"), "hello world");
  EXPECT_EQ(decoded("Hello, unable  world!"), "hello, unable world!");
  EXPECT_EQ(decoded("[MASK] a - b."), "a - b.");
  EXPECT_EQ(decoded(""), "");
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{7, 4}), "##able hello");
  EXPECT_EQ(tokenizer->find("##able"), 7);
  EXPECT_EQ(tokenizer->find("##abl"), -1);
}

TEST(Tokenizer, HasNoLanguages) {
  const auto tokenizer = test_tokenizer();
  EXPECT_EQ(tokenizer->language_use(), LanguageUse::kNone);
  EXPECT_TRUE(tokenizer->languages().empty());
  EXPECT_EQ(tokenizer->language_id("en"), -1);
  EXPECT_EQ(tokenizer->n_special_with({}), 2);
  EXPECT_EQ(tokenizer->target_vocab_size(), tokenizer->vocab_size());
  std::vector<int32_t> ids;
  tokenizer->encode_with("hello", kNoLimit, {}, &ids);
  EXPECT_EQ(ids, encode(*tokenizer, "hello"));
  EXPECT_THROW(tokenizer->encode_with("hello", kNoLimit, {"", "en"}, &ids), Error);
}

TEST(Tokenizer, TakesTheLongestPieces) {
  const auto tokenizer = test_tokenizer();
  EXPECT_EQ(pieces(*tokenizer, "unable"), "un ##able");
  EXPECT_EQ(pieces(*tokenizer, "abab"), "ab ##a ##b");
  EXPECT_EQ(pieces(*tokenizer, "able"), "[UNK]");  // "ab" fits, but not "##le"
  EXPECT_EQ(pieces(*tokenizer, "hello worldx unable"), "hello [UNK] un ##able");
}

TEST(Tokenizer, SplitsPunctuation) {
  const auto tokenizer = test_tokenizer();
  EXPECT_EQ(pieces(*tokenizer, "hello,world!-a."), "hello , world ! - a .");
  EXPECT_EQ(pieces(*tokenizer, "[[hello]]"), "[ [ hello ] ]");
  EXPECT_EQ(pieces(*tokenizer,
                   "a\xE2\x80\x9C"
                   "b"),
            "a \xE2\x80\x9C b");
}

TEST(Tokenizer, SplitsAtEverySpace) {
  const auto tokenizer = test_tokenizer();
  for (const char* space : {" ", "\t", "\n", "\r", "\xC2\xA0", "\xE1\x9A\x80", "\xE2\x80\x89",
                            "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE3\x80\x80"}) {
    EXPECT_EQ(pieces(*tokenizer, std::string("a") + space + "b"), "a b") << space;
  }
}

TEST(Tokenizer, DropsControlCharacters) {
  const std::string text(
      "a\x01"
      "b\0\x7F\x0B\xC2\xAD\xE2\x80\x8D\xEF\xBF\xBD"
      "b",
      15);
  EXPECT_EQ(pieces(*test_tokenizer(), text), "ab ##b");
  EXPECT_EQ(pieces(*test_tokenizer({{"clean_text", false}}), "a\x01"), "a ##\x01");
}

TEST(Tokenizer, LowersAndStripsAccents) {
  EXPECT_EQ(pieces(*test_tokenizer(), "HELLO \xC3\x89 e\xCC\x81"), "hello e e");
  const auto cased = test_tokenizer({{"lowercase", false}});
  EXPECT_EQ(pieces(*cased, "A \xC3\xA9 HELLO"), "A \xC3\xA9 [UNK]");
  const auto cased_strip = test_tokenizer({{"lowercase", false}, {"strip_accents", true}});
  EXPECT_EQ(pieces(*cased_strip, "\xC3\x89 \xC3\xA9"), "E e");
  const auto kept = test_tokenizer({{"strip_accents", false}});
  EXPECT_EQ(pieces(*kept, "\xC3\x89 \xC4\xB0"), "\xC3\xA9 i ##\xCC\x87");
}

TEST(Tokenizer, IsolatesChineseCharacters) {
  EXPECT_EQ(pieces(*test_tokenizer(),
                   "a\xE4\xB8\xAD\xE4\xB8\xAD"
                   "b"),
            "a \xE4\xB8\xAD \xE4\xB8\xAD b");
  const auto off = test_tokenizer({{"handle_chinese_chars", false}});
  EXPECT_EQ(pieces(*off,
                   "a\xE4\xB8\xAD"
                   "b"),
            "a ##\xE4\xB8\xAD ##b");
}

TEST(Tokenizer, ReadsInvalidUtf8AsReplacements) {
  const auto tokenizer = test_tokenizer({{"clean_text", false}});
  const auto n_replacements = [&](const char* bytes) {
    return encode(*tokenizer, std::string("a") + bytes).size() - 3;
  };
  EXPECT_EQ(n_replacements("\xFF"), 1u);
  EXPECT_EQ(n_replacements("\xC3"), 1u);              // cut off
  EXPECT_EQ(n_replacements("\xF0\x9F\x98"), 1u);      // cut off
  EXPECT_EQ(n_replacements("\xC0\xAF"), 2u);          // overlong
  EXPECT_EQ(n_replacements("\xED\xA0\x80"), 3u);      // a surrogate
  EXPECT_EQ(n_replacements("\xF4\x90\x80\x80"), 4u);  // above U+10FFFF
  EXPECT_EQ(pieces(*test_tokenizer(),
                   "a\xFF"
                   "b"),
            "ab");
}

TEST(Tokenizer, FindsSpecialTokensInText) {
  const auto tokenizer = test_tokenizer();
  EXPECT_EQ(pieces(*tokenizer, "hello[MASK]world [SEP]"), "hello [MASK] world [SEP]");
  EXPECT_EQ(pieces(*tokenizer, "[MASK][MASK]"), "[MASK] [MASK]");
  EXPECT_EQ(pieces(*tokenizer, "[[MASK]]"), "[ [MASK] ]");
  EXPECT_EQ(pieces(*tokenizer, "[mask]"), "[ [UNK] ]");
}

TEST(Tokenizer, HonoursTheFlagsOfAddedTokens) {
  const auto with_flag = [](const char* flag) {
    Json spec = test_spec();
    spec["added_tokens"][3][flag] = true;
    spec["added_tokens"].push_back(added_token(13));  // "ab", found inside words
    return make_test_tokenizer(spec, kVocab);
  };
  EXPECT_EQ(pieces(*with_flag("single_word"), "a[MASK] [MASK]b -[MASK]-"),
            "a [ [UNK] ] [ [UNK] ] b - [MASK] -");
  EXPECT_EQ(pieces(*with_flag("lstrip"), "babb  [MASK]"), "b ab b [MASK]");
  EXPECT_EQ(pieces(*with_flag("rstrip"), "[MASK]  ab"), "[MASK] ab");
}

TEST(Tokenizer, StripsNoSpaceTwice) {
  Json spec = bert_spec(5);
  spec["added_tokens"] = {added_token(3), added_token(4)};
  spec["added_tokens"][0]["rstrip"] = true;
  spec["added_tokens"][1]["lstrip"] = true;
  const auto tokenizer = make_test_tokenizer(spec, "[UNK]\n[CLS]\n[SEP]\nx\n\t\n");
  EXPECT_EQ(encode(*tokenizer, "x \tx"), (std::vector<int32_t>{1, 3, 3, 2}));
  EXPECT_EQ(encode(*tokenizer, " \t\tx"), (std::vector<int32_t>{1, 4, 4, 3, 2}));
}

TEST(Tokenizer, MatchesNormalizedTokensInNormalizedText) {
  Json spec = test_spec();
  spec["n_pieces"] = spec["n_pieces"].get<int64_t>() - 1;  // the last, "E", is an added one only
  spec["added_tokens"].push_back(added_token(spec["n_pieces"].get<int32_t>()));
  spec["added_tokens"].back()["normalized"] = true;
  const auto tokenizer = make_test_tokenizer(spec, kVocab);
  EXPECT_EQ(pieces(*tokenizer,
                   "a\xC3\x89"
                   "b e"),
            "a E b E");
}

TEST(Tokenizer, CutsTheEndOfTheText) {
  const auto tokenizer = test_tokenizer();
  EXPECT_EQ(pieces(*tokenizer, "unable hello", 5), "un ##able hello");
  EXPECT_EQ(pieces(*tokenizer, "unable hello", 4), "un ##able");
  EXPECT_EQ(pieces(*tokenizer, "unable hello", 3), "un");
  EXPECT_EQ(encode(*tokenizer, "unable hello", 2), (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(pieces(*tokenizer, "hello [MASK]", 3), "hello");
  EXPECT_EQ(pieces(*tokenizer, "unablex", 3), "[UNK]");  // not "un"
}

TEST(Tokenizer, MakesLongWordsUnknown) {
  const auto tokenizer = test_tokenizer();
  for (const char* c : {"a", "\xC3\xA9", "\xEF\xBF\xBD"}) {
    const auto keeping = test_tokenizer({{"clean_text", false}, {"strip_accents", false}});
    std::string word;
    for (int i = 0; i < 100; ++i) word += c;
    const bool begins_word = keeping->token(encode(*keeping, word)[1]) == c;
    EXPECT_TRUE(begins_word) << c;
    EXPECT_EQ(encode(*keeping, word).size(), 102u) << c;
    EXPECT_EQ(pieces(*keeping, word + c), "[UNK]") << c;
  }
  EXPECT_EQ(pieces(*tokenizer, std::string(10'000'000, 'a') + " b"), "[UNK] b");
  const auto longer = test_tokenizer({{"max_chars_per_word", 4096}});
  EXPECT_EQ(encode(*longer, std::string(4096, 'a')).size(), 4098u);
}

TEST(Tokenizer, JoinsBlocksWithoutASeam) {
  const auto tokenizer = test_tokenizer();
  for (int padding = 4080; padding < 4110; ++padding) {
    std::string text(static_cast<size_t>(padding), ' ');
    text.insert(0, "hello");
    EXPECT_EQ(pieces(*tokenizer, text + "unable e\xCC\x81 world."), "hello un ##able e world .");
  }
}

TEST(Tokenizer, SurvivesRandomBytes) {
  std::mt19937 random(7);
  const std::string alphabet = "ab[MASK] \xC3\xA9\xCC\x81\xE4\xB8\xAD\xFF\xED\xA0\x80\xF0\x9F";
  Json spec = test_spec();
  for (int round = 0; round < 3000; ++round) {
    for (Json& added : spec["added_tokens"]) {
      for (Json& flag : added) {
        if (flag.is_boolean()) flag = random() % 2 == 0;
      }
    }
    for (const char* field : {"clean_text", "handle_chinese_chars", "strip_accents", "lowercase"}) {
      spec[field] = random() % 2 == 0;
    }
    const auto tokenizer = make_test_tokenizer(spec, kVocab);
    std::string text(random() % 80, '\0');
    for (char& c : text) {
      c = static_cast<char>(random() % 2 == 0 ? random() : alphabet[random() % alphabet.size()]);
    }
    const int64_t max_len = 2 + static_cast<int64_t>(random() % 40);
    const std::vector<int32_t> ids = encode(*tokenizer, text, max_len);
    ASSERT_LE(static_cast<int64_t>(ids.size()), max_len);
    for (int32_t id : ids) ASSERT_TRUE(id >= 0 && id < tokenizer->vocab_size());
  }
}

TEST(Tokenizer, RefusesBadFields) {
  const std::vector<std::pair<const char*, Json>> cases = {
      {"type", "bpe"},
      {"type", 1},
      {"n_pieces", 0},
      {"n_pieces", 1000},
      {"n_pieces", -1},
      {"n_pieces", uint64_t{1} << 63},
      {"n_pieces", 1.5},
      {"clean_text", 1},
      {"lowercase", nullptr},
      {"strip_accents", "no"},
      {"unk_token", "[unk]"},
      {"unk_token", 0},
      {"prefix", nullptr},
      {"max_chars_per_word", 0},
      {"max_chars_per_word", 5000},
      {"ids_before", 1},
      {"ids_before", Json::array({1000})},
      {"ids_after", Json::array({-1})},
      {"ids_after", Json::array({"2"})},
      {"ids_after", std::vector<int>(65, 2)},
      {"added_tokens", Json::object()},
      {"added_tokens", Json::array({1})},
      {"added_tokens", Json::array({added_token(1000)})},
      {"added_tokens", {added_token(3), added_token(3)}}};
  for (const auto& [field, value] : cases) {
    Json spec = test_spec();
    spec[field] = value;
    const std::string message = error_of(spec, kVocab);
    EXPECT_EQ(message.find("test: tokenizer"), 0u) << message;
    EXPECT_NE(message.find(field), std::string::npos) << field << ": " << message;
    spec.erase(field);
    EXPECT_NE(error_of(spec, kVocab).find(field), std::string::npos) << field;
  }
  EXPECT_NE(error_of(nullptr, kVocab), "");
  EXPECT_NE(error_of(Json::array(), kVocab), "");
}

TEST(Tokenizer, RefusesBadVocabularies) {
  const Json spec = bert_spec(4);
  EXPECT_EQ(error_of(spec, "[UNK]\n[CLS]\n[SEP]\na\n"), "");
  EXPECT_NE(error_of(spec, ""), "");
  EXPECT_NE(error_of(spec, "[UNK]\n[CLS]\n[SEP]\na"), "");  // cut off
  EXPECT_NE(error_of(spec, "[UNK]\n[CLS]\n[SEP]\n"), "");   // one too few
  EXPECT_NE(error_of(spec, "[PAD]\n[CLS]\n[SEP]\na\n"), "");
  Json with_added = spec;
  with_added["added_tokens"] = Json::array({added_token(3)});
  EXPECT_NE(error_of(with_added, "[UNK]\n[CLS]\n[SEP]\n\n"), "");      // empty
  EXPECT_NE(error_of(with_added, "[UNK]\n[CLS]\n[SEP]\n\xA9\n"), "");  // not UTF-8
  with_added["added_tokens"][0]["normalized"] = true;
  EXPECT_NE(error_of(with_added, "[UNK]\n[CLS]\n[SEP]\n\xCC\x81\n"), "");  // normalizes to nothing
}

TEST(Tokenizer, BearsOddVocabularies) {
  const auto tokenizer =
      make_test_tokenizer(bert_spec(8), "[UNK]\n[CLS]\n[SEP]\n\na\n\xFF\na\n##\n");
  EXPECT_EQ(encode(*tokenizer, "a ## \xFF"), (std::vector<int32_t>{1, 6, 0, 0, 2}));  // the last a
  EXPECT_EQ(pieces(*tokenizer, "aa"), "[UNK]");
}

}  // namespace
}  // namespace headlane
