// BERT's text normalization: control characters dropped and white space made ' ' (clean_text),
// spaces set around Chinese characters, accents stripped (canonical decomposition, then no Mn),
// lower case. Each step sees the whole output of the one before, as in the `tokenizers` library;
// all of them are local to a stretch between starters, so that one pass over the text does. Bound
// by table look-ups for other scripts (about 20 ns a character), by one load and store per byte for
// ASCII.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace headlane {

class BertNormalizer {
 public:
  struct Options {
    bool clean_text = true;
    bool handle_chinese_chars = true;
    bool strip_accents = true;
    bool lowercase = true;
  };

  explicit BertNormalizer(const Options& options);

  // Appends to `out` the normal form of text[pos...], up to the first space that `out` ends with
  // once it has min_bytes or more. Returns where it stopped in `text`. What follows normalizes
  // independently of what went before, and no word lies on both sides. `text` is well-formed UTF-8.
  size_t normalize(std::string_view text, size_t pos, size_t min_bytes, std::string* out) const;

 private:
  struct Mark {
    int combining_class;
    char32_t c;
  };
  // Marks that the next starter will find sorted by class.
  using Marks = std::vector<Mark>;

  size_t add_ascii(std::string_view text, size_t pos, size_t min_bytes, std::string* out) const;
  void add(char32_t c, Marks* marks, std::string* out) const;
  void add_cleaned(char32_t c, Marks* marks, std::string* out) const;
  void put(char32_t c, std::string* out) const;
  void flush(Marks* marks, std::string* out) const;

  Options options_;
  std::array<uint8_t, 128> ascii_;  // what becomes of an ASCII character, or kDropped
};

}  // namespace headlane
