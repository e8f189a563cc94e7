// The SentencePiece tokenizer on small models made here; golden files are in another test.
#include "engine/text/sentencepiece.h"

#include <gtest/gtest.h>

#include <random>
#include <sstream>
#include <thread>

#include "engine/text/sentencepiece_model.h"
#include "tests/support/expect_error.h"
#include "tests/support/tokenizer_testing.h"

namespace headlane {
namespace {

constexpr char kBlank[] = "\xE2\x96\x81";

// Pieces "_a" to "_z", "a" to "z", "_", the longer the better.
SentencePieceModel letters() {
  SentencePieceModel model;
  model.pieces = {{"<unk>", 0, PieceType::kUnknown}, {kBlank, -10, PieceType::kNormal}};
  for (char c = 'a'; c <= 'z'; ++c) {
    model.pieces.push_back({std::string(1, c), -10, PieceType::kNormal});
    model.pieces.push_back({std::string(kBlank) + c, -11, PieceType::kNormal});
  }
  return model;
}

// A tokenizer's parts, to be spoiled.
struct Parts {
  Json spec;
  std::string vocab, target_vocab, source, target;

  std::unique_ptr<Tokenizer> make() const {
    const auto bytes = [](const std::string& text) { return std::as_bytes(std::span(text)); };
    return make_tokenizer(spec, {bytes(vocab), bytes(target_vocab), bytes(source), bytes(target)},
                          "test");
  }
};

// <unk> 0, </s> 1, __de__ 2, __en__ 3, then the letters' pieces.
Parts letter_parts() {
  Parts parts;
  parts.vocab = "<unk>\n</s>\n__de__\n__en__\n";
  const SentencePieceModel model = letters();
  for (size_t i = 1; i < model.pieces.size(); ++i) parts.vocab += model.pieces[i].text + '\n';
  parts.source = model_proto(model);
  parts.spec = {{"type", "sentencepiece"},
                {"unk_token", "<unk>"},
                {"ids_before", Json::array()},
                {"ids_after", {1}},
                {"added_tokens", {added_token(1)}},
                {"special_ids", {0, 1, 2, 3}},
                {"language_use", "source"},
                {"languages", {{{"name", "de"}, {"id", 2}}, {{"name", "en"}, {"id", 3}}}},
                {"source_language", "en"},
                {"language_after", false},
                {"text_languages", false}};
  return parts;
}

// The spellings of what `text` becomes.
std::string spelled(const Tokenizer& tokenizer, std::string_view text, int64_t max_len = kNoLimit,
                    const TextLanguages& languages = {}) {
  std::vector<int32_t> ids;
  tokenizer.encode_with(text, max_len, languages, &ids);
  std::string out;
  for (int32_t id : ids) {
    const std::string_view token = tokenizer.token(id);
    const bool blank = token.starts_with(kBlank);
    if (!out.empty()) out += ' ';
    if (blank) out += '_';
    out += token.substr(blank ? 3 : 0);
  }
  return out;
}

TEST(SentencePiece, EnclosesTextInSpecialTokens) {
  const auto tokenizer = letter_parts().make();
  EXPECT_EQ(spelled(*tokenizer, "ab  c"), "__en__ _a b _c </s>");
  EXPECT_EQ(spelled(*tokenizer, ""), "__en__ </s>");
  EXPECT_EQ(spelled(*tokenizer, " "), "__en__ </s>");
  EXPECT_EQ(spelled(*tokenizer, "ab", kNoLimit, {"de", ""}), "__de__ _a b </s>");
  EXPECT_EQ(spelled(*tokenizer, "ab", kNoLimit, {"de", "en"}), "__de__ _a b </s>");
  EXPECT_EQ(spelled(*tokenizer, "ab", 2), "__en__ </s>");
  EXPECT_EQ(spelled(*tokenizer, "ab", 3), "__en__ _a </s>");
  EXPECT_EQ(spelled(*tokenizer, "ab</s>c</s></s>"), "__en__ _a b </s> _c </s> </s> </s>");
  EXPECT_EQ(spelled(*tokenizer, "A1 __de__"), "__en__ _ <unk> _ <unk> d e <unk> </s>");
  EXPECT_EQ(tokenizer->n_special(), 2);
  EXPECT_EQ(tokenizer->find("</s>"), 1);
  EXPECT_EQ(tokenizer->find("</t>"), -1);
}

TEST(SentencePiece, PutsTheLanguageWhereItBelongs) {
  Parts parts = letter_parts();
  parts.spec["language_after"] = true;
  parts.spec["ids_before"] = {0};
  EXPECT_EQ(spelled(*parts.make(), "ab"), "<unk> _a b </s> __en__");
  EXPECT_EQ(spelled(*parts.make(), "ab", 4), "<unk> _a </s> __en__");
  parts.spec["language_after"] = false;
  EXPECT_EQ(spelled(*parts.make(), "ab"), "__en__ <unk> _a b </s>");
  EXPECT_EQ(parts.make()->n_special(), 3);
  parts.spec["language_use"] = "target_in_text";
  parts.spec["source_language"] = nullptr;
  EXPECT_EQ(spelled(*parts.make(), "ab"), "<unk> _a b </s>");
  EXPECT_EQ(spelled(*parts.make(), "ab", kNoLimit, {"", "de"}), "<unk> __de__ _a b </s>");
  EXPECT_EQ(spelled(*parts.make(), "ab", 4, {"", "de"}), "<unk> __de__ _a </s>");
}

TEST(SentencePiece, FindsALanguageAtATextsHead) {
  Parts parts = letter_parts();
  parts.vocab += ">>de<<\n";
  parts.spec["text_languages"] = true;
  const auto tokenizer = parts.make();
  EXPECT_EQ(spelled(*tokenizer, ">>de<< ab"), "__en__ >>de<< _a b </s>");
  EXPECT_EQ(spelled(*tokenizer, ">>de<<ab"), "__en__ >>de<< _a b </s>");
  EXPECT_EQ(spelled(*tokenizer, ">>fr<< ab"), "__en__ <unk> _a b </s>");
  EXPECT_EQ(spelled(*tokenizer, ">>de<"), "__en__ _ <unk> d e <unk> </s>");
  EXPECT_EQ(spelled(*tokenizer, "a>>de<<"), "__en__ _a <unk> d e <unk> </s>");
  EXPECT_EQ(spelled(*tokenizer, ">><<"), "__en__ <unk> </s>");
}

TEST(SentencePiece, DecodesWithTheTargetsModelAndVocabulary) {
  Parts parts = letter_parts();
  SentencePieceModel target;
  target.pieces = {{"<unk>", 0, PieceType::kUnknown}, {std::string(kBlank) + "x", -1}, {"y", -1}};
  parts.target = model_proto(target);
  const auto joint = parts.make();
  EXPECT_EQ(joint->decode(encode(*joint, "xy xa")), "xy xa");
  EXPECT_EQ(joint->decode(encode(*joint, "ab 1 c")), "ab  c");  // the unknown is left out
  parts.target_vocab = std::string("<unk>\n</s>\n</t>\n__en__\n") + kBlank + "x\ny\nz\n";
  parts.spec["languages"] = {{{"name", "en"}, {"id", 3}}};
  const auto separate = parts.make();
  EXPECT_EQ(separate->decode(std::vector<int32_t>{3, 4, 5, 6, 4, 1}), "xyz x");
  EXPECT_EQ(separate->target_vocab_size(), 7);
  EXPECT_EQ(separate->find_target("z"), 6);
  EXPECT_EQ(separate->target_token(6), "z");
}

TEST(SentencePiece, CutsLongTextsAtBlanks) {
  const auto tokenizer = letter_parts().make();
  std::mt19937 random(3);
  std::string text, expected = "__en__";
  while (text.size() < 100'000) {
    const auto length = 1 + static_cast<int>(random() % 9);
    text += std::string(1 + random() % 3, ' ');
    expected += " _";
    for (int i = 0; i < length; ++i) {
      const char c = static_cast<char>('a' + random() % 26);
      text += c;
      if (i > 0) expected += ' ';
      expected += c;
    }
  }
  EXPECT_TRUE(spelled(*tokenizer, text) == expected + " </s>");
  std::istringstream words(expected);
  std::string head;
  for (int i = 0; i < 4; ++i) {
    std::string word;
    words >> word;
    head += word + " ";
  }
  EXPECT_EQ(spelled(*tokenizer, text, 5), head + "</s>");
}

TEST(SentencePiece, BearsTextsWithoutBlanks) {
  const auto tokenizer = letter_parts().make();
  for (const char* unit : {"a", "\xE4\xBB\x8A", "\xF0\x9F\x98\x80", "\xFF"}) {
    std::string text;
    while (text.size() < (size_t{256} << 10)) text += unit;
    const std::vector<int32_t> ids = encode(*tokenizer, text);
    if (*unit == 'a') {
      EXPECT_EQ(ids.size(), text.size() + 2);
    } else {
      // The unknown part is one token of each block, behind its blank.
      EXPECT_GT(ids.size(), 16u);
      EXPECT_LT(ids.size(), 2 * 3 * 17u + 2);
    }
    EXPECT_EQ(encode(*tokenizer, text, 10).size(), 10u);
  }
}

TEST(SentencePiece, MayBeUsedByManyThreads) {
  const auto tokenizer = letter_parts().make();
  const std::vector<int32_t> expected = encode(*tokenizer, "some words 1 2 of the text");
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        EXPECT_EQ(encode(*tokenizer, "some words 1 2 of the text"), expected);
        EXPECT_EQ(tokenizer->decode(expected), "some words   of the text");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(SentencePiece, NeedsEveryField) {
  const Json good = letter_parts().spec;
  for (const auto& [key, value] : good.items()) {
    Parts parts = letter_parts();
    parts.spec.erase(key);
    EXPECT_ERROR(parts.make(), Status::kBadFile, "\"" + key + "\"");
    parts.spec[key] = 1.5;
    EXPECT_ERROR(parts.make(), Status::kBadFile, "\"" + key + "\"");
  }
}

void expect_spec_refused(const Json& changes, const std::string& words) {
  Parts parts = letter_parts();
  parts.spec.update(changes);
  EXPECT_ERROR(parts.make(), Status::kBadFile, words);
}

TEST(SentencePiece, RefusesBadFields) {
  expect_spec_refused({{"type", "unigram"}}, "\"type\" is \"unigram\"");
  expect_spec_refused({{"unk_token", "[UNK]"}}, "\"unk_token\"");
  expect_spec_refused({{"ids_before", {57}}}, "\"ids_before\" has the id 57");
  expect_spec_refused({{"ids_after", {-1}}}, "\"ids_after\"");
  expect_spec_refused({{"ids_after", std::vector<int>(65, 1)}}, "at most 64");
  expect_spec_refused({{"special_ids", {1000}}}, "\"special_ids\" has the id 1000");
  expect_spec_refused({{"added_tokens", {added_token(1000)}}}, "\"added_tokens\" has the id 1000");
  expect_spec_refused({{"added_tokens", {added_token(1), added_token(1)}}}, "twice");
  Json normalized = added_token(1);
  normalized["normalized"] = true;
  expect_spec_refused({{"added_tokens", {normalized}}}, "normalized");
  expect_spec_refused({{"language_use", "target"}}, "\"language_use\" is \"target\"");
  expect_spec_refused({{"language_use", "none"}}, "no use");
  expect_spec_refused({{"language_use", "target_in_text"}}, "\"source_language\"");
  expect_spec_refused({{"source_language", nullptr}}, "\"source_language\"");
  expect_spec_refused({{"source_language", "fr"}}, "none of its languages");
  const Json en = {{"name", "en"}, {"id", 3}};
  expect_spec_refused({{"languages", {en, en}}}, "empty or twice");
  expect_spec_refused({{"languages", {{{"name", ""}, {"id", 3}}}}}, "empty or twice");
  expect_spec_refused({{"languages", {{{"name", "en"}, {"id", 57}}}}},
                      "\"languages\" has the id 57");
  expect_spec_refused({{"languages", {{{"name", "en"}}}}}, "\"id\"");
}

TEST(SentencePiece, RefusesBadTensors) {
  Parts parts = letter_parts();
  parts.source.clear();
  EXPECT_ERROR(parts.make(), Status::kBadFile, "tokenizer.source is no SentencePiece model");
  parts = letter_parts();
  parts.target = "no model";
  EXPECT_ERROR(parts.make(), Status::kBadFile, "tokenizer.target is no SentencePiece model");
  parts = letter_parts();
  parts.vocab.clear();
  EXPECT_ERROR(parts.make(), Status::kBadFile, "tokenizer.vocab");
  parts = letter_parts();
  parts.target_vocab = "<unk>\n</s>";
  EXPECT_ERROR(parts.make(), Status::kBadFile, "tokenizer.target.vocab");
  parts.target_vocab = "<unk>\n</s>\n";
  EXPECT_ERROR(parts.make(), Status::kBadFile, "\"special_ids\" has the id 2");
  parts = letter_parts();
  parts.vocab = "<unk>\n\n__de__\n__en__\n";
  EXPECT_ERROR(parts.make(), Status::kBadFile, "token 1 is empty");
}

TEST(SentencePiece, SurvivesDamagedTexts) {
  const auto tokenizer = letter_parts().make();
  std::mt19937 random(9);
  for (int round = 0; round < 2000; ++round) {
    std::string text(random() % 60, ' ');
    for (char& c : text) {
      c = static_cast<char>(random() % 3 == 0 ? random() : "ab <>/s"[random() % 7]);
    }
    const int64_t max_len = 2 + static_cast<int64_t>(random() % 40);
    const std::vector<int32_t> ids = encode(*tokenizer, text, max_len);
    EXPECT_LE(static_cast<int64_t>(ids.size()), max_len);
    EXPECT_EQ(ids.front(), 3);
    EXPECT_EQ(ids.back(), 1);
    tokenizer->decode(ids);
  }
}

}  // namespace
}  // namespace headlane
