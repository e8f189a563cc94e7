// SentencePiece's model files, good and bad. Bad ones get a status; a sanitizer sees the rest.
#include "engine/text/sentencepiece_model.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "engine/text/sentencepiece_processor.h"
#include "engine/text/wire_format.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

constexpr uint32_t kLeaf = 1U << 31, kEnd = 1U << 8;

// A double array of n_blocks blocks of 256 places, filled with leaves without use.
class Trie {
 public:
  explicit Trie(size_t n_blocks) : units_(n_blocks * 256, kLeaf) { units_[0] = offset(256); }

  static uint32_t offset(uint32_t value) { return value << 10; }

  // Behind `base`, `byte` leads to `next`; if it ends a rule, the value stands there.
  void lead(uint32_t base, uint8_t byte, uint32_t next, bool end = false, uint32_t value = 0) {
    const uint32_t place = base ^ byte;
    units_[place] = offset(place ^ next) | byte | (end ? kEnd : 0);
    if (end) units_[next] = kLeaf | value;
  }

  uint32_t& unit(size_t place) { return units_[place]; }

  std::string charsmap(const std::string& texts) const {
    std::string map = u32(static_cast<uint32_t>(units_.size() * 4));
    for (uint32_t unit : units_) map += u32(unit);
    return map + texts;
  }

  static std::string u32(uint32_t value) {
    std::string out;
    for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(value >> shift));
    return out;
  }

 private:
  std::vector<uint32_t> units_;
};

// a becomes "xyz".
Trie one_rule() {
  Trie trie(4);
  trie.lead(256, 'a', 512, true, 0);
  return trie;
}

const std::string kTexts("xyz\0", 4);

SentencePieceModel small_model() {
  SentencePieceModel model;
  model.pieces = {{"<unk>", 0, PieceType::kUnknown},
                  {"<s>", 0, PieceType::kControl},
                  {"\xE2\x96\x81", -2, PieceType::kNormal},
                  {"a", -3, PieceType::kNormal},
                  {"b", -3, PieceType::kNormal},
                  {"x", -4, PieceType::kNormal},
                  {"ab", -1, PieceType::kNormal},
                  {"\xE2\x96\x81xyz", -1, PieceType::kNormal}};
  return model;
}

std::string pieces_of(const std::string& bytes, std::string_view text) {
  std::vector<std::string> pieces;
  SentencePieceProcessor(bytes, "test").encode(text, &pieces);
  std::string out;
  for (const std::string& piece : pieces) out += piece + "|";
  return out;
}

void expect_refused(const SentencePieceModel& model, Status status, const std::string& words) {
  EXPECT_ERROR(SentencePieceProcessor(model_proto(model), "test"), status, words);
}

TEST(SentencePieceModel, IsWhatWasWritten) {
  SentencePieceModel model = small_model();
  model.bpe = model.byte_fallback = model.whitespace_as_suffix = true;
  model.add_dummy_prefix = model.remove_extra_whitespaces = model.escape_whitespaces = false;
  model.charsmap = one_rule().charsmap(kTexts);
  const std::string bytes = model_proto(model);
  const SentencePieceModel read = read_sentencepiece_model(bytes, "test");
  EXPECT_EQ(model_proto(read), bytes);
  EXPECT_TRUE(read.bpe && read.byte_fallback && read.whitespace_as_suffix);
  EXPECT_FALSE(read.add_dummy_prefix || read.remove_extra_whitespaces || read.escape_whitespaces);
  ASSERT_EQ(read.pieces.size(), model.pieces.size());
  EXPECT_EQ(read.pieces[6].text, "ab");
  EXPECT_EQ(read.pieces[6].score, -1);
  EXPECT_EQ(read.pieces[1].type, PieceType::kControl);
  EXPECT_EQ(read.charsmap, model.charsmap);
}

TEST(SentencePieceModel, SkipsFieldsThatItDoesNotNeed) {
  WireWriter extra;
  extra.bytes(4, "self-test data that is none");
  extra.varint(200, 7);
  extra.float32(201, 1);
  const std::string bytes = extra.message() + model_proto(small_model()) + extra.message();
  EXPECT_EQ(model_proto(read_sentencepiece_model(bytes, "test")),
            model_proto(read_sentencepiece_model(model_proto(small_model()), "test")));
}

TEST(SentencePieceProcessor, EncodesAndDecodes) {
  const std::string bytes = model_proto(small_model());
  EXPECT_EQ(pieces_of(bytes, "ab  a"), "\xE2\x96\x81|ab|\xE2\x96\x81|a|");
  EXPECT_EQ(pieces_of(bytes, "q\xE4\xBB\x8A z"), "\xE2\x96\x81|q\xE4\xBB\x8A|\xE2\x96\x81|z|");
  EXPECT_EQ(pieces_of(bytes, ""), "");
  EXPECT_EQ(pieces_of(bytes, "  "), "");
  SentencePieceModel model = small_model();
  model.charsmap = one_rule().charsmap(kTexts);
  EXPECT_EQ(pieces_of(model_proto(model), "ab"), "\xE2\x96\x81xyz|b|");
  model.bpe = true;
  EXPECT_EQ(pieces_of(model_proto(model), "b"), "\xE2\x96\x81|b|");
  const SentencePieceProcessor processor(bytes, "test");
  EXPECT_TRUE(processor.adds_blank());
  EXPECT_EQ(processor.decode({"\xE2\x96\x81", "ab", "<s>", "\xE2\x96\x81xyz"}), "ab xyz");
  EXPECT_EQ(processor.decode({}), "");
}

TEST(SentencePieceProcessor, SaysNothing) {
  testing::internal::CaptureStderr();
  pieces_of(model_proto(small_model()), "ab");
  EXPECT_ERROR(SentencePieceProcessor("", "test"), Status::kBadFile, "test is no SentencePiece");
  SentencePieceModel model = small_model();
  model.pieces.push_back(model.pieces.back());
  expect_refused(model, Status::kBadFile, "already defined");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(SentencePieceModel, RefusesBadPieces) {
  const auto refused = [](Piece piece, const std::string& words) {
    SentencePieceModel model = small_model();
    model.pieces.push_back(std::move(piece));
    expect_refused(model, Status::kBadFile, words);
  };
  refused({"", 0}, "of 0 bytes");
  refused({std::string("a\0b", 3), 0}, "without 0");
  refused({"\xFF", 0}, "UTF-8");
  refused({std::string(1025, 'a'), 0}, "of 1025 bytes");
  refused({"c", std::numeric_limits<float>::quiet_NaN()}, "score nan");
  refused({"c", -std::numeric_limits<float>::infinity()}, "score -inf");
  refused({"c", 0, static_cast<PieceType>(7)}, "type 7");
  refused({"c", 0, static_cast<PieceType>(0)}, "type 0");
  refused({"ab", 0}, "already defined");
  refused({"<unk2>", 0, PieceType::kUnknown}, "already defined");
  refused({"<0x41>", 0, PieceType::kByte}, "byte_fallback");
  SentencePieceModel model = small_model();
  model.pieces[0].type = PieceType::kNormal;
  expect_refused(model, Status::kBadFile, "unk is not defined");
  model = small_model();
  model.byte_fallback = true;
  expect_refused(model, Status::kBadFile, "256 byte pieces");
  model.pieces = {{"<unk>", 0, PieceType::kUnknown}};
  expect_refused(model, Status::kBadFile, "256 byte pieces");
  model.byte_fallback = false;
  expect_refused(model, Status::kBadFile, "no pieces are loaded");
}

TEST(SentencePieceModel, RefusesWhatItDoesNotSupport) {
  for (uint64_t type : {0, 3, 4, 5}) {
    WireWriter trainer, model;
    trainer.varint(3, type);
    model.bytes(2, trainer.message());
    EXPECT_ERROR(read_sentencepiece_model(model_proto(small_model()) + model.message(), "test"),
                 Status::kUnsupported, "model type " + std::to_string(type));
  }
  WireWriter rules, model;
  rules.varint(3, 1);
  rules.bytes(2, "rules");
  model.bytes(5, rules.message());
  EXPECT_ERROR(read_sentencepiece_model(model_proto(small_model()) + model.message(), "test"),
               Status::kUnsupported, "decoded text");
}

TEST(SentencePieceModel, RefusesBrokenMessages) {
  const auto refused = [](const std::string& bytes, const char* words) {
    EXPECT_ERROR(read_sentencepiece_model(bytes, "test"), Status::kBadFile, words);
  };
  refused("\x03", "number 0");
  refused("\x4B", "a group");
  refused("\x4C", "a group");
  refused("\x4F", "a group");
  refused("\x08\x01", "of another type");
  refused(
      "\x0A\x05"
      "a",
      "ends beyond");
  refused("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", "ends beyond");
  refused("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", "more than ten bytes");
  refused(std::string("\x25\x00\x00", 3), "ends beyond");
  refused(std::string("\x21\x00\x00", 3), "ends beyond");
  refused("\x80", "ends beyond");
}

// 64 pieces of "a" are found at one place; SentencePiece has room for so many.
TEST(SentencePieceModel, BoundsUserDefinedPieces) {
  SentencePieceModel model = small_model();
  for (size_t n = 1; n <= 64; ++n) {
    model.pieces.push_back({std::string(n, '*'), 0, PieceType::kUserDefined});
  }
  // However a unigram model divides the text: the marks of three pieces are more than it.
  EXPECT_EQ(pieces_of(model_proto(model), std::string(100, '*')).size(), 100 + 3 + 3u);
  model.bpe = true;
  EXPECT_EQ(pieces_of(model_proto(model), std::string(100, '*')),
            "\xE2\x96\x81|" + std::string(64, '*') + "|" + std::string(36, '*') + "|");
  model.pieces.push_back({std::string(65, '*'), 0, PieceType::kUserDefined});
  expect_refused(model, Status::kBadFile, "more than 64 user-defined");
}

void expect_broken(const std::string& charsmap, const char* words) {
  EXPECT_ERROR(check_charsmap(charsmap, "test"), Status::kBadFile, words);
  SentencePieceModel model = small_model();
  model.charsmap = charsmap;
  expect_refused(model, Status::kBadFile, words);
}

TEST(Charsmap, AcceptsGoodOnes) {
  check_charsmap(empty_charsmap(), "test");
  check_charsmap(one_rule().charsmap(kTexts), "test");
}

TEST(Charsmap, RefusesBadSizes) {
  const std::string good = one_rule().charsmap(kTexts);
  expect_broken("abc", "its size");
  expect_broken(Trie::u32(0) + good.substr(4), "the size of its trie");
  expect_broken(Trie::u32(3) + good.substr(4), "the size of its trie");
  expect_broken(Trie::u32(1U << 31) + good.substr(4), "the size of its trie");
  expect_broken(Trie::u32(static_cast<uint32_t>(good.size() + 8)) + good.substr(4),
                "the size of its trie");
  expect_broken(good.substr(0, good.size() - 4), "lies beyond");
}

TEST(Charsmap, RefusesUnitsThatPointBeyond) {
  Trie trie = one_rule();
  trie.unit(0) = Trie::offset(1024);
  expect_broken(trie.charsmap(kTexts), "points beyond");
  trie.unit(0) = Trie::offset(1) | 1U << 9;  // an offset in steps of 256
  check_charsmap(trie.charsmap(kTexts), "test");
  trie.unit(0) = Trie::offset(4) | 1U << 9;
  expect_broken(trie.charsmap(kTexts), "points beyond");
  trie = one_rule();
  trie.lead(256, 'b', 2048);
  expect_broken(trie.charsmap(kTexts), "points beyond");
  trie = one_rule();
  trie.lead(600, 'b', 2048);  // which no search reaches
  check_charsmap(trie.charsmap(kTexts), "test");
}

TEST(Charsmap, RefusesTextsWithoutEnd) {
  expect_broken(one_rule().charsmap("xyz"), "has no end");
  expect_broken(one_rule().charsmap(std::string(65, 'x') + '\0'), "more than 64");
  check_charsmap(one_rule().charsmap(std::string(64, 'x') + '\0'), "test");
  Trie trie = one_rule();
  trie.lead(256, 'b', 513, true, 4);
  expect_broken(trie.charsmap(kTexts), "lies beyond");
  trie.lead(256, 'b', 513, true, 3);
  check_charsmap(trie.charsmap(kTexts), "test");
}

TEST(Charsmap, BoundsTheLengthOfRules) {
  for (uint32_t length : {32U, 33U}) {
    Trie trie(40);
    for (uint32_t i = 0; i < length; ++i) {
      trie.lead(256 * (i + 1), 'a', 256 * (i + 2), true, 0);
    }
    if (length == 33) {
      expect_broken(trie.charsmap(kTexts), "more than 32 bytes");
      continue;
    }
    SentencePieceModel model = small_model();
    model.charsmap = trie.charsmap(kTexts);
    EXPECT_EQ(pieces_of(model_proto(model), std::string(40, 'a')), "\xE2\x96\x81xyz|x|yz|");
  }
  Trie circle(4);
  circle.lead(256, 'a', 256);
  expect_broken(circle.charsmap(kTexts), "more than 32 bytes");
}

// Loads and uses what is accepted. Returns whether it was.
bool survives(const std::string& bytes) {
  try {
    const SentencePieceProcessor processor(bytes, "test");
    std::vector<std::string> pieces;
    for (std::string_view text : {"", "ab xyz", "fi\xEF\xAC\x81 e\xCC\x81 \xEF\xBC\xA1\xE3\x80\x80",
                                  "\xE4\xBB\x8A\xE5\xA4\xA9\xE5\xA4\xA9 the <user> 1 2"}) {
      processor.encode(text, &pieces);
    }
    processor.decode({pieces.begin(), pieces.end()});
    return true;
  } catch (const Error& error) {
    const bool expected =
        error.status() == Status::kBadFile || error.status() == Status::kUnsupported;
    EXPECT_TRUE(expected) << error.what();
    return false;
  }
}

TEST(SentencePieceModel, SurvivesTruncationAtEveryLength) {
  SentencePieceModel model = small_model();
  model.charsmap = one_rule().charsmap(kTexts);
  const std::string bytes = model_proto(model);
  for (size_t size = 0; size < bytes.size(); ++size) survives(bytes.substr(0, size));
  EXPECT_TRUE(survives(bytes));
}

TEST(SentencePieceModel, SurvivesDamage) {
  std::mt19937 random(5);
  for (const char* file : {"t5/spiece.model", "marian/target.spm", "t5_bytes/spiece.model"}) {
    const std::string good = read_file(HEADLANE_GOLDEN_DIR "/sentencepiece/" + std::string(file));
    ASSERT_TRUE(survives(good));
    int n_accepted = 0;
    for (int round = 0; round < 300; ++round) {
      std::string bytes = good;
      for (int n_edits = 1 + static_cast<int>(random() % 3); n_edits > 0; --n_edits) {
        bytes[random() % bytes.size()] = static_cast<char>(random());
      }
      n_accepted += survives(bytes) ? 1 : 0;
    }
    EXPECT_GT(n_accepted, 0);
    EXPECT_LT(n_accepted, 300);
  }
}

}  // namespace
}  // namespace headlane
