// SentencePiece's own character map over all characters: golden/charsmap/make.py has written down
// hashes of what the `tokenizers` library makes of them.
#include "engine/text/charsmap.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <span>

#include "engine/text/sentencepiece_model.h"
#include "engine/text/unicode.h"
#include "tests/support/temp_dir.h"

namespace headlane {
namespace {

using nlohmann::json;

std::string chars(char32_t first, char32_t last, const std::string& form) {
  std::string text, c;
  for (char32_t code = first; code < last; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    c.clear();
    append_char(code, &c);
    for (size_t pos = 0; pos < form.size(); ++pos) {
      if (form.compare(pos, 2, "%s") == 0) {
        text += c;
        ++pos;
      } else {
        text += form[pos];
      }
    }
  }
  return text;
}

std::string normalized_hash(const Charsmap& map, const std::string& text) {
  NormalText out;
  map.normalize({text, 0}, &out);
  uint32_t hash = 0x811C9DC5;
  for (const char byte : out.text) hash = (hash ^ static_cast<uint8_t>(byte)) * 0x01000193;
  char digits[9];
  std::snprintf(digits, sizeof digits, "%08x", hash);
  return digits;
}

TEST(Charsmap, NormalizesAllCharactersAsTheLibrary) {
  const std::string folder = HEADLANE_GOLDEN_DIR;
  const SentencePieceModel model = read_sentencepiece_model(
      read_file(folder + "/tokenizer_classes/xlm_roberta/sentencepiece.bpe.model"), "model");
  const Charsmap map(std::as_bytes(std::span(model.charsmap)), "map");
  const json golden = json::parse(read_file(folder + "/charsmap/hashes.json"));
  const json& blocks = golden["blocks"];
  ASSERT_GE(blocks.size(), 200u);
  for (size_t i = 0; i < golden["forms"].size(); ++i) {
    for (size_t j = 0; j < blocks.size(); ++j) {
      const auto first = blocks[j].get<char32_t>();
      const std::string form = golden["forms"][i];
      EXPECT_EQ(normalized_hash(map, chars(first, first + 1024, form)), golden["hashes"][i][j])
          << form << " from " << std::hex << static_cast<uint32_t>(first);
    }
  }
  for (size_t i = 0; i < golden["marks"].size(); ++i) {
    std::string mark = "%s";
    append_char(golden["marks"][i].get<char32_t>(), &mark);
    EXPECT_EQ(normalized_hash(map, chars(0x20, 0x3100, mark) + chars(0xAC00, 0xB000, mark)),
              golden["pairs"][i])
        << "before " << std::hex << golden["marks"][i].get<uint32_t>();
  }
}

}  // namespace
}  // namespace headlane
