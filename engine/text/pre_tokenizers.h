// How a normalized text is cut into the pieces that the model sees one at a time: the
// pre-tokenizers of the `tokenizers` library, step by step, each over all pieces of the one before.
// Time is linear in the text.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/file/json.h"

namespace headlane {

struct TextPiece {
  size_t begin, end;
};

// A text in pieces, from left to right, none of them empty.
struct PieceText {
  std::string text;  // well-formed UTF-8
  std::vector<TextPiece> pieces;
  size_t first_bytes = 0;  // as of NormalText

  std::string_view view(TextPiece piece) const {
    return std::string_view(text).substr(piece.begin, piece.end - piece.begin);
  }
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void split(PieceText* text) const = 0;
};

using PreTokenizers = std::vector<std::unique_ptr<PreTokenizer>>;

// The steps of a tokenizer.json's "pre_tokenizer": an object, or null, which has none. Throws
// Error(kBadFile), or Error(kUnsupported) for a step that is not one of these.
PreTokenizers read_pre_tokenizers(const Json& spec, const std::string& where);

}  // namespace headlane
