// SentencePiece's blanks: a sign that stands for them, U+2581, is set before each word.
#pragma once

#include <span>
#include <string>

#include "engine/text/pre_tokenizers.h"

namespace headlane {

struct MetaspaceOptions {
  std::string sign = "\xE2\x96\x81";  // one character
  enum class Prepend { kAlways, kFirst, kNever } prepend = Prepend::kAlways;
  bool split = true;  // a piece begins at each sign
};

// Reads them from a tokenizer.json's step, in its present or its older form. Throws
// Error(kBadFile).
MetaspaceOptions read_metaspace_options(const Json& spec, const std::string& where);

class Metaspace : public PreTokenizer {
 public:
  explicit Metaspace(MetaspaceOptions options) : options_(std::move(options)) {}
  void split(PieceText* text) const override;

 private:
  bool has_prefix(std::string_view piece) const;
  void put(const PieceText& in, TextPiece piece, PieceText* out) const;

  MetaspaceOptions options_;
};

}  // namespace headlane
